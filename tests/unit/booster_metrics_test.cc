// SPDX-License-Identifier: Apache-2.0
// boosterd's metrics: linted by promtool, compared with docs/METRICS-boosterd.md and the alerts,
// and bounded with 10,000 domains.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "booster/boosterd/metrics.h"
#include "tests/unit/booster_view.h"
#include "tests/unit/metrics_scrape.h"

namespace wb::boosterd {
namespace {

using metrics::Scrape;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::filesystem::path kRoot = WB_SOURCE_DIR;

// A domain that has moved, and one that never did.
BoostFigures Moved() {
  BoostFigures figures;
  api::BoostDomain& moved = figures.status.domains.emplace_back();
  moved.name = "site.test";
  moved.mode = "auto";
  moved.state = "boosted";
  moved.load = api::BoostLoad{.cpu_percent = 91, .listen_queue_percent = 7};
  moved.counters = {{"new_local", 12}, {"degraded", 0}};
  api::BoostDomain& calm = figures.status.domains.emplace_back();
  calm.name = "calm.test";
  calm.mode = "off";
  calm.state = "calm";
  figures.status.peers = {{"192.0.2.9", true}};
  figures.decisions[boost::DecisionLog::kBoosts][static_cast<size_t>(boost::Reason::kAboveRaise)] =
      3;
  return figures;
}

Scrape Read(Metrics& of, const View& view, const BoostFigures* boost = nullptr) {
  return metrics::ParseScrape(of.Text(view, 25, boost));
}

class BoosterMetricsTest : public testing::Test {
 protected:
  BoosterMetricsTest() : view_(MakeView({"site.test", "calm.test"})) {
    AddRequests(90, &view_.domains[0].totals);
    DomainTotals& totals = view_.domains[0].totals;
    totals.responses[0] = 1;
    totals.responses[5] = 5;
    totals.request_bytes = 11;
    totals.refused[static_cast<size_t>(front::Cause::kQuota)] = 12;
    totals.active = 13;
  }

  int Promtool(const std::string& text) {
    const std::string base = "/tmp/wbmetrics." + std::to_string(getpid());
    std::ofstream(base + ".in") << text;
    const int code =
        std::system(("promtool check metrics <" + base + ".in >" + base + ".out 2>&1").c_str());
    std::ifstream file(base + ".out");
    output_.assign(std::istreambuf_iterator<char>(file), {});
    std::filesystem::remove(base + ".in");
    std::filesystem::remove(base + ".out");
    return code;
  }

  View view_;
  Metrics metrics_{"9.8.7"};
  std::string output_;
};

std::string FileText(const char* name) {
  std::ifstream file(kRoot / name);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(BoosterMetricsTest, NamesPassPromtool) {
  EXPECT_EQ(Promtool(Read(metrics_, view_).text), 0) << output_;
  EXPECT_THAT(output_, IsEmpty());
  EXPECT_NE(Promtool("# TYPE wb_x_milliseconds counter\nwb_x_milliseconds 1\n"), 0);
}

TEST_F(BoosterMetricsTest, ShowsEveryValue) {
  std::map<std::string, double> expected = {
      {"webbooster_booster_up", 1},
      {R"(webbooster_booster_build_info{version="9.8.7",name="left"})", 1},
      {"webbooster_booster_uptime_seconds", 3725},
      {"webbooster_booster_draining", 0},
      {"webbooster_booster_cpu_seconds_total", 2.5},
      {R"(webbooster_booster_worker_cpu_seconds_total{worker="0"})", 1.5},
      {R"(webbooster_booster_worker_turns_total{worker="0"})", 5},
      {R"(webbooster_booster_access_log_lines_total{result="written"})", 51},
      {R"(webbooster_booster_access_log_lines_total{result="failed"})", 52},
      {R"(webbooster_booster_access_log_lines_total{result="lost"})", 53},
      {"webbooster_booster_api_denied_total", 25},
      {"webbooster_booster_connections_accepted_total", 32},
      {"webbooster_booster_connections", 31},
      {"webbooster_booster_connections_max", 20000},
      {"webbooster_booster_tls_handshakes_total", 33},
      {"webbooster_booster_tls_resumed_total", 34},
      {"webbooster_booster_http2_connections_total", 35},
      {"webbooster_booster_requests_unrouted_total", 36},
      {"webbooster_booster_buffered_bytes", 37},
      {"webbooster_booster_domains", 2},
      {"webbooster_booster_domains_without_origin", 0},
      {"webbooster_booster_origins", 4},
      {"webbooster_booster_origins_down", 2},
      {R"(webbooster_booster_requests_total{domain="site.test",result="none"})", 1},
      {R"(webbooster_booster_requests_total{domain="site.test",result="1xx"})", 0},
      {R"(webbooster_booster_requests_total{domain="site.test",result="2xx"})", 90},
      {R"(webbooster_booster_requests_total{domain="site.test",result="3xx"})", 0},
      {R"(webbooster_booster_requests_total{domain="site.test",result="4xx"})", 0},
      {R"(webbooster_booster_requests_total{domain="site.test",result="5xx"})", 5},
      {R"(webbooster_booster_requests_active{domain="site.test"})", 13},
      {R"(webbooster_booster_requests_refused_total{domain="site.test",reason="quota"})", 12},
      {R"(webbooster_booster_request_bytes_total{domain="site.test"})", 11},
      {R"(webbooster_booster_response_bytes_total{domain="site.test"})", 90000},
      {R"(webbooster_booster_request_duration_seconds_count{domain="site.test"})", 90},
      {R"(webbooster_booster_request_duration_seconds_sum{domain="site.test"})", 0.27},
      {R"(webbooster_booster_domain_origins_up{domain="site.test"})", 1},
  };
  for (size_t i = 0; i < front::kEndNames.size(); ++i)
    expected[std::string("webbooster_booster_connections_ended_total{reason=\"") +
             front::kEndNames[i] + "\"}"] = static_cast<double>(40 + i);
  for (const char* le : {"0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
                         "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf"})
    expected[std::string("webbooster_booster_request_duration_seconds_bucket{domain=\"site.test\","
                         "le=\"") +
             le + "\"}"] = std::strtod(le, nullptr) >= 0.005 ? 90 : 0;
  for (const std::string name : {"site.test", "calm.test"}) {
    const std::string up = "{origin=\"" + name + ":81\"", down = "{origin=\"" + name + ":82\"";
    const std::string area = "webbooster_booster_origin_";
    expected[area + "up" + up + "}"] = 1;
    expected[area + "up" + down + "}"] = 0;
    expected[area + "changes_total" + up + "}"] = 0;
    expected[area + "changes_total" + down + "}"] = 3;
    expected[area + "requests_total" + up + ",result=\"hit\"}"] = 75;
    expected[area + "requests_total" + up + ",result=\"miss\"}"] = 25;
    expected[area + "retries_total" + up + "}"] = 9;
    expected[area + "coalesced_total" + up + "}"] = 11;
    expected[area + "requests_waiting" + up + "}"] = 7;
    expected[area + "links" + up + "}"] = 2;
    expected[area + "connections_busy" + up + "}"] = 8;
    expected["webbooster_booster_catalogue_keys" + up + "}"] = 6;
    for (const char* zero :
         {"retries_total", "coalesced_total", "requests_waiting", "links", "connections_busy"})
      expected[area + zero + down + "}"] = 0;
    expected[area + "requests_total" + down + ",result=\"hit\"}"] = 0;
    expected[area + "requests_total" + down + ",result=\"miss\"}"] = 0;
    expected["webbooster_booster_catalogue_keys" + down + "}"] = 0;
  }
  EXPECT_EQ(Read(metrics_, view_).samples, expected);
}

TEST_F(BoosterMetricsTest, NamesEachReasonOfARefusal) {
  front::DomainCounters counters;
  for (size_t i = 0; i < front::kCauses; ++i) counters.refused[i].Add(100 + i);
  view_.domains[0].totals = {};
  counters.responses[5].Add();
  view_.domains[0].totals.Add(counters);
  const std::string before = "webbooster_booster_requests_refused_total{";
  std::map<std::string, double> found, expected;
  const Scrape scrape = Read(metrics_, view_);
  for (const auto& [sample, value] : scrape.samples) {
    if (sample.starts_with(before)) found[sample.substr(before.size())] = value;
  }
  double value = 100;
  const std::string docs = FileText("docs/METRICS-boosterd.md");
  for (const std::string reason :
       {"filter", "method", "client_quota", "quota", "overload", "share", "other_host", "request",
        "slow_client", "origin", "origin_late", "cut"}) {
    expected[R"(domain="site.test",reason=")" + reason + "\"}"] = value++;
    EXPECT_THAT(docs, HasSubstr("`" + reason + "`"));
  }
  EXPECT_EQ(found, expected);
}

TEST_F(BoosterMetricsTest, DocumentationMatchesTheScrape) {
  std::map<std::string, std::string> documented, found;
  std::istringstream lines(FileText("docs/METRICS-boosterd.md"));
  const std::regex row(R"(\| `([a-z_0-9]+)` \| (gauge|counter|histogram) \|([^|]*)\| [^|]+\|)");
  const std::regex quoted("`([a-z]+)`"), label("([a-z]+)=\"");
  for (std::string line; std::getline(lines, line);) {
    std::smatch cells;
    if (!std::regex_match(line, cells, row)) continue;
    const std::string list = cells[3];
    std::set<std::string> labels;
    for (std::sregex_iterator it(list.begin(), list.end(), quoted), end; it != end; ++it)
      labels.insert((*it)[1]);
    std::string& value = documented[cells[1]] = cells[2];
    for (const std::string& one : labels) value += " " + one;
  }
  const BoostFigures boost = Moved();
  const Scrape scrape = Read(metrics_, view_, &boost);
  for (const auto& [name, type] : scrape.types) {
    std::set<std::string> labels;
    for (const auto& [sample, value] : scrape.samples) {
      if (!sample.starts_with(name + "{")) continue;
      for (std::sregex_iterator it(sample.begin(), sample.end(), label), end; it != end; ++it)
        labels.insert((*it)[1]);
    }
    if (type == "histogram") labels.insert("domain");
    found[name] = type;
    for (const std::string& text : labels) found[name] += " " + text;
  }
  EXPECT_EQ(documented, found);
}

TEST_F(BoosterMetricsTest, TellsWhereDomainsAre) {
  const BoostFigures boost = Moved();
  std::map<std::string, double> found;
  for (const auto& [sample, value] : Read(metrics_, view_, &boost).samples) {
    if (sample.starts_with("webbooster_boost_") || sample.starts_with("webbooster_director_"))
      found[sample] = value;
  }
  const std::map<std::string, double> expected = {
      {"webbooster_boost_domains{state=\"boosted\"}", 1},
      {"webbooster_boost_domains{state=\"calm\"}", 1},
      {"webbooster_boost_domains{state=\"draining\"}", 0},
      {"webbooster_boost_decisions_total{direction=\"boost\",reason=\"above_raise\"}", 3},
      {"webbooster_boost_store_healthy", 1},
      {"webbooster_boost_peer_alive{peer=\"192.0.2.9\"}", 1},
      {"webbooster_boost_domain_boosted{domain=\"site.test\"}", 1},
      {"webbooster_boost_origin_load_ratio{domain=\"site.test\",of=\"cpu\"}", 0.91},
      {"webbooster_boost_origin_load_ratio{domain=\"site.test\",of=\"listen_queue\"}", 0.07},
      {"webbooster_director_packets_total{domain=\"site.test\",result=\"new_local\"}", 12}};
  EXPECT_EQ(found, expected);
}

TEST_F(BoosterMetricsTest, RulesNameWhatExistsAndAreDocumented) {
  const std::string rules = FileText("deploy/prometheus/boosterd.rules.yml");
  const std::string docs = FileText("docs/METRICS-boosterd.md");
  const BoostFigures boost = Moved();
  const Scrape scrape = Read(metrics_, view_, &boost);
  const std::regex name(R"(\bwebbooster_(booster|boost|director)_[a-z_0-9]+)");
  size_t uses = 0;
  for (std::sregex_iterator it(rules.begin(), rules.end(), name), end; it != end; ++it, ++uses) {
    std::string metric = it->str();
    if (metric.ends_with("_bucket")) metric.resize(metric.size() - 7);
    EXPECT_TRUE(scrape.types.contains(metric)) << metric;
  }
  EXPECT_GT(uses, 10u);
  const std::regex alert(R"(alert: ([A-Za-z]+)[^]*?severity: ([a-z]+))");
  size_t alerts = 0;
  for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it, ++alerts)
    EXPECT_THAT(docs, HasSubstr("| `" + (*it)[1].str() + "` | " + (*it)[2].str() + " |"));
  EXPECT_EQ(alerts, 9u);
  const std::string rules_file = (kRoot / "deploy/prometheus/boosterd.rules.yml").string();
  EXPECT_EQ(std::system(("promtool check rules " + rules_file + " >/dev/null").c_str()), 0);
}

// An hour of calm, then trouble of every kind.
TEST_F(BoosterMetricsTest, AlertsFireWhenTheyShouldAndNotBefore) {
  struct Series {
    const char *name, *calm, *bad;  // the name without job and instance
  };
  const Series all[] = {
      {"up{", "1x60", "0x40"},
      {"webbooster_booster_up{", "1x60", "0x40"},
      {"webbooster_booster_origin_up{origin=\"a\",", "1x60", "0x40"},
      {"webbooster_booster_domains_without_origin{", "0x60", "1x40"},
      {"webbooster_booster_requests_total{domain=\"s\",result=\"2xx\",", "0+600x60",
       "36600+600x40"},
      {"webbooster_booster_requests_total{domain=\"s\",result=\"5xx\",", "0+6x60", "366+60x40"},
      {"webbooster_booster_requests_refused_total{domain=\"s\",reason=\"quota\",", "0+6x60",
       "366+60x40"},
      {"webbooster_booster_request_duration_seconds_bucket{domain=\"s\",le=\"0.5\",", "0+600x60",
       "36000x40"},
      {"webbooster_booster_request_duration_seconds_bucket{domain=\"s\",le=\"5\",", "0+600x60",
       "36600+600x40"},
      {"webbooster_booster_request_duration_seconds_bucket{domain=\"s\",le=\"+Inf\",", "0+600x60",
       "36600+600x40"},
      {"webbooster_booster_connections{", "500x60", "950x40"},
      {"webbooster_booster_connections_max{", "1000x60", "1000x40"},
      {"webbooster_booster_access_log_lines_total{result=\"lost\",", "7x60", "7+3x40"},
  };
  std::ostringstream test;
  test << "rule_files: [" << (kRoot / "deploy/prometheus/boosterd.rules.yml").string()
       << "]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n";
  for (const Series& s : all)
    test << "      - series: '" << s.name << "job=\"boosterd\",instance=\"b\"}'\n"
         << "        values: '" << s.calm << " " << s.bad << "'\n";
  const char* query = "        - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n";
  test << "    promql_expr_test:\n"
       << query << "          eval_time: 59m\n          exp_samples: []\n"
       << query << "          eval_time: 95m\n          exp_samples:\n";
  const std::string rules = FileText("deploy/prometheus/boosterd.rules.yml");
  const std::regex alert("alert: ([A-Za-z]+)");
  for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it)
    test << "            - {labels: '{alertname=\"" << (*it)[1] << "\"}', value: 1}\n";
  const std::string file = "/tmp/wbrules." + std::to_string(getpid()) + ".yml";
  std::ofstream(file) << test.str();
  EXPECT_EQ(std::system(("promtool test rules " + file + " >&2").c_str()), 0) << test.str();
  std::filesystem::remove(file);
}

TEST_F(BoosterMetricsTest, EscapesHostileLabels) {
  view_ = MakeView({"a\"\\\n\xff%b"});
  AddRequests(1, &view_.domains[0].totals);
  const Scrape scrape = Read(metrics_, view_);
  EXPECT_EQ(Promtool(scrape.text), 0) << output_;
  EXPECT_THAT(scrape.text, HasSubstr(R"({domain="a\"\\%0A%FF%25b"})"));
}

// What came late is one series, and no other moves into it or out of it.
TEST_F(BoosterMetricsTest, BoundsSeriesWithTenThousandDomains) {
  std::vector<std::string> names;
  for (size_t i = 0; i < front::kMaxDomains; ++i)
    names.push_back("d" + std::to_string(i) + ".test");
  view_ = MakeView(names);
  for (OriginView& origin : view_.origins) origin.hits = origin.misses = origin.changes = 0;
  AddRequests(5, &view_.domains[9999].totals);
  EXPECT_EQ(Read(metrics_, view_)
                .samples.count(R"(webbooster_booster_requests_active{domain="d9999.test"})"),
            1u);
  for (DomainView& domain : view_.domains) AddRequests(2, &domain.totals);
  for (OriginView& origin : view_.origins) origin.hits = 1;
  const auto start = std::chrono::steady_clock::now();
  const Scrape scrape = Read(metrics_, view_);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::cout << scrape.text.size() << " bytes, " << scrape.samples.size()
            << " series, made and read in " << took.count() << " s\n";
  EXPECT_LT(scrape.text.size(), 6u << 20);
  EXPECT_EQ(
      scrape.samples.at(R"(webbooster_booster_requests_total{domain="d9999.test",result="2xx"})"),
      7);
  EXPECT_EQ(scrape.samples.at(R"(webbooster_booster_requests_total{domain="*",result="2xx"})"),
            2.0 * (front::kMaxDomains - kMostSeries));
  EXPECT_EQ(scrape.samples.at(R"(webbooster_booster_origin_up{origin="*"})"), 0);
  EXPECT_EQ(scrape.samples.at("webbooster_booster_origins_down"), front::kMaxDomains);
  size_t own = 0;
  for (const auto& [sample, value] : scrape.samples)
    own += sample.starts_with("webbooster_booster_requests_active{");
  EXPECT_EQ(own, kMostSeries + 1);
  view_.domains[0].totals = {};
  EXPECT_THAT(Read(metrics_, view_).text, Not(HasSubstr("\"d0.test\"")));
}

}  // namespace
}  // namespace wb::boosterd
