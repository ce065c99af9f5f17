// SPDX-License-Identifier: Apache-2.0
// The status page, and the figures that it shows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "booster/boosterd/page.h"
#include "tests/unit/booster_view.h"

namespace wb::boosterd {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(DomainTotalsTest, QuantilesLieWithinTheirClass) {
  DomainTotals totals;
  EXPECT_EQ(totals.Quantile(0.5), 0);
  AddRequests(100, &totals);  // between 2.5 and 5 ms
  EXPECT_DOUBLE_EQ(totals.Quantile(0.5), 0.00375);
  EXPECT_DOUBLE_EQ(totals.Quantile(1), 0.005);
  totals.latency.back() = 2;  // above all
  EXPECT_DOUBLE_EQ(totals.Quantile(0.99), 5);
  totals.latency[0] = 1000;
  EXPECT_LE(totals.Quantile(0.5), 0.0001);
  EXPECT_GT(totals.Quantile(0.5), 0);
}

TEST(DomainTotalsTest, SinceTakesAwayWhatWas) {
  DomainTotals before, now;
  AddRequests(10, &before);
  before.active = 5;
  now = before;
  AddRequests(3, &now);
  now.responses[5] = 1;
  now.active = 2;
  before.refused[2] = 6;
  now.refused[2] = 9;
  const DomainTotals since = now.Since(before);
  EXPECT_EQ(since.refused[2], 3u);
  EXPECT_EQ(since.requests(), 4u);
  EXPECT_EQ(since.latency[5], 3u);
  EXPECT_EQ(since.response_bytes, 3000u);
  EXPECT_EQ(since.active, 2u);
  EXPECT_DOUBLE_EQ(since.ErrorRatio(), 0.25);
}

TEST(StatusPageTest, TellsDomainsOriginsAndRates) {
  View view = MakeView({"calm.test", "busy.test"});
  view.domains[1].rates = {1234.4, 3 << 20};
  View::Busy busy = {.domain = 1};
  busy.history.requests = {0, 50, 100};
  AddRequests(100, &busy.history.recent);
  busy.history.recent.responses[5] = 100;
  view.busiest.push_back(busy);
  const std::string page = StatusPage(view, "9.8.7");
  for (const char* text : {"boosterd left", "9.8.7",        "1 h 2 min",
                           "serving",       "Domains (2)",  "<h3>busy.test</h3>",
                           "1,234/s",       "3.0 MiB/s",    "3.8 ms / 5.0 ms",
                           "50.00 %",       "busy.test:81", "busy.test:82 is down",
                           "weight 3",      "2 links",      "6 keys",
                           "7 waiting",     "75.00 % hits", "9 retried",
                           "25 %",          "worker 0",     "points=\"298,39.0 299,20.0 300,1.0\""})
    EXPECT_THAT(page, HasSubstr(text));
  EXPECT_LT(page.find("<h3>busy.test"), page.find("<h3>calm.test"));
  for (OriginView& origin : view.origins) origin.up = false;
  view.draining = true;
  EXPECT_THAT(StatusPage(view, ""), HasSubstr("no origin"));
  EXPECT_THAT(StatusPage(view, ""), HasSubstr("draining"));
}

TEST(StatusPageTest, EscapesNames) {
  View view = MakeView({"<script>alert('1')</script>&\""});
  const std::string page = StatusPage(view, "");
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
}

TEST(StatusPageTest, ShowsOfManyDomainsTheBusiest) {
  std::vector<std::string> names;
  for (size_t i = 0; i < front::kMaxDomains; ++i)
    names.push_back("d" + std::to_string(i) + ".test");
  View view = MakeView(names);
  view.busiest.push_back({.domain = 9999});
  const std::string page = StatusPage(view, "");
  EXPECT_THAT(page, HasSubstr("<h3>d9999.test</h3>"));
  EXPECT_THAT(page, HasSubstr("<h3>d98.test</h3>"));
  EXPECT_THAT(page, Not(HasSubstr("<h3>d99.test</h3>")));
  EXPECT_THAT(page, HasSubstr("and 9,900 domains"));
  EXPECT_LT(page.size(), 200u << 10);
}

TEST(StatusPageTest, PolicyLetsNothingInButItsOwn) {
  const std::string policy = PagePolicy();
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("script-src 'sha256-"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
}

}  // namespace
}  // namespace wb::boosterd
