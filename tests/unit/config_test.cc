// SPDX-License-Identifier: Apache-2.0
// The text of the configuration: every field, every kind of error with its place, and hostile
// files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/config_parse.h"

namespace wb::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ConfigAccessLogTest, IsReadAndGoesToOnePlace) {
  const LoadResult file =
      Parse(std::string(kDomain) + "access_log: {file: /var/log/hits, sample: 10, format: json}\n");
  EXPECT_THAT(file.errors, IsEmpty()) << Text(file);
  EXPECT_THAT(file.warnings, IsEmpty());
  EXPECT_EQ(file.config.access_log, (AccessLog{"/var/log/hits", false, 10, LogFormat::kJson}));
  EXPECT_TRUE(
      Parse(std::string(kDomain) + "access_log: {journal: true}").config.access_log.journal);
  EXPECT_THAT(OnlyError(std::string(kDomain) + "access_log: {file: /x, journal: true}"),
              HasSubstr("access_log.journal: is one of two"));
  EXPECT_THAT(OnlyError(std::string(kDomain) + "access_log: {file: log}"),
              HasSubstr("access_log.file: "));
  EXPECT_EQ(Parse(std::string(kDomain) + "access_log: {sample: 2, format: json}").warnings.size(),
            2U);
}

TEST(ConfigParseTest, ReadsEveryField) {
  const LoadResult result = Parse(R"(
instance: blue-1
pin_dir: /sys/fs/bpf/b
runtime_dir: /run/b
cgroup: /sys/fs/cgroup/web
interfaces: [{name: e0}, {name: e1, mode: generic}]
api: {mode: 0600, allow: ["user:root", group:54321]}
metrics: {listen: "[::1]:9000"}
log: {level: debug}
limits: {memory: 2097152, connections: 2000, objects: 65, fill_concurrency: 2, fill_rate: 9}
lease: 1s
keepalive_refresh: 1m
drain_deadline: 1h
verification: {one_in: 100, rate: 2, quarantine: 1m}
on_stop: detach
boosters: {addresses: ["fd00:0:0::8", 192.0.2.1], key_file: /etc/k, catalogue: "[0::]:9466"}
accept_encodings: []
domains:
  - {name: a.test, aliases: [b.test], ports: [80, 8080], origin: "[0::1]:81",
     fill_from: "fd00:0::7", document_root: /srv, cookies: ignore, query: pass, enabled: true,
     memory: 64KiB, exclude: [/x], tag_field: Cache-Tag}
)");
  EXPECT_EQ(Text(result), "");
  Config want;
  want.instance = "blue-1";
  want.pin_dir = "/sys/fs/bpf/b";
  want.runtime_dir = "/run/b";
  want.cgroup = "/sys/fs/cgroup/web";
  want.interfaces = {{"e0", AttachMode::kAuto}, {"e1", AttachMode::kGeneric}};
  want.api = {"/run/b/accelerd.sock", 0600, {{{false, 0}, {true, 54321}}}};
  want.metrics.listen = Endpoint{"::1", 9000};
  want.log.level = LogLevel::kDebug;
  want.limits = {2097152, 2000, 65, 2, 9};
  want.lease = seconds(1);
  want.keepalive_refresh = seconds(60);
  want.drain_deadline = hours(1);
  want.verification = {100, 2, minutes(1)};
  want.on_stop = StopPolicy::kDetach;
  want.boosters = {{"fd00::8", "192.0.2.1"}, "/etc/k", Endpoint{"::", 9466}};
  want.accept_encodings = {};
  want.domains = {{"a.test",
                   {"b.test"},
                   {80, 8080},
                   {"::1", 81},
                   "fd00::7",
                   "/srv",
                   CookiePolicy::kIgnore,
                   QueryPolicy::kPass,
                   true,
                   65536,
                   {"/x"},
                   "Cache-Tag"}};
  EXPECT_TRUE(result.config == want);
  EXPECT_EQ(result.config.metrics.listen->ToString(), "[::1]:9000");
  EXPECT_FALSE(Parse(std::string(kDomain) + "metrics: {listen: ''}").config.metrics.listen);
}

TEST(ConfigParseTest, ReportsTenErrorsAtOnce) {
  const LoadResult result = Parse(R"(instance: Blue
limits:
  memory: 64MB
  conections: 5
lease: 10ms
lease: 20ms
interfaces:
  -
  - name: eth0
    mode: fast
boosters: {addresses: [192.0.2.1]}
domains:
  - name: a.test
    enabled: "true"
    ports:
      - 80
      - 70000
  - &x {name: c.test}
  - name: b.test
    aliases: [a.test]
)");
  std::vector<std::tuple<int, int, std::string>> places;
  for (const Finding& e : result.errors) places.emplace_back(e.line, e.column, e.path);
  using Place = std::tuple<int, int, std::string>;
  EXPECT_THAT(places,
              ElementsAre(Place{1, 11, "instance"}, Place{3, 11, "limits.memory"},
                          Place{4, 3, "limits.conections"}, Place{5, 8, "lease"},
                          Place{6, 1, "lease"}, Place{8, 3, "interfaces[0]"},
                          Place{10, 11, "interfaces[1].mode"}, Place{11, 11, "boosters.key_file"},
                          Place{14, 14, "domains[0].enabled"}, Place{17, 9, "domains[0].ports[1]"},
                          Place{18, 5, "domains[1]"}, Place{20, 15, "domains[2].aliases[0]"}))
      << Text(result);
  EXPECT_THAT(Text(result), HasSubstr("did you mean \"connections\"?"));
  EXPECT_THAT(Text(result), HasSubstr("f:6:1: lease: duplicate key, first on line 5\n"));
  EXPECT_THAT(Text(result), HasSubstr("used already by domains[0].name on line 13"));
}

TEST(ConfigParseTest, RefusesBadValues) {
  const std::map<std::string, std::vector<std::string>> bad = {
      {"instance", {"''", "a_b", Repeat("a", 33), "[]", "{}", "~"}},
      {"pin_dir", {"relative", "''", "/a/../b", "\"/a\\nb\"", "/" + Repeat("a", 255)}},
      {"runtime_dir", {"/" + Repeat("a", 100)}},
      {"cgroup", {"x"}},
      {"interfaces",
       {"eth0", "[e0]", "[{name: a/b}]", "[{name: 'a b'}]", "[{name: '..'}]",
        "[{name: " + Repeat("a", 16) + "}]", "[{name: a}, {name: a}]"}},
      {"api.allow",
       {"root", "[alice]", "['user:']", "['user:wb-no-such']", "['group:wb-no-such']",
        "['user:-1']", "['user:01']", "['user:4294967295']", "['host:a']",
        "['user:0', 'user:root']"}},
      {"api.mode", {"0888", "1777", "66", "-660", "rw"}},
      {"api.socket", {"/" + Repeat("a", 107)}},
      {"metrics.listen",
       {"'9464'", "'127.0.0.1:0'", "'127.0.0.1:65536'", "'::1:80'", "'[1.2.3.4]:80'", "':80'"}},
      {"log.level", {"INFO", "verbose"}},
      {"limits.memory",
       {"1KB", "64 MiB", "-1", "0x10", "99999999999999999999", "17592186044480MiB", "1.5MiB",
        "MiB"}},
      {"limits.objects", {"0100", "1e3", "'100'", "[100]", "4294967396"}},
      {"lease", {"500", "1d", "500 ms", "'500ms'", "0.5s", "9223372036854775807h"}},
      {"boosters",
       {"{addresses: [host], key_file: /k}", "{addresses: ['::'], key_file: /k}",
        "{addresses: ['::ffff:1.2.3.4'], key_file: /k}", "{addresses: [224.0.0.1], key_file: /k}",
        "{addresses: [fd00::1, 'fd00:0::1'], key_file: /k}", "{addresses: [10.0.0.1], key_file: k}",
        "{addresses: [10.0.0.1]}", "{addresses: [10.0.0.1], key_file: ''}",
        "{addresses: [10.0.0.1], key_file: /k, catalogue: 'origin.test:9466'}",
        "{addresses: [10.0.0.1], key_file: /k, catalogue: '0.0.0.0'}",
        "{addresses: [10.0.0.1], key_file: /k, catalogue: '0.0.0.0:0'}"}},
      {"accept_encodings",
       {"['']", "[' a']", "[\"a\\tb\"]", "[gzip, gzip]", "[" + Repeat("a", 64) + "]", "gzip",
        "[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o]"}},
      {"domains[].aliases",
       {"[B.test]", "[a.test]", "[b..c]", "[-b]", "['b/c']", "b.test", "[x.test, x.test]"}},
      {"domains[].ports", {"80", "[]", "[0]", "[80, 80]", "[1, 2, 3, 4, 5, 6, 7, 8, 9]", "['80']"}},
      {"domains[].origin", {"localhost:80", "127.0.0.1", "'[::1]'", "''"}},
      {"domains[].fill_from",
       {"localhost", "0.0.0.0", "224.0.0.1", "'192.0.2.1:80'", "'fd00::1'", "[192.0.2.1]",
        "fd00::1, origin: '127.0.0.1:80'", "192.0.2.1, origin: '[::1]:80'"}},
      {"domains[].cookies", {"yes"}},
      {"domains[].enabled", {"yes", "1", "True"}},
      {"domains[].tag_field", {"[]", "'a b'", "'a:'", Repeat("a", 65)}},
      {"verification.one_in", {"-1", "1000000001", "x"}},
      {"verification.rate", {"0", "1001"}},
      {"verification.quarantine", {"0s", "25h", "5"}},
      {"domains[].memory", {"65535", "449MiB", "64 KiB", "50%", "0"}},
      {"domains[].exclude", {"[admin]", "['/a?b']", "['/a b']", "[/" + Repeat("a", 184) + "]"}},
  };
  for (const auto& [key, values] : bad) {
    for (const std::string& value : values) {
      const LoadResult result = Parse(FileWith(key, value));
      EXPECT_THAT(result.errors, SizeIs(1)) << key << ": " << value << "\n" << Text(result);
    }
  }
}

TEST(ConfigParseTest, LimitsDomainsAndNames) {
  std::string most = "domains:\n";
  for (int i = 0; i < 256; ++i) {
    const std::string n = std::to_string(i);
    most += "  - {name: d" + n + ", aliases: [a" + n + ", b" + n + ", c" + n + "]}\n";
  }
  EXPECT_EQ(Text(Parse(most)), "");
  const std::string names = std::regex_replace(most, std::regex("c255"), "c255, e255");
  EXPECT_EQ(OnlyError(names),
            "f:2:3: domains: has 1025 names and aliases together, more than 1024");
  EXPECT_THAT(OnlyError(most + "  - {name: more}\n"), HasSubstr("has 257 items, more than 256"));
  EXPECT_THAT(OnlyError("domains: []"), HasSubstr("at least 1"));
}

TEST(ConfigParseTest, WarnsOfTheDoubtful) {
  const LoadResult result =
      Parse(R"(domains: [{name: a.test, enabled: false}, {name: b.test, enabled: false}]
api: {mode: 0666}
metrics: {listen: "0.0.0.0:9464"}
keepalive_refresh: 75s
boosters:
  key_file: /k
  catalogue: "0.0.0.0:9466"
)");
  EXPECT_EQ(Text(result), "");
  std::vector<int> lines;
  for (const Finding& w : result.warnings) lines.push_back(w.line);
  EXPECT_THAT(lines, ElementsAre(1, 2, 3, 4, 6, 7));
  EXPECT_THAT(Parse(kDomain).warnings, IsEmpty());
  // Whoever says whom to answer knows what an open socket is for.
  EXPECT_THAT(Parse(std::string(kDomain) + "api: {mode: 0666, allow: []}").warnings, IsEmpty());
}

TEST(ConfigHostileTest, RefusesWhatIsClever) {
  const std::string d = kDomain;
  EXPECT_THAT(OnlyError(d + "lease: &a 1s"), HasSubstr("f:2:8: lease: anchors"));
  EXPECT_THAT(OnlyError(d + "&a lease: 1s"), HasSubstr("anchors"));
  EXPECT_THAT(OnlyError(d + "lease: !!str 1s"), HasSubstr("f:2:8: lease: tags"));
  EXPECT_THAT(OnlyError(d + "instance: ! a"), HasSubstr("f:2:11: instance: tags"));
  EXPECT_THAT(OnlyError(d + "limits: !x {objects: 64}"), HasSubstr("limits: tags"));
  EXPECT_THAT(Text(Parse("instance: &a b\npin_dir: *a\n" + d)),
              HasSubstr("f:2:10: pin_dir: aliases"));
  EXPECT_THAT(OnlyError(d + "<<: {lease: 1s}"), HasSubstr("unknown key \"<<\""));
  EXPECT_THAT(OnlyError(d + "[a]: 1"), HasSubstr("a key cannot be a list"));
  EXPECT_THAT(OnlyError(d + "---\nlease: 1s"), HasSubstr("f:2:1: document: second YAML document"));
  EXPECT_THAT(OnlyError(d + "cgroup: [[[[[[[[[[]]]]]]]]]]"),
              HasSubstr("expected text, found a list"));
  EXPECT_THAT(OnlyError(d + "limits:"), HasSubstr("f:2:1: limits: expected a map, found nothing"));
}

TEST(ConfigHostileTest, PlacesSyntaxErrors) {
  EXPECT_THAT(OnlyError("instance: a\nlimits: {memory\n\n"), HasSubstr("YAML syntax"));
  EXPECT_THAT(OnlyError("instance: a\n  lease: 1s\n"), HasSubstr("f:2:8: document: YAML syntax"));
  EXPECT_THAT(OnlyError(""), HasSubstr("empty"));
  EXPECT_THAT(OnlyError("# nothing\n"), HasSubstr("empty"));
  EXPECT_THAT(OnlyError("just text"), HasSubstr("expected a map, found a single value"));
  EXPECT_EQ(OnlyError(std::string("a: b\nc: \0", 9)), "f:2:4: document: control character 0x00");
  EXPECT_THAT(OnlyError("\xFF\xFE\x61"), HasSubstr("f:1:1: document: not valid UTF-8"));
  for (const char* text : {"a\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80"}) {
    EXPECT_THAT(OnlyError(text), HasSubstr("not valid UTF-8"));
  }
  EXPECT_EQ(Text(Parse(std::string("# \xE2\x82\xAC \xF0\x9F\x98\x80\n") + kDomain)), "");
}

TEST(ConfigHostileTest, SurvivesBombs) {
  for (const char* part :
       {"[", "{", "- ", "? ", "a: ", "{a: ", "-\n", "!", "\"", "- &a *a\n", "---\n", "a: 1\n"}) {
    const LoadResult result = Parse(Repeat(part, 100000 / std::string(part).size()));
    EXPECT_THAT(result.errors, Not(IsEmpty())) << part;
    EXPECT_LE(result.errors.size(), kMaxErrors + 1) << part;
  }
  EXPECT_THAT(OnlyError(Repeat("[", 1000)), HasSubstr("nested too deeply"));
  EXPECT_THAT(OnlyError(std::string(kMaxFileBytes + 1, ' ')),
              HasSubstr("larger than 1048576 bytes"));
  EXPECT_THAT(OnlyError(std::string(kMaxFileBytes, ' ')), HasSubstr("empty"));
  const LoadResult long_key = Parse(kDomain + Repeat("k\xC3\xA4", 300) + ": 1\n");
  ASSERT_THAT(long_key.errors, SizeIs(1));
  EXPECT_LT(long_key.errors[0].path.size() + long_key.errors[0].message.size(), 400U);
}

}  // namespace
}  // namespace wb::config
