// SPDX-License-Identifier: Apache-2.0
// boosterd's configuration: every field, every kind of error with its place, and large files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/unit/front_config_parse.h"

namespace wb::front {
namespace {

using config::Finding;
using config::Repeat;
using config::Text;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(FrontConfigTest, ReadsEveryField) {
  const LoadResult result = Parse(R"(
instance: blue-1
runtime_dir: /run/b
workers: 3
listeners: [{address: "[::]:443", tls: true}, {address: "192.0.2.9:80", proxy_protocol: true}]
api: {mode: 0600, allow: ["user:0"]}
metrics: {listen: ""}
log: {level: debug}
access_log: {file: /var/log/b, sample: 7, format: json}
timeouts: {handshake: 1s, head: 2s, idle: 3s, body: 4s, write: 5s, connect: 6s, response: 7s, tunnel: 8s, drain: 9s}
limits: {connections: 100, client_connections: 7, client_connection_rate: 8, head: 16KiB, target: 4KiB, fields: 50, body: 1MiB,
         buffer: 64KiB, memory: 64MiB, h2_streams: 10}
links: 3
miss_links: 4
thin_acks: false
interfaces: [e0, e1]
busy_poll: 5ms
default_certificate: b.test
trusted_proxies: ["192.0.2.7/32", "2001:DB8::/32"]
domains:
  - name: a.test
    aliases: [b.test]
    certificate: {chain_file: /c, key_file: /k}
    origins: [{address: "[fd00:0::1]:81", weight: 5, key_file: /b, catalogue: "192.0.2.1:9466"}]
    health: {path: "/h?x", interval: 2s, timeout: 3s, rise: 4, fall: 5, slow_start: 0ms}
    cookies: ignore
    coalesce: false
    priority: high
    quota: {rate: 1, burst: 2, concurrent: 3}
    client_quota: {rate: 4, burst: 5, concurrent: 6}
    deny_clients: ["198.51.100.0/24", "::1"]
    deny_paths: [/admin/]
    allow_methods: [GET, PURGE]
)");
  EXPECT_EQ(Text(result), "");
  EXPECT_THAT(result.warnings, IsEmpty());
  Config want;
  want.instance = "blue-1";
  want.runtime_dir = "/run/b";
  want.workers = 3;
  want.listeners = {{{"::", 443}, true, false}, {{"192.0.2.9", 80}, false, true}};
  want.api = {"/run/b/boosterd.sock", 0600, {{{false, 0}}}};
  want.metrics.listen.reset();
  want.log.level = config::LogLevel::kDebug;
  want.access_log = {"/var/log/b", false, 7, config::LogFormat::kJson};
  want.timeouts = {seconds(1), seconds(2), seconds(3), seconds(4), seconds(5),
                   seconds(6), seconds(7), seconds(8), seconds(9)};
  want.limits = {100, 7, 8, 16 << 10, 4 << 10, 50, 1 << 20, 64 << 10, 64 << 20, 10};
  want.links = 3;
  want.miss_links = 4;
  want.thin_acks = false;
  want.interfaces = {"e0", "e1"};
  want.busy_poll = milliseconds(5);
  want.default_certificate = "b.test";
  want.trusted_proxies = {"192.0.2.7", "2001:db8::/32"};
  want.domains = {{"a.test",
                   {"b.test"},
                   Certificate{"/c", "/k"},
                   {{{"fd00::1", 81}, 5, "/b", Endpoint{"192.0.2.1", 9466}}},
                   {"/h?x", seconds(2), seconds(3), 4, 5, milliseconds(0)},
                   config::CookiePolicy::kIgnore,
                   false,
                   Priority::kHigh,
                   {1, 2, 3},
                   {4, 5, 6},
                   {"198.51.100.0/24", "::1"},
                   {"/admin/"},
                   {"GET", "PURGE"},
                   {}}};
  EXPECT_TRUE(result.config == want);
}

TEST(FrontConfigTest, ReportsAllErrorsAtOnce) {
  const LoadResult result = Parse(R"(instance: Blue
listeners:
  - address: "0.0.0.0:80"
  - address: "0.0.0.0:80"
  - tls: true
limits: {memory: 1GB, head: 1KiB}
timeouts: {idel: 5s}
trusted_proxies: [10.0.0.1/8]
domains:
  - name: a.test
    origins:
      - address: "10.0.0.1:80"
        key_file: /k
      - address: "10.0.0.1:80"
    quota: {burst: 5}
  - name: b.test
    aliases: [a.test]
    origins: []
    allow_methods: ["G T"]
)");
  std::vector<std::tuple<int, int, std::string>> places;
  for (const Finding& e : result.errors) places.emplace_back(e.line, e.column, e.path);
  using Place = std::tuple<int, int, std::string>;
  EXPECT_THAT(
      places,
      ElementsAre(
          Place{1, 11, "instance"}, Place{3, 3, "listeners"}, Place{4, 14, "listeners[1].address"},
          Place{5, 5, "listeners[2].address"}, Place{6, 18, "limits.memory"},
          Place{6, 29, "limits.head"}, Place{7, 12, "timeouts.idel"},
          Place{8, 19, "trusted_proxies[0]"}, Place{13, 19, "domains[0].origins[0].key_file"},
          Place{14, 18, "domains[0].origins[1].address"}, Place{15, 20, "domains[0].quota.burst"},
          Place{17, 15, "domains[1].aliases[0]"}, Place{18, 14, "domains[1].origins"},
          Place{19, 21, "domains[1].allow_methods[0]"}))
      << Text(result);
  EXPECT_THAT(Text(result), HasSubstr("listened on already (line 3)"));
  EXPECT_THAT(Text(result), HasSubstr("did you mean \"idle\"?"));
  EXPECT_THAT(Text(result), HasSubstr("the prefix is 10.0.0.0/8"));
  EXPECT_THAT(Text(result), HasSubstr("used already by domains[0].name on line 10"));
  EXPECT_THAT(Text(result), HasSubstr("no domain has a certificate"));
}

TEST(FrontConfigTest, RefusesBadValues) {
  const std::string long_label = Repeat("a", 64);
  const std::map<std::string, std::vector<std::string>> bad = {
      {"runtime_dir", {"run", "/" + Repeat("a", 100)}},
      {"listeners[].tls", {"yes", "1"}},
      {"interfaces", {"[a/b]", "[e0, e0]", "e0", "[1, 2, 3, 4, 5, 6, 7, 8, 9]"}},
      {"trusted_proxies",
       {"['::ffff:1.2.3.4']", "['10.0.0.0/33']", "['fd00::/129']", "['10.0.0.0/']", "[localhost]",
        "['10.0.0.0/08']", "[10.0.0.1, 10.0.0.1/32]", "['fe80::1%eth0']", "['[::1]']",
        "[10.0.0.0/-1]"}},
      {"busy_poll", {"1001ms", "50us"}},
      {"limits.memory", {"3MiB"}},
      {"limits.target", {"33KiB"}},
      {"domains[].aliases", {"[a.test]", "[A.test]", "[x.test, x.test]", "[" + long_label + "]"}},
      {"domains[].certificate", {"{chain_file: /c}", "{key_file: /k}", "{}", "/c", "~"}},
      {"domains[].origins[].weight", {"1001", "-1"}},
      {"domains[].origins[].key_file", {"/k", "k, catalogue: '192.0.2.1:1'"}},
      {"domains[].origins[].catalogue",
       {"'192.0.2.1:9466'", "'0.0.0.0:1', key_file: /k", "'host:1', key_file: /k"}},
      {"domains[].health.path",
       {"h", "'/a b'", "'/a#b'", "'*'", "http://a/", "/" + Repeat("a", 255)}},
      {"domains[].priority", {"urgent"}},
      {"domains[].quota", {"{burst: 1}", "{rate: 0, burst: 1}", "{rate: 100000001}", "5"}},
      {"domains[].client_quota.burst", {"2"}},
      {"domains[].deny_clients", {"[10.1.0.0/15]", "['fd00::1/64']"}},
      {"domains[].deny_paths", {"[admin]", "['/a?b']"}},
      {"domains[].allow_methods",
       {"['']", "['GET ']", "[GET, GET]", "['A,B']", "[" + Repeat("A", 33) + "]"}},
  };
  for (const auto& [key, values] : bad) {
    for (const std::string& value : values) {
      const LoadResult result = Parse(FileWith(key, value));
      EXPECT_THAT(result.errors, SizeIs(value == "{}" ? 2 : 1)) << key << ": " << value << "\n"
                                                                << Text(result);
    }
  }
}

std::string WithOrigins(const std::string& listeners, const std::string& origins) {
  return "listeners: [" + listeners + "]\ndomains: [{name: a.test, origins: [" + origins + "]}]\n";
}

TEST(FrontConfigTest, NamesThePrefixThatWouldBeRight) {
  EXPECT_THAT(OnlyError(FileWith("domains[].deny_clients", "[10.3.0.0/15]")),
              HasSubstr("the prefix is 10.2.0.0/15"));
  EXPECT_THAT(OnlyError(FileWith("domains[].deny_clients", "['2001:db8::1/33']")),
              HasSubstr("the prefix is 2001:db8::/33"));
  EXPECT_THAT(OnlyError(FileWith("domains[].deny_clients", "[10.3.0.0/0]")),
              HasSubstr("the prefix is 0.0.0.0/0"));
}

TEST(FrontConfigTest, RefusesOriginsThatAreItsListeners) {
  const std::string all = "{address: '0.0.0.0:80'}", one = "{address: '192.0.2.1:80'}";
  EXPECT_THAT(OnlyError(WithOrigins(one, one)), HasSubstr("boosterd would ask itself"));
  EXPECT_THAT(OnlyError(WithOrigins(all, "{address: '127.0.0.1:80'}")),
              HasSubstr("boosterd would ask itself"));
  EXPECT_EQ(Text(Parse(WithOrigins(all, "{address: '127.0.0.1:81'}"))), "");
  EXPECT_EQ(Text(Parse(WithOrigins(one, "{address: '192.0.2.2:80'}"))), "");
  for (const char* host : {"0.0.0.0", "[::]", "224.0.0.1", "[::ffff:10.0.0.1]", "localhost"}) {
    const std::string origin = "{address: '" + std::string(host) + ":81'}";
    EXPECT_THAT(Parse(WithOrigins(one, origin)).errors, SizeIs(1)) << host;
  }
}

TEST(FrontConfigTest, AnOriginHasOneKeyInAllDomains) {
  const auto domain = [](const std::string& name, const std::string& origin) {
    return "  - {name: " + name + ", origins: [{address: '192.0.2.1:80'" + origin + "}]}\n";
  };
  const std::string start = kListeners + std::string("domains:\n") +
                            domain("a.test", ", key_file: /k, catalogue: '192.0.2.1:9466'");
  EXPECT_EQ(Text(Parse(start + domain("b.test", ""))), "");
  EXPECT_EQ(Text(Parse(start + domain("b.test", ", key_file: /k, catalogue: '192.0.2.1:9466'"))),
            "");
  EXPECT_THAT(OnlyError(start + domain("b.test", ", key_file: /l, catalogue: '192.0.2.1:9466'")),
              HasSubstr("key_file: is another than this origin's on line 3"));
  EXPECT_THAT(OnlyError(start + domain("b.test", ", key_file: /k, catalogue: '192.0.2.1:9467'")),
              HasSubstr("catalogue: is another than this origin's on line 3"));
}

TEST(FrontConfigTest, WarnsOfTheDoubtful) {
  const LoadResult result = Parse(R"(listeners: [{address: "0.0.0.0:80"}]
api: {mode: 0666}
metrics: {listen: "0.0.0.0:9465"}
limits: {connections: 100, client_connections: 101}
thin_acks: true
trusted_proxies: ["0.0.0.0/0"]
domains:
  - name: a.test
    origins: [{address: "192.0.2.1:80"}]
    certificate: {chain_file: /c, key_file: /k}
    allow_methods: [get]
)"
                                  "  - name: " +
                                  Repeat("a.", 32) + R"(test
    origins: [{address: "192.0.2.1:80", key_file: /k, catalogue: "192.0.2.1:1"}]
)");
  EXPECT_EQ(Text(result), "");
  std::vector<int> lines;
  for (const Finding& w : result.warnings) lines.push_back(w.line);
  EXPECT_THAT(lines, ElementsAre(2, 3, 4, 5, 6, 10, 11, 12));
  const LoadResult tls = Parse(R"(listeners: [{address: "0.0.0.0:443", tls: true}]
domains:
  - {name: a.test, origins: [{address: "192.0.2.1:80"}], certificate: {chain_file: /c, key_file: /k}}
  - {name: b.test, origins: [{address: "192.0.2.1:80"}]}
)");
  ASSERT_THAT(tls.warnings, SizeIs(1));
  EXPECT_THAT(FormatFinding("f", tls.warnings[0]),
              HasSubstr("f:4:5: domains[1].certificate: the domain is not served"));
}

TEST(FrontConfigTest, TakesTenThousandDomains) {
  std::string most = std::string(kListeners) + "domains:\n";
  for (int i = 0; i < 10000; ++i) {
    const std::string n = std::to_string(i);
    most += "  - {name: d" + n + ".test, aliases: [e" + n +
            ".test], origins: [{address: '192.0.2.1:80'}]}\n";
  }
  const LoadResult result = Parse(most);
  EXPECT_EQ(Text(result), "");
  EXPECT_THAT(result.config.domains, SizeIs(10000));
  const std::string origins = "origins: [{address: '192.0.2.1:80'}]";
  EXPECT_THAT(OnlyError(most + "  - {name: x.test, " + origins + "}\n"),
              HasSubstr("has 10001 items, more than 10000"));
  const size_t alias = most.find("e9999.test");
  std::string names = most;
  EXPECT_THAT(OnlyError(names.insert(alias, "f9999.test, ")),
              HasSubstr("has 20001 names and aliases together, more than 20000"));
  EXPECT_THAT(OnlyError(most.replace(alias, 10, "d500.test ")),
              HasSubstr("is used already by domains[500].name on line 503"));
  EXPECT_THAT(OnlyError(std::string(kMaxFileBytes + 1, ' ')), HasSubstr("larger than 8388608"));
}

TEST(FrontConfigTest, NamesWhatNeedsARestart) {
  const Config running = Parse(FileWith("", "")).config;
  EXPECT_THAT(NeedRestart(running, running), IsEmpty());
  const LoadResult other = Parse(R"(
instance: b
runtime_dir: /run/b
workers: 1
listeners: [{address: "0.0.0.0:81"}]
api: {mode: 0600}
metrics: {listen: ""}
interfaces: [e0]
links: 5
busy_poll: 1ms
log: {level: debug}
domains: [{name: b.test, origins: [{address: "192.0.2.1:80"}]}]
)");
  EXPECT_EQ(Text(other), "");
  EXPECT_THAT(NeedRestart(running, other.config),
              ElementsAre("instance", "runtime_dir", "workers", "listeners", "api", "metrics",
                          "interfaces"));
}

// What goes with VIPs, and what does not.
TEST(FrontConfigTest, RedirectionIsCheckedAsAWhole) {
  const auto file = [](const std::string& redirect, const std::string& of_domain,
                       const std::string& origin = "address: '192.0.2.1:80'") {
    return std::string(kListeners) + "redirect: {" + redirect +
           "}\ndomains: [{name: a.test, origins: [{" + origin + "}], redirect: {" + of_domain +
           "}}]\n";
  };
  const std::string told = "address: '192.0.2.1:80', key_file: /k, catalogue: '192.0.2.1:9466'";
  const LoadResult good =
      Parse(file("interfaces: [eth1], tunnel: [192.0.2.5, 'fd00::5']",
                 "vips: [192.0.2.80, 'fd00::80'], encapsulation: tunnel, mode: auto", told));
  EXPECT_THAT(good.errors, testing::IsEmpty()) << config::Text(good);
  EXPECT_EQ(good.config.domains[0].redirect.mode, BoostMode::kAuto);
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {file("", "vips: [192.0.2.80]"), "needs redirect.interfaces"},
           {file("interfaces: [eth1], tunnel: [192.0.2.5]", "vips: [192.0.2.80], by: bounce"),
            "needs key_file and catalogue"},
           {file("interfaces: [eth1]", "vips: [192.0.2.80], mode: auto"), "they tell their load"},
           {file("interfaces: [eth1]", "vips: [192.0.2.80], by: bounce", told),
            "needs an IPv4 address in redirect.tunnel"},
           {file("interfaces: [eth1], tunnel: [192.0.2.5]",
                 "vips: ['fd00::80'], encapsulation: tunnel"),
            "needs an IPv6 address in redirect.tunnel"},
           {file("interfaces: [eth1]", "vips: [192.0.2.80], raise: 40"), "must be below raise, 40"},
           {file("tunnel: [192.0.2.5, 192.0.2.6]", "vips: []"), "one IPv4 and one IPv6"},
           {file("peers: [192.0.2.6], tunnel: [192.0.2.5]", "vips: []"),
            "needs redirect.peer_key_file"},
           {file("peers: [192.0.2.6], peer_key_file: /k", "vips: []"), "needs redirect.tunnel"},
           {file("etcd: {endpoints: ['127.0.0.1:2379']}", "vips: []"), "is no URL of a server"},
           {file("etcd: {user: a}", "vips: []"), "user and password_file go together"},
           {file("etcd: {key_file: /k}", "vips: []"), "chain_file and key_file go together"},
           {file("etcd: {endpoints: ['http://a/b']}", "vips: []"), "is no URL of a server"}}) {
    EXPECT_THAT(OnlyError(text), testing::HasSubstr(error)) << text;
  }
  const std::string both =
      std::string(kListeners) +
      "redirect: {interfaces: [eth1]}\ndomains:\n"
      "- {name: a.test, origins: [{address: '192.0.2.1:80'}], redirect: {vips: [192.0.2.80]}}\n"
      "- {name: b.test, origins: [{address: '192.0.2.1:80'}], redirect: {vips: [192.0.2.80]}}\n";
  EXPECT_THAT(OnlyError(both), testing::HasSubstr("192.0.2.80 is one of a.test (line 4)"));
}

}  // namespace
}  // namespace wb::front
