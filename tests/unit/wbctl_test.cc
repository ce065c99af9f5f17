// SPDX-License-Identifier: Apache-2.0
// The wbctl binary (WBCTL_PATH) against the fake Service: every command, both outputs, every exit
// code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/wbctl_fixture.h"

namespace wb::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST_F(Wbctl, ReadsAsPeopleDo) {
  ExpectRun("status", 0, "up 1h 2m");
  ExpectRun("status", 0, "5 of 65 536 followed, 3 spliced, 1 234 567 opened, 2 left alone");
  ExpectRun("status", 0, "wbt0           7  generic  2026-01-02T03:04:05Z  LRO is on");
  ExpectRun(
      "domain list", 0,
      "site.test  enabled       10  2.0 KiB     0 B       0 B    99  198.18.0.1:80  /srv/www");
  ExpectRun("cache list", 0,
            "  42  11.4 KiB  12.0 KiB         9  1m 1s      30s  gzip      http://site.test/a\n");
  ExpectRun("cache list", 0, "http://site.test/?[2J");
  ExpectRun("reasons", 0, "in    hit     1 000  answered from the cache");
  ExpectRun("version", 0, "accelerd  9.8.7 (abc123), API v1");
}

TEST_F(Wbctl, PrintsTheJsonOfTheApi) {
  ExpectRun("status --json", 0, "\"hits_total\":18446744073709551615,");
  ExpectRun("--json domain list", 0, "{\"domains\":[{\"name\":\"site.test\",\"enabled\":true,");
  ExpectRun("cache list --json", 0, "{\"total\":2,\"entries\":[{\"url\":\"http://site.test/a\"");
  ExpectRun("reasons --json", 0, "{\"hook\":\"in\",\"label\":\"paws\",");
  ExpectRun("version --json", 0, "{\"wbctl\":{\"version\":\"");
  ExpectRun("version --json", 0, "},\"accelerd\":{\"version\":\"9.8.7\",\"commit\":\"abc123\",");
  ExpectRun("cache warm http://site.test/missing --json", 1, "\"reason\":\"status 404\"");
  ExpectRun("detach wbt0 --json", 0, "{\"drained_connections\":4,");
}

TEST_F(Wbctl, AttachesAndDetaches) {
  ExpectRun("attach wbt0", 0, "wbt0: attached, generic (LRO is on)");
  ExpectRun("attach wbt0", 0, "remedy: ethtool -K wbt0 lro off");
  ExpectRun("attach wbt0 --mode native", 1, "driver has no native XDP");
  ExpectRun("attach wbt9", 1, "no interface wbt9");
  ExpectRun("detach wbt0 --force --deadline 1", 0, "4 connections drained, 3 reset");
  EXPECT_TRUE(service_.detach.force);
  EXPECT_EQ(service_.detach.deadline_s, 1u);
  ExpectRun("detach wbt0 --deadline 1", 4, "3 connections left");
  ExpectRun("detach wbt0", 0, "drained");
  EXPECT_FALSE(service_.detach.deadline_s.has_value());  // accelerd's own holds
}

TEST_F(Wbctl, ReloadsOrTellsAllThatIsWrong) {
  ExpectRun("reload", 0, "warning: interface wbt1 is not attached: ?[2J\nchanged: lease\n");
  ExpectRun("--json reload", 0, R"({"hash":"0123456789ab","changes":["lease"],"warnings":)");
  service_.reload_errors = "f:1:2: lease: soon?\nf:3:4: \x1b[2J";
  ExpectRun("reload", 1, "f:1:2: lease: soon?\nwbctl: reload: f:3:4: ?[2J\n");
}

TEST_F(Wbctl, SwitchesDomains) {
  ExpectRun("domain disable site.test", 0, "site.test: disabled");
  EXPECT_FALSE(service_.last_enabled);
  ExpectRun("domain enable site.test", 0, "site.test: enabled");
  EXPECT_TRUE(service_.last_enabled);
  ExpectRun("domain enable other.test", 1, "no domain other.test");
  ExpectRun("domain enable ../../etc", 1, "wbctl: domain enable ../../etc: ");
}

TEST_F(Wbctl, FiltersTheCache) {
  ExpectRun("cache list --domain site.test --prefix 'http://site.test/a b' --limit 5", 1,
            "percent-encoded");
  ExpectRun("cache list --domain site.test --prefix http://site.test/a --limit 5 --sort bytes", 0,
            "2 of 2");
  EXPECT_EQ(service_.filter.domain, "site.test");
  EXPECT_EQ(service_.filter.prefix, "http://site.test/a");
  EXPECT_EQ(service_.filter.limit, 5u);
  EXPECT_EQ(service_.filter.sort, CacheSort::kBytes);
}

TEST_F(Wbctl, WarmsFromArgumentsFileAndInput) {
  ExpectRun("cache warm http://site.test/a http://site.test/missing", 1, "1 warmed, 1 failed");
  std::ofstream file(base_ + "/urls");
  file << "# comment\n\n";
  for (int i = 0; i < 450; ++i) file << "  http://site.test/" << i << "\r\n";
  file.close();
  service_.warm_batches.clear();
  ExpectRun("cache warm --from-file " + base_ + "/urls", 0, "450 warmed, 0 failed");
  EXPECT_THAT(service_.warm_batches, ElementsAre(200, 200, 50));
  ExpectRun("cache warm - < " + base_ + "/urls", 0, "450 warmed, 0 failed");
  ExpectRun("cache warm --from-file " + base_ + "/none", 1, "cannot read");
}

TEST_F(Wbctl, Purges) {
  ExpectRun("cache purge http://site.test/a", 0, "12 objects purged");
  EXPECT_EQ(service_.purge.kind, PurgeKind::kUrl);
  ExpectRun("cache purge --prefix http://site.test/a", 0, "purged");
  EXPECT_EQ(service_.purge.kind, PurgeKind::kPrefix);
  EXPECT_EQ(service_.purge.value, "http://site.test/a");
  ExpectRun("cache purge --domain site.test", 0, "purged");
  EXPECT_EQ(service_.purge.kind, PurgeKind::kDomain);
  ExpectRun("cache purge --tag news", 0, "purged");
  EXPECT_EQ(service_.purge.kind, PurgeKind::kTag);
  EXPECT_EQ(service_.purge.value, "news");
  EXPECT_EQ(service_.purge.domain, "");
  ExpectRun("cache purge --tag news --domain site.test", 0, "purged");
  EXPECT_EQ(service_.purge.kind, PurgeKind::kTag);
  EXPECT_EQ(service_.purge.domain, "site.test");
  ExpectRun("cache purge --all --json", 0, "{\"purged\":12}");
  EXPECT_EQ(service_.purge.kind, PurgeKind::kAll);
}

TEST_F(Wbctl, WatchesReasons) {
  EXPECT_THAT(Run("reasons").text, Not(HasSubstr("paws")));
  ExpectRun("reasons --all", 0, "paws");
  const Outcome watched = Run("reasons --watch 1 --count 2");
  EXPECT_EQ(watched.code, 0);
  EXPECT_THAT(watched.text, HasSubstr("PER SECOND"));
  EXPECT_EQ(service_.reason_calls, 4u);
}

TEST_F(Wbctl, RefusesWrongUsage) {
  for (const char* arguments : {"",
                                "nonsense",
                                "status extra",
                                "attach",
                                "attach wbt0 --mode fast",
                                "detach",
                                "detach wbt0 --deadline x",
                                "detach wbt0 --deadline 86401",
                                "domain",
                                "domain enable",
                                "cache",
                                "cache warm",
                                "cache purge",
                                "cache purge --all --domain site.test",
                                "cache purge --all --tag news",
                                "cache purge --tag news --prefix http://site.test/",
                                "cache purge --prefix http://site.test/ --domain site.test",
                                "cache purge --tag ''",
                                "cache purge ''",
                                "cache list --sort size",
                                "cache list --limit 10001",
                                "reasons --count 2",
                                "reasons --watch 0",
                                "--timeout 0 status"}) {
    EXPECT_EQ(Run(arguments).code, 2) << arguments;
  }
  EXPECT_EQ(Run("--help").code, 0);
  EXPECT_EQ(Run("cache purge --help").code, 0);
}

TEST_F(Wbctl, SaysWhenNobodyAnswers) {
  server_->Stop();
  for (const char* arguments :
       {"status", "version", "attach wbt0", "detach wbt0", "domain list", "cache list",
        "cache purge --all", "reasons", "cache warm http://site.test/a"}) {
    ExpectRun(arguments, 3, "accelerd cannot be reached");
  }
}

TEST_F(Wbctl, TellsItsOwnVersionWithoutAccelerd) {
  ExpectRun("version", 0, "\naccelerd  9.8.7 (abc123), API v1");
  server_->Stop();
  ExpectRun("version", 3, "wbctl     ");
  ExpectRun("version --json", 3, ",\"api\":\"v1\"},\"accelerd\":null}\n");
}

TEST_F(Wbctl, TakesTheSocketFromTheEnvironment) {
  const std::string binary(WBCTL_PATH);
  EXPECT_EQ(Shell("WB_SOCKET=" + socket_ + " " + binary + " status").code, 0);
  EXPECT_EQ(Shell("WB_SOCKET=" + base_ + "/none " + binary + " status").code, 3);
  EXPECT_EQ(Shell("WB_SOCKET=" + base_ + "/none " + binary + " status --socket " + socket_).code,
            0);
}

TEST_F(Wbctl, GivesUpOnASilentServer) {
  const std::string path = base_ + "/silent.sock";
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  EXPECT_EQ(Shell(std::string(WBCTL_PATH) + " --timeout 1 --socket " + path + " status").code, 4);
  close(fd);
}

TEST_F(Wbctl, ExaminesTheMachine) {
  const Outcome json = Run("doctor --json");
  EXPECT_THAT(json.text, HasSubstr("\"severity\""));
  const bool errors = json.text.find("\"severity\": \"error\"") != std::string::npos;
  EXPECT_EQ(json.code, errors ? 1 : 0) << json.text;
  EXPECT_EQ(Run("doctor wbnone0").code, 1);  // No such interface is an error on any machine.
  EXPECT_EQ(Run("doctor --port 0").code, 2);
}

}  // namespace
}  // namespace wb::api
