// SPDX-License-Identifier: Apache-2.0
// wbctl cache show, domain show, conns and top against the fake Service.
#include <nlohmann/json.hpp>

#include "tests/unit/wbctl_fixture.h"

namespace wb::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(Wbctl, ShowsAnObject) {
  ExpectRun("cache show http://site.test/a", 0, "state        live\n");
  const std::string text = Run("cache show http://site.test/a").text;
  EXPECT_EQ(service_.object_url, "http://site.test/a");
  for (const char* line :
       {"filling      br\n", "refused      deflate, gzip, for 7s\n", "watched      yes\n",
        "depends on   /srv/www/a\n", "variant      (none); gzip\n", "  etag       \"e\"\n",
        "  modified   Tue, 14 Nov 2023 22:13:20 GMT\n",
        "11.4 KiB in 9 segments; 12.0 KiB of memory, 400 B of it beyond the response\n",
        "  hits       42 in 1m 1s\n", "  fresh      until a file changes\n",
        "  header     HTTP/1.1 200 OK\n", "             Server: ?[2Jevil\n",
        "             Date: (the second it is sent)\n"})
    EXPECT_THAT(text, HasSubstr(line));
  ExpectRun("cache show http://site.test/refused", 0,
            "state        refused: set_cookie, tried again when asked for in 25s\n");
  ExpectRun("cache show http://site.test/missing", 1, "nothing is known of");
  ExpectRun("cache show nonsense", 1, "URL must begin");
  ExpectRun("cache show http://site.test/a --json", 0,
            "\"encodings\":[\"\",\"gzip\"],\"etag\":\"\\\"e\\\"\"");
}

TEST_F(Wbctl, ShowsADomain) {
  const std::string text = Run("domain show site.test").text;
  for (const char* line :
       {"domain       site.test\n",
        "state        disabled; enabled in the configuration, and so after the next start\n",
        "aliases      www.site.test\n", "ports        80 8080\n",
        "origin       127.0.0.1:80, asked from the address the kernel chooses\n",
        "files        /srv/www\n", "cookies      pass\n", "query        key\n",
        "excluded     /private/\n", "requests     300 hits (0 keyed), 100 misses (75.0 % hits)\n",
        "refused      set_cookie 4\n"})
    EXPECT_THAT(text, HasSubstr(line));
  ExpectRun("domain show site.test --json", 0, "\"refused_objects\":{\"set_cookie\":4}}");
  ExpectRun("domain show other.test", 1, "no domain other.test");
}

TEST_F(Wbctl, ListsConnections) {
  ExpectRun("conns", 0,
            "198.18.0.2:40000  198.18.0.1:80  wbt0  1m 5s    42  478.5 KiB  2.8 KiB        2  "
            "1.50 ms  14.1 KiB  64.0 KiB  1448  4000  490000     -  spliced,booster\n1 of 3\n");
  EXPECT_EQ(service_.connection_filter.limit, 100u);
  EXPECT_EQ(service_.connection_filter.sort, ConnectionSort::kHits);
  EXPECT_FALSE(service_.connection_filter.spliced);
  ExpectRun("conns --sort srtt --limit 7 --remote 2001:DB8::0:1 --spliced --json", 0,
            "{\"total\":3,\"connections\":[{\"remote\":\"198.18.0.2:40000\",");
  EXPECT_EQ(service_.connection_filter.limit, 7u);
  EXPECT_EQ(service_.connection_filter.sort, ConnectionSort::kSrtt);
  EXPECT_EQ(service_.connection_filter.remote, "2001:db8::1");  // canonical
  EXPECT_TRUE(service_.connection_filter.spliced);
  ExpectRun("conns --remote site.test", 1, "must be an IPv4 or IPv6 address");
  for (const char* arguments : {"conns --sort size", "conns --limit 10001", "conns x"})
    EXPECT_EQ(Run(arguments).code, 2) << arguments;
}

TEST_F(Wbctl, TopPrintsABlockPerInterval) {
  const Outcome outcome = Run("top --interval 0.1 --count 2");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.text, StartsWith("accelerd 9.8.7, pid 4711, up 1h 2m, drain, on wbt0"));
  EXPECT_THAT(outcome.text, Not(HasSubstr("\x1b")));  // No terminal: nothing for one.
  EXPECT_THAT(outcome.text, HasSubstr("\n\naccelerd 9.8.7"));
  EXPECT_THAT(outcome.text, HasSubstr("site.test     0.0       0.0  0.0 %  0 B/s"));
  EXPECT_EQ(service_.reason_calls, 3u);  // one to begin with
}

TEST_F(Wbctl, TopPrintsJsonLines) {
  const Outcome outcome = Run("top --interval 0.1 --count 2 --json");
  EXPECT_EQ(outcome.code, 0);
  std::istringstream lines(outcome.text);
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_GT(json.at("seconds").get<double>(), 0.05);
    EXPECT_EQ(json.at("domains").at(0).at("name"), "site.test");
    EXPECT_TRUE(json.at("urls_per_s").empty());
  }
  EXPECT_EQ(n, 2);
}

TEST_F(Wbctl, TopSaysWhenAccelerdGoes) {
  EXPECT_EQ(Run("top --count 0").code, 2);
  EXPECT_EQ(Run("top --interval 0").code, 2);
  const std::string binary = std::string(WBCTL_PATH) + " --socket " + socket_;
  // Gone after the first reading: the rounds go on, and the exit code is that of the last one.
  std::thread stopper([this] {
    while (service_.reason_calls == 0) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    server_->Stop();
  });
  const Outcome outcome = Run("top --interval 2 --count 1");
  stopper.join();
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.text, HasSubstr("accelerd cannot be reached"));
  ExpectRun("top --count 1", 3, "wbctl: top: accelerd cannot be reached");
  for (const char* arguments : {"conns", "cache show http://site.test/a", "domain show site.test"})
    ExpectRun(arguments, 3, "accelerd cannot be reached");
}

// script(1) gives it a terminal of its own.
TEST_F(Wbctl, TopGivesTheTerminalBack) {
  const std::string run = "timeout -s INT 5 " + std::string(WBCTL_PATH) + " --socket " + socket_ +
                          " top --interval 0.3; echo code=$?";
  const Outcome outcome = Shell("script -qec \"" + run + "\" /dev/null < /dev/null");
  const size_t enter = outcome.text.find("\x1b[?1049h");
  const size_t leave = outcome.text.rfind("\x1b[?1049l");
  ASSERT_NE(enter, std::string::npos) << outcome.text;
  ASSERT_NE(leave, std::string::npos);
  EXPECT_LT(enter, leave);
  EXPECT_EQ(outcome.text.find("\x1b[?1049l"), leave);
  EXPECT_GT(leave, outcome.text.rfind("\x1b[?25h"));  // with its cursor
  EXPECT_THAT(outcome.text.substr(leave), Not(HasSubstr("accelerd")));
  EXPECT_THAT(outcome.text.substr(enter, leave - enter), HasSubstr("accelerd 9.8.7"));
}

}  // namespace
}  // namespace wb::api
