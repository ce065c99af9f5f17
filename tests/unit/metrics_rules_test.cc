// SPDX-License-Identifier: Apache-2.0
// The alert rules, run by promtool on made-up series; what they and the manuals name exists.
#include <gmock/gmock.h>

#include <regex>

#include "tests/unit/metrics_fixture.h"

namespace wb::metrics {
namespace {

using testing::HasSubstr;
using MetricsRulesTest = MetricsTest;

TEST_F(MetricsRulesTest, RulesAndExampleAreValid) {
  const std::string dir = (kRoot / "deploy/prometheus").string();
  EXPECT_EQ(Promtool("check rules " + dir + "/webbooster.rules.yml"), 0) << output_;
  EXPECT_EQ(Promtool("check config " + dir + "/prometheus.yml"), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("2 rule files found"));
}

std::string RulesText() {
  std::ifstream file(kRoot / "deploy/prometheus/webbooster.rules.yml");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(MetricsRulesTest, RulesNameOnlyMetricsThatExist) {
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

TEST_F(MetricsRulesTest, RulesAndManualsNameOnlyReasonsThatExist) {
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
TEST_F(MetricsRulesTest, AlertsFireWhenTheyShouldAndNotBefore) {
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
      {"webbooster_config_last_reload_successful{", "1x420", "0x40"},
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
      {"webbooster_verifications_total{result=\"mismatch\",", "2x420", "2+1x40"},
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
  EXPECT_EQ(alerts, 15u);
  test << "        - expr: "
          "count(ALERTS{alertstate=\"firing\",alertname=\"WebboosterInterfaceDetached\"})\n"
       << "          eval_time: 435m\n          exp_samples: [{labels: '{}', value: 1}]\n";
  std::ofstream(dir_ / "test.yml") << test.str();
  EXPECT_EQ(Promtool("test rules " + (dir_ / "test.yml").string()), 0) << output_;
}

TEST_F(MetricsRulesTest, EveryAlertIsDocumented) {
  std::ifstream file(kRoot / "docs/METRICS.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  const std::string rules = RulesText();
  const std::regex alert("alert: ([A-Za-z]+)[^}]*severity: ([a-z]+)");
  for (std::sregex_iterator it(rules.begin(), rules.end(), alert), end; it != end; ++it)
    EXPECT_THAT(docs, HasSubstr("| `" + (*it)[1].str() + "` | " + (*it)[2].str() + " |"));
}

}  // namespace
}  // namespace wb::metrics
