// SPDX-License-Identifier: Apache-2.0
// The metrics as Prometheus sees them: scraped over HTTP, linted by promtool, compared with
// docs/METRICS.md; and the alert rules, run by promtool on made-up series.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // <regex> of GCC 12 with sanitizers
#endif
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ctl/metrics/collector.h"
#include "ctl/metrics/exporter.h"
#include "webbooster/abi/reasons.h"

namespace wb::metrics {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::filesystem::path kRoot = WB_SOURCE_DIR;

class FakeService : public api::Service {
 public:
  absl::StatusOr<api::ServerStatus> GetStatus() override { return Answer(fail_status, status); }
  absl::StatusOr<std::vector<api::DomainInfo>> ListDomains() override {
    return Answer(fail_domains, domains);
  }
  absl::StatusOr<std::vector<api::ReasonCount>> Reasons() override {
    if (throw_reasons) throw std::runtime_error("a bug in the service");
    return Answer(fail_reasons, reasons);
  }
  absl::StatusOr<api::VersionInfo> Version() override { return Unused(); }
  absl::Status EnableDomain(const std::string&) override { return Unused(); }
  absl::Status DisableDomain(const std::string&) override { return Unused(); }
  absl::StatusOr<api::CacheList> ListCache(const api::CacheFilter&) override { return Unused(); }
  absl::StatusOr<uint64_t> Purge(const api::PurgeRequest&) override { return Unused(); }
  absl::StatusOr<api::AttachResult> Attach(const std::string&, api::AttachMode) override {
    return Unused();
  }
  absl::StatusOr<std::vector<api::WarmResult>> Warm(const std::vector<std::string>&,
                                                    const absl::Notification&) override {
    return Unused();
  }
  absl::StatusOr<api::DetachResult> Detach(const api::DetachRequest&,
                                           const absl::Notification&) override {
    return Unused();
  }

  // Every number differs from every other, so that a mix-up shows.
  FakeService() {
    status.version = "9.8.7";
    status.uptime_s = 3725;
    status.mode = api::RunMode::kDrain;
    status.adopted = true;
    status.interfaces = {{"wbt0", 7, api::AttachMode::kGeneric, "LRO is on", ""},
                         {"wbt1", 8, api::AttachMode::kNative, "", ""},
                         {"wbt2", 0, api::AttachMode::kAuto, "not attached: no such", ""}};
    status.connections = {5, 3, 65536, 1234567, 11};
    status.cache = {12, 13, 14, 15, 16, 17, 18, {{"set_cookie", 4}, {"vary", 6}}, 19, 20, 21};
    status.repairs = {22, 23, 24};
    status.heartbeat_age_ms = 12;
    status.lease_ms = 500;
    domains = {{"site.test", true, {"198.18.0.1:80"}, "/srv/www", 31, 32, 33, 34, 35, 36, 37},
               {"other.test", false, {}, "", 41, 42, 43, 44, 45, 46, 9007199254740991}};
#define WB_X(NAME, label, hook, text) reasons.push_back({hook, label, text, 100u + WB_R_##NAME});
    WB_REASONS(WB_X)
#undef WB_X
  }

  api::ServerStatus status;
  std::vector<api::DomainInfo> domains;
  std::vector<api::ReasonCount> reasons;
  std::atomic<bool> fail_status = false, fail_domains = false, fail_reasons = false,
                    throw_reasons = false;

 private:
  template <typename T>
  static absl::StatusOr<T> Answer(bool fail, const T& value) {
    if (fail) return absl::UnavailableError("not now");
    return value;
  }
  static absl::Status Unused() { return absl::UnimplementedError("not for metrics"); }
};

// What comes back for GET `path`, header included.
std::string Get(uint16_t port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), ssize_t(request.size()));
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

struct Scrape {
  std::string text;
  std::map<std::string, std::string> types;  // By family.
  std::map<std::string, double> samples;     // By name with labels, as written.
};

Scrape Parse(const std::string& answer) {
  Scrape scrape;
  const size_t body = answer.find("\r\n\r\n");
  scrape.text = body == std::string::npos ? "" : answer.substr(body + 4);
  std::istringstream lines(scrape.text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, type;
    if (line.starts_with("# TYPE ")) {
      words >> hash >> kind >> name >> type;
      EXPECT_TRUE(scrape.types.emplace(name, type).second) << line;
    } else if (!line.starts_with("#")) {
      const size_t space = line.rfind(' ');
      const auto [at, fresh] =
          scrape.samples.emplace(line.substr(0, space), std::stod(line.substr(space + 1)));
      EXPECT_TRUE(fresh) << "doubled: " << line;
    }
  }
  return scrape;
}

class MetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/wbmetrics.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    auto exporter = Exporter::Start("127.0.0.1:0", std::make_shared<Collector>(service_, "left"));
    ASSERT_TRUE(exporter.ok()) << exporter.status();
    exporter_ = *std::move(exporter);
  }
  void TearDown() override {
    exporter_.reset();
    std::filesystem::remove_all(dir_);
  }
  Scrape Read() const { return Parse(Get(exporter_->port(), "/metrics")); }

  // The exit code of `promtool ARGUMENTS < (a file with input)`; what it prints goes to `output_`.
  int Promtool(const std::string& arguments, const std::string& input = "") {
    std::ofstream(dir_ / "input") << input;
    const std::string out = (dir_ / "output").string();
    const int status = std::system(
        ("promtool " + arguments + " < " + (dir_ / "input").string() + " > " + out + " 2>&1")
            .c_str());
    std::ifstream file(out);
    output_.assign(std::istreambuf_iterator<char>(file), {});
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  FakeService service_;
  std::unique_ptr<Exporter> exporter_;
  std::filesystem::path dir_;
  std::string output_;
};

TEST_F(MetricsTest, NamesPassPromtool) {
  EXPECT_EQ(Promtool("check metrics", Read().text), 0) << output_;
  EXPECT_THAT(output_, IsEmpty());
  // The linter is really there and strict.
  EXPECT_NE(Promtool("check metrics", "# TYPE wb_x_milliseconds counter\nwb_x_milliseconds 1\n"),
            0);
}

TEST_F(MetricsTest, NamesFollowTheScheme) {
  const std::regex scheme("webbooster(_[a-z]+)+");
  for (const auto& [name, type] : Read().types) {
    if (name.starts_with("exposer_")) continue;
    EXPECT_TRUE(std::regex_match(name, scheme)) << name;
    EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
  }
}

// "type label,label" of each metric.
std::map<std::string, std::string> Documented() {
  std::map<std::string, std::string> rows;
  std::ifstream file(kRoot / "docs/METRICS.md");
  const std::regex row(R"(\| `([a-z_]+)` \| (gauge|counter|summary) \|([^|]*)\| [^|]+\|)");
  const std::regex label("`([a-z]+)`");
  for (std::string line; std::getline(file, line);) {
    std::smatch cells;
    if (!std::regex_match(line, cells, row)) continue;
    const std::string list = cells[3];
    std::set<std::string> labels;
    for (std::sregex_iterator it(list.begin(), list.end(), label), end; it != end; ++it)
      labels.insert((*it)[1]);
    std::string value = cells[2];
    for (const std::string& name : labels) value += " " + name;
    EXPECT_TRUE(rows.emplace(cells[1], value).second) << line;
  }
  return rows;
}

TEST_F(MetricsTest, DocumentationMatchesTheScrape) {
  const Scrape scrape = Read();
  std::map<std::string, std::string> found;
  const std::regex label("([a-z]+)=\"");
  for (const auto& [name, type] : scrape.types) {
    std::set<std::string> labels;
    for (const auto& [sample, value] : scrape.samples) {
      if (!sample.starts_with(name + "{")) continue;
      for (std::sregex_iterator it(sample.begin(), sample.end(), label), end; it != end; ++it)
        labels.insert((*it)[1]);
    }
    found[name] = type;
    for (const std::string& text : labels) found[name] += " " + text;
  }
  EXPECT_EQ(Documented(), found);
}

TEST_F(MetricsTest, ShowsEveryValue) {
  std::map<std::string, double> expected = {
      {"webbooster_up", 1},
      {R"(webbooster_build_info{version="9.8.7",name="left"})", 1},
      {"webbooster_uptime_seconds", 3725},
      {"webbooster_adopted", 1},
      {"webbooster_draining", 1},
      {"webbooster_heartbeat_age_seconds", 0.012},
      {"webbooster_lease_seconds", 0.5},
      {"webbooster_interfaces", 2},
      {"webbooster_interfaces_missing", 1},
      {R"(webbooster_interface_info{interface="wbt0",mode="generic"})", 1},
      {R"(webbooster_interface_info{interface="wbt1",mode="native"})", 1},
      {R"(webbooster_connections{state="followed"})", 5},
      {R"(webbooster_connections{state="spliced"})", 3},
      {"webbooster_connections_max", 65536},
      {"webbooster_connections_opened_total", 1234567},
      {"webbooster_connections_refused_total", 11},
      {R"(webbooster_repairs_total{cause="sack"})", 22},
      {R"(webbooster_repairs_total{cause="request"})", 23},
      {R"(webbooster_repairs_total{cause="timer"})", 24},
      {"webbooster_cache_objects", 12},
      {"webbooster_cache_variants", 13},
      {"webbooster_cache_used_bytes", 14},
      {"webbooster_cache_budget_bytes", 15},
      {"webbooster_cache_arena_bytes", 16},
      {"webbooster_fills_total", 17},
      {"webbooster_fills_failed_total", 18},
      {R"(webbooster_fills_refused_total{reason="set_cookie"})", 4},
      {R"(webbooster_fills_refused_total{reason="vary"})", 6},
      {"webbooster_cache_evictions_total", 19},
      {"webbooster_cache_purges_total", 20},
      {"webbooster_cache_invalidations_total", 21},
      {"webbooster_domains", 2},
      {R"(webbooster_domain_enabled{domain="site.test"})", 1},
      {R"(webbooster_domain_enabled{domain="other.test"})", 0},
      {R"(webbooster_domain_objects{domain="site.test"})", 31},
      {R"(webbooster_domain_objects{domain="other.test"})", 41},
      {R"(webbooster_domain_used_bytes{domain="site.test"})", 32},
      {R"(webbooster_domain_used_bytes{domain="other.test"})", 42},
      {R"(webbooster_requests_total{domain="site.test",result="hit"})", 33},
      {R"(webbooster_requests_total{domain="site.test",result="miss"})", 35},
      {R"(webbooster_requests_total{domain="other.test",result="hit"})", 43},
      {R"(webbooster_requests_total{domain="other.test",result="miss"})", 45},
      {R"(webbooster_requests_keyed_total{domain="site.test"})", 34},
      {R"(webbooster_requests_keyed_total{domain="other.test"})", 44},
      {R"(webbooster_response_bytes_total{domain="site.test"})", 36},
      {R"(webbooster_response_bytes_total{domain="other.test"})", 46},
      {R"(webbooster_response_segments_total{domain="site.test"})", 37},
      {R"(webbooster_response_segments_total{domain="other.test"})", 9007199254740991},
  };
#define WB_X(NAME, label, hook, text)                                            \
  expected["webbooster_packets_total{hook=\"" hook "\",reason=\"" label "\"}"] = \
      100 + int{WB_R_##NAME};
  WB_REASONS(WB_X)
#undef WB_X
  std::map<std::string, double> ours = Read().samples;
  std::erase_if(ours, [](const auto& sample) { return sample.first.starts_with("exposer_"); });
  EXPECT_EQ(ours, expected);
}

TEST_F(MetricsTest, ReadsAnewAtEveryScrape) {
  EXPECT_EQ(Read().samples.at("webbooster_cache_purges_total"), 20);
  service_.status.cache.purges = 77;
  service_.status.mode = api::RunMode::kServe;
  const Scrape scrape = Read();
  EXPECT_EQ(scrape.samples.at("webbooster_cache_purges_total"), 77);
  EXPECT_EQ(scrape.samples.at("webbooster_draining"), 0);
}

TEST_F(MetricsTest, BoundsSeriesWhateverTheServiceSays) {
  service_.status.cache.fills_refused.clear();
  for (int i = 0; i < 1000; ++i)
    service_.status.cache.fills_refused["reason_" + std::to_string(i)] = 1;
  service_.status.cache.fills_refused["http://site.test/a?b=\"c\"\n"] = 5;
  const Scrape scrape = Read();
  size_t series = 0;
  double sum = 0;
  for (const auto& [sample, value] : scrape.samples) {
    EXPECT_THAT(sample, Not(HasSubstr("http")));
    if (!sample.starts_with("webbooster_fills_refused_total")) continue;
    ++series;
    sum += value;
  }
  EXPECT_LE(series, kMaxFillReasons + 1);
  EXPECT_EQ(sum, 1005);
  EXPECT_EQ(Promtool("check metrics", scrape.text), 0) << output_;
}

TEST_F(MetricsTest, EscapesHostileLabels) {
  service_.status.interfaces = {{"a\"\\\n\xff%b", 7, api::AttachMode::kNative, "", ""}};
  const Scrape scrape = Read();
  EXPECT_EQ(Promtool("check metrics", scrape.text), 0) << output_;
  EXPECT_THAT(scrape.text, HasSubstr(R"({interface="a\"\\%0A%FF%25b",mode="native"} 1)"));
}

TEST_F(MetricsTest, LeavesOutWhatCannotBeRead) {
  service_.fail_domains = true;
  Scrape scrape = Read();
  EXPECT_EQ(scrape.samples.at("webbooster_up"), 0);
  EXPECT_FALSE(scrape.types.contains("webbooster_requests_total"));
  EXPECT_TRUE(scrape.types.contains("webbooster_heartbeat_age_seconds"));
  EXPECT_TRUE(scrape.types.contains("webbooster_packets_total"));

  service_.fail_status = true;
  service_.throw_reasons = true;
  scrape = Read();
  std::erase_if(scrape.samples, [](const auto& s) { return s.first.starts_with("exposer_"); });
  EXPECT_EQ(scrape.samples, (std::map<std::string, double>{{"webbooster_up", 0}}));

  service_.fail_status = service_.fail_domains = service_.throw_reasons = false;
  service_.fail_reasons = true;
  EXPECT_EQ(Read().samples.at("webbooster_up"), 0);
  service_.fail_reasons = false;
  EXPECT_EQ(Read().samples.at("webbooster_up"), 1);
}

TEST_F(MetricsTest, ServesNothingButMetrics) {
  EXPECT_THAT(Get(exporter_->port(), "/metrics"), HasSubstr("200 OK"));
  for (const char* path : {"/", "/metric", "/../../etc/passwd", "//etc/passwd"})
    EXPECT_THAT(Get(exporter_->port(), path), Not(HasSubstr("200 OK"))) << path;
}

TEST_F(MetricsTest, ServesScrapesAtOnceAndStops) {
  std::vector<std::thread> clients;
  std::atomic<int> whole = 0;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&] {
      for (int n = 0; n < 20; ++n) whole += Read().samples.contains("webbooster_up");
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(whole, 80);
  const uint16_t port = exporter_->port();
  exporter_->Stop();
  exporter_->Stop();
  EXPECT_THAT(Get(port, "/metrics"), IsEmpty());
}

TEST_F(MetricsTest, SaysWhyItCannotListen) {
  const auto start = [&](const std::string& listen) {
    return Exporter::Start(listen, std::make_shared<Collector>(service_)).status();
  };
  const std::string taken = "127.0.0.1:" + std::to_string(exporter_->port());
  EXPECT_EQ(start(taken).message(), "cannot listen on " + taken + ": Address already in use");
  EXPECT_THAT(std::string(start("192.0.2.1:0").message()),
              HasSubstr("Cannot assign requested address"));
  EXPECT_THAT(std::string(start("no-host.invalid:0").message()), HasSubstr("no-host.invalid"));
  for (const char* bad :
       {"", "9464", ":9464", "127.0.0.1:", "127.0.0.1:80s", "127.0.0.1:65536", "127.0.0.1:-1"})
    EXPECT_THAT(std::string(start(bad).message()), HasSubstr("is not HOST:PORT")) << bad;
  for (const char* bad : {"127.0.0.1:1,127.0.0.1:2", "+:1"})
    EXPECT_TRUE(absl::IsInvalidArgument(start(bad))) << bad << ": " << start(bad);
  EXPECT_TRUE(absl::IsUnimplemented(start("[::1]:0"))) << start("[::1]:0");
  // Another exporter may have the port once this one has stopped.
  exporter_->Stop();
  EXPECT_TRUE(start(taken).ok());
}

TEST_F(MetricsTest, RulesAndExampleAreValid) {
  const std::string dir = (kRoot / "deploy/prometheus").string();
  EXPECT_EQ(Promtool("check rules " + dir + "/webbooster.rules.yml"), 0) << output_;
  EXPECT_EQ(Promtool("check config " + dir + "/prometheus.yml"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("1 rule files found"));
}

std::string RulesText() {
  std::ifstream file(kRoot / "deploy/prometheus/webbooster.rules.yml");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(MetricsTest, RulesNameOnlyMetricsThatExist) {
  const std::string rules = RulesText();
  const Scrape scrape = Read();
  const std::regex name(R"(\bwebbooster_[a-z_]+)");
  size_t uses = 0;
  for (std::sregex_iterator it(rules.begin(), rules.end(), name), end; it != end; ++it, ++uses)
    EXPECT_TRUE(scrape.types.contains(it->str())) << it->str();
  EXPECT_GT(uses, 10u);
}

bool IsReason(const std::string& word) {
#define WB_X(NAME, label, hook, text) \
  if (word == label) return true;
  WB_REASONS(WB_X)
#undef WB_X
  return false;
}

TEST_F(MetricsTest, RulesAndManualsNameOnlyReasonsThatExist) {
  const auto expect_reasons = [](const std::string& text, const std::regex& pattern) {
    size_t uses = 0;
    for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it, ++uses)
      EXPECT_TRUE(IsReason((*it)[1])) << it->str();
    EXPECT_GT(uses, 1u);
  };
  expect_reasons(RulesText(), std::regex("reason=\"([a-z_]+)\""));
  std::ifstream file(kRoot / "docs/OPERATIONS.md");
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  const size_t no_hits = manual.find("* *No hits*");
  ASSERT_NE(no_hits, std::string::npos);
  expect_reasons(manual.substr(no_hits, manual.find("\n* ", no_hits) - no_hits),
                 std::regex("`([a-z_]+)`: "));
}

// Series that go wrong after seven calm hours (one of them without requests), and the alerts that
// are firing then.
TEST_F(MetricsTest, AlertsFireWhenTheyShouldAndNotBefore) {
  struct Series {
    const char* name;  // Without job and instance.
    const char* calm;
    const char* bad;
  };
  const Series all[] = {
      {"up{", "1x420", "0x40"},
      {"webbooster_up{", "1x420", "0x40"},
      {"webbooster_heartbeat_age_seconds{", "0.01x420", "3x40"},
      {"webbooster_lease_seconds{", "0.5x420", "0.5x40"},
      {"webbooster_interfaces{", "2x420", "1x20 0x20"},
      {"webbooster_interface_info{interface=\"a\",mode=\"native\",", "1x420", "_x40"},
      {"webbooster_interface_info{interface=\"a\",mode=\"generic\",", "_x420", "1x40"},
      {"webbooster_draining{", "0x420", "1x40"},
      {"webbooster_requests_total{domain=\"s\",result=\"hit\",",
       "0+5400x200 1080000x60 1080000+5400x158", "1933200+600x40"},
      {"webbooster_requests_total{domain=\"s\",result=\"miss\",",
       "0+600x200 120000x60 120000+600x158", "214800+5400x40"},
      {"webbooster_packets_total{hook=\"sock\",reason=\"table_full\",", "7x420", "7+3x40"},
      {"webbooster_packets_total{hook=\"in\",reason=\"event_lost\",", "7x420", "7+3x40"},
      {"webbooster_connections{state=\"followed\",", "800x420", "950x40"},
      {"webbooster_connections{state=\"spliced\",", "700x420", "700x40"},
      {"webbooster_connections_max{", "1000x420", "1000x40"},
      {"webbooster_repairs_total{cause=\"timer\",", "0+5x420", "2100+60x40"},
      {"webbooster_repairs_total{cause=\"sack\",", "0+500x420", "210000+500x40"},
      {"webbooster_fills_total{", "0+10x420", "4200+10x40"},
      {"webbooster_fills_failed_total{", "0+1x420", "420+9x40"},
  };
  std::ostringstream test;
  test << "rule_files: [" << (kRoot / "deploy/prometheus/webbooster.rules.yml").string()
       << "]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n";
  for (const Series& s : all) {
    test << "      - series: '" << s.name << "job=\"webbooster\",instance=\"o\"}'\n"
         << "        values: '" << s.calm << " " << s.bad << "'\n";
  }
  const char* query = "        - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n";
  test << "    promql_expr_test:\n"
       << query << "          eval_time: 419m\n          exp_samples: []\n";
  // At the end all fire but the warning that gave way to WebboosterDetached; it fires before.
  const std::regex alert("alert: ([A-Za-z]+)");
  const std::string rules = RulesText();
  test << query << "          eval_time: 458m\n          exp_samples:\n";
  size_t alerts = 0;
  for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it, ++alerts) {
    if ((*it)[1] == "WebboosterInterfaceDetached") continue;
    test << "            - {labels: '{alertname=\"" << (*it)[1] << "\"}', value: 1}\n";
  }
  EXPECT_EQ(alerts, 13u);
  test << "        - expr: "
          "count(ALERTS{alertstate=\"firing\",alertname=\"WebboosterInterfaceDetached\"})\n"
       << "          eval_time: 435m\n          exp_samples: [{labels: '{}', value: 1}]\n";
  std::ofstream(dir_ / "test.yml") << test.str();
  EXPECT_EQ(Promtool("test rules " + (dir_ / "test.yml").string()), 0) << output_;
}

TEST_F(MetricsTest, EveryAlertIsDocumented) {
  std::ifstream file(kRoot / "docs/METRICS.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  const std::string rules = RulesText();
  const std::regex alert("alert: ([A-Za-z]+)[^}]*severity: ([a-z]+)");
  for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it)
    EXPECT_THAT(docs, HasSubstr("| `" + (*it)[1].str() + "` | " + (*it)[2].str() + " |"));
}

}  // namespace
}  // namespace wb::metrics
