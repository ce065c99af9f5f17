// SPDX-License-Identifier: Apache-2.0
// The metrics as Prometheus sees them: scraped over HTTP, linted by promtool, compared with
// docs/METRICS.md.
#include <gmock/gmock.h>

#include <regex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/unit/metrics_fixture.h"

namespace wb::metrics {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

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
  const std::regex row(
      R"(\| `([a-z_]+)` \| (gauge|counter|summary|histogram) \|([^|]*)\| [^|]+\|)");
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
      {"webbooster_config_last_reload_successful", 0},
      {"webbooster_config_last_reload_success_timestamp_seconds", 1767323045},
      {"webbooster_config_hash", 255},
      {R"(webbooster_config_reloads_total{result="success"})", 51},
      {R"(webbooster_config_reloads_total{result="failure"})", 52},
      {"webbooster_heartbeat_age_seconds", 0.012},
      {"webbooster_lease_seconds", 0.5},
      {"webbooster_api_denied_total", 25},
      {"webbooster_interfaces", 2},
      {"webbooster_interfaces_missing", 1},
      {R"(webbooster_interface_info{interface="wbt0",mode="generic"})", 1},
      {R"(webbooster_interface_info{interface="wbt1",mode="native"})", 1},
      {R"(webbooster_interface_shadow{interface="wbt0"})", 1},
      {R"(webbooster_interface_shadow{interface="wbt1"})", 0},
      {R"(webbooster_bulk_path{interface="wbt0",path="packet"})", 1},
      {"webbooster_bulk_transfers_active", 201},
      {R"(webbooster_bulk_transfers_total{result="done"})", 203},
      {R"(webbooster_bulk_transfers_total{result="given_up"})", 204},
      {R"(webbooster_bulk_transfers_total{result="reset"})", 205},
      {R"(webbooster_bulk_transfers_total{result="refused"})", 206},
      {"webbooster_bulk_bytes_total", 207},
      {"webbooster_bulk_segments_total", 208},
      {R"(webbooster_bulk_retransmits_total{cause="loss"})", 209},
      {R"(webbooster_bulk_retransmits_total{cause="timeout"})", 210},
      {R"(webbooster_bulk_retransmits_total{cause="tail_probe"})", 211},
      {R"(webbooster_bulk_retransmits_total{cause="window_probe"})", 212},
      {"webbooster_bulk_frames_total", 213},
      {"webbooster_bulk_device_dropped_total", 214},
      {"webbooster_bulk_stalls_total", 215},
      {"webbooster_bulk_objects", 216},
      {R"(webbooster_bulk_memory_bytes{state="used"})", 217},
      {R"(webbooster_bulk_memory_bytes{state="free"})", 100},
      {"webbooster_bulk_cpu_seconds_total", 0.5},
      {R"(webbooster_bulk_rtt_seconds_bucket{le="0.001024"})", 30},
      {R"(webbooster_bulk_rtt_seconds_bucket{le="+Inf"})", 218},
      {"webbooster_bulk_rtt_seconds_count", 218},
      {"webbooster_bulk_rtt_seconds_sum", 2.5},
      {R"(webbooster_bulk_cwnd_segments_bucket{le="+Inf"})", 219},
      {"webbooster_bulk_cwnd_segments_count", 219},
      {R"(webbooster_bulk_cwnd_segments_bucket{le="64"})", 31},
      {"webbooster_bulk_cwnd_segments_sum", 9000},
      {R"(webbooster_access_log_lines_total{result="written"})", 51},
      {R"(webbooster_access_log_lines_total{result="failed"})", 52},
      {R"(webbooster_access_log_lines_total{result="lost"})", 53},
      {"webbooster_catalogue_connections", 601},
      {"webbooster_catalogue_entries", 602},
      {"webbooster_catalogue_snapshots_total", 603},
      {"webbooster_catalogue_sent_bytes_total", 604},
      {R"(webbooster_catalogue_refused_total{cause="address"})", 605},
      {R"(webbooster_catalogue_refused_total{cause="handshake"})", 606},
      {R"(webbooster_catalogue_refused_total{cause="limit"})", 607},
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
      {"webbooster_cache_staleness_seconds_count", 25},
      {"webbooster_cache_staleness_seconds_sum", 1.5},
      {R"(webbooster_cache_staleness_seconds_bucket{le="0.01"})", 21},
      {R"(webbooster_cache_staleness_seconds_bucket{le="0.5"})", 22},
      {R"(webbooster_cache_staleness_seconds_bucket{le="+Inf"})", 25},
      {R"(webbooster_verifications_total{result="same"})", 51},
      {R"(webbooster_verifications_total{result="mismatch"})", 52},
      {R"(webbooster_verifications_total{result="renewed"})", 53},
      {R"(webbooster_verifications_total{result="gone"})", 54},
      {R"(webbooster_verifications_total{result="unknown"})", 55},
      {"webbooster_watch_overflows_total", 22},
      {R"(webbooster_redirect_packets_total{reason="syn_bounced"})", 701},
      {R"(webbooster_redirect_boosted{domain="site.test"})", 1},
      {R"(webbooster_redirect_lingering{domain="site.test"})", 1},
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
      {R"(webbooster_shadow_requests_total{domain="site.test"})", 61},
      {R"(webbooster_shadow_requests_total{domain="other.test"})", 71},
      {R"(webbooster_shadow_bytes_total{domain="site.test"})", 62},
      {R"(webbooster_shadow_bytes_total{domain="other.test"})", 72},
      {R"(webbooster_shadow_segments_total{domain="site.test"})", 63},
      {R"(webbooster_shadow_segments_total{domain="other.test"})", 73},
      {R"(webbooster_domain_body_bytes{domain="site.test"})", 1001},
      {R"(webbooster_domain_arena_bytes{domain="site.test"})", 1002},
      {R"(webbooster_domain_overhead_bytes{domain="site.test"})", 1003},
      {R"(webbooster_domain_share_bytes{domain="site.test"})", 1004},
      {R"(webbooster_domain_bound_bytes{domain="site.test"})", 1005},
      {R"(webbooster_domain_evictions_total{domain="site.test"})", 1006},
      {R"(webbooster_domain_not_admitted_total{domain="site.test"})", 1007},
      {R"(webbooster_fill_window{domain="site.test"})", 1007.25},
      {R"(webbooster_fill_running{domain="site.test"})", 1008},
      {R"(webbooster_fill_waiting{domain="site.test"})", 1009},
      {R"(webbooster_fills_dropped_total{domain="site.test"})", 1010},
      {R"(webbooster_fill_answer_seconds{domain="site.test"})", 0.0015},
      {R"(webbooster_fill_paused_seconds{domain="site.test"})", 1.011},
      {R"(webbooster_domain_body_bytes{domain="other.test"})", 1012},
      {R"(webbooster_domain_arena_bytes{domain="other.test"})", 1013},
      {R"(webbooster_domain_overhead_bytes{domain="other.test"})", 1014},
      {R"(webbooster_domain_share_bytes{domain="other.test"})", 1015},
      {R"(webbooster_domain_bound_bytes{domain="other.test"})", 1016},
      {R"(webbooster_domain_evictions_total{domain="other.test"})", 1017},
      {R"(webbooster_domain_not_admitted_total{domain="other.test"})", 1018},
      {R"(webbooster_fill_window{domain="other.test"})", 1018.25},
      {R"(webbooster_fill_running{domain="other.test"})", 1019},
      {R"(webbooster_fill_waiting{domain="other.test"})", 1020},
      {R"(webbooster_fills_dropped_total{domain="other.test"})", 1021},
      {R"(webbooster_fill_answer_seconds{domain="other.test"})", 0.0015},
      {R"(webbooster_fill_paused_seconds{domain="other.test"})", 1.022},
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

}  // namespace
}  // namespace wb::metrics
