// SPDX-License-Identifier: Apache-2.0
// From two readings to rates, and to a picture.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/wbctl/top_rates.h"
#include "ctl/wbctl/top_view.h"

namespace wb::wbctl {
namespace {

using testing::HasSubstr;

Sample At(int seconds) {
  Sample s;
  s.at = std::chrono::steady_clock::time_point(std::chrono::seconds(seconds));
  return s;
}

api::DomainInfo Domain(const char* name, uint64_t hits, uint64_t misses) {
  api::DomainInfo d;
  d.name = name;
  d.hits_total = hits;
  d.misses_total = misses;
  return d;
}

api::CacheEntry Entry(const char* url, const char* encoding, uint64_t hits, uint64_t age_s) {
  api::CacheEntry e;
  e.url = url;
  e.encoding = encoding;
  e.hits = hits;
  e.age_s = age_s;
  return e;
}

std::vector<std::pair<std::string, double>> Pairs(const std::vector<NamedRate>& rates) {
  std::vector<std::pair<std::string, double>> pairs;
  for (const NamedRate& r : rates) pairs.emplace_back(r.name, r.per_s);
  return pairs;
}
using List = std::vector<std::pair<std::string, double>>;

TEST(TopRatesTest, DividesWhatGrewByTheTime) {
  Sample a = At(10), b = At(14);
  a.status.hits_total = 100;
  b.status.hits_total = 140;
  b.status.misses_total = 8;
  b.status.repairs = {4, 8, 12};
  a.status.cache.fills_refused = {{"vary", 4}, {"quiet", 7}};
  b.status.cache.fills_refused = {{"set_cookie", 2}, {"vary", 24}, {"quiet", 7}};
  a.reasons.reasons = {{"in", "hit", "", 5}, {"in", "route", "", 5}, {"out", "x", "", 5}};
  b.reasons.reasons = {{"in", "hit", "", 9}, {"in", "route", "", 9}, {"out", "x", "", 9}};
  const Rates r = RatesBetween(a, b);
  EXPECT_EQ(r.seconds, 4);
  EXPECT_EQ(r.hits, 10);
  EXPECT_EQ(r.misses, 2);
  EXPECT_EQ(r.repairs, 6);
  EXPECT_EQ(Pairs(r.refused), (List{{"vary", 5}, {"set_cookie", 0.5}}));
  EXPECT_EQ(Pairs(r.passed), (List{{"route", 1}}));
}

TEST(TopRatesTest, AFallenCounterIsANewAccelerds) {
  Sample a = At(0), b = At(2);
  a.status.hits_total = 1000;
  b.status.hits_total = 30;
  a.status.cache.fills_refused = {{"vary", 100}};
  b.status.cache.fills_refused = {{"vary", 6}};
  a.domains.domains = {Domain("a.test", 500, 5)};
  b.domains.domains = {Domain("a.test", 10, 7), Domain("new.test", 900, 0)};
  a.cache.entries = {Entry("http://a.test/", "gzip", 400, 300)};
  b.cache.entries = {Entry("http://a.test/", "gzip", 8, 1)};
  const Rates r = RatesBetween(a, b);
  EXPECT_EQ(r.hits, 15);
  EXPECT_EQ(Pairs(r.refused), (List{{"vary", 3}}));
  ASSERT_EQ(r.domains.size(), 2u);
  EXPECT_EQ(r.domains[0].name, "a.test");
  EXPECT_EQ(r.domains[0].hits, 5);
  EXPECT_EQ(r.domains[0].misses, 1);
  EXPECT_EQ(r.domains[1].hits, 0);  // nothing to compare with
  EXPECT_EQ(Pairs(r.urls), (List{{"http://a.test/", 4}}));
}

TEST(TopRatesTest, ComparesUrlsOverTheirVariants) {
  Sample a = At(0), b = At(10);
  a.cache.entries = {Entry("/x", "gzip", 100, 50), Entry("/x", "", 10, 50), Entry("/y", "", 5, 50)};
  b.cache.entries = {Entry("/x", "gzip", 120, 60), Entry("/x", "", 20, 60), Entry("/y", "", 5, 60),
                     Entry("/new", "", 40, 3), Entry("/rose", "", 5000, 700)};
  // /y did nothing; /rose was behind the first reading's entries, so that nobody knows.
  EXPECT_EQ(Pairs(RatesBetween(a, b).urls), (List{{"/new", 4}, {"/x", 3}}));
}

TEST(TopRatesTest, TwoReadingsAtOnceDoNotDivideByZero) {
  Sample a = At(5), b = At(5);
  b.status.hits_total = 1;
  EXPECT_EQ(RatesBetween(a, b).hits, 1000);
}

TEST(TopViewTest, FitsItsRows) {
  Sample s = At(0);
  Rates r;
  for (int i = 0; i < 50; ++i) {
    r.domains.push_back({"d" + std::to_string(i), 1, 1, 1, 1});
    r.urls.push_back({"/u" + std::to_string(i), 1});
  }
  for (const size_t rows : {1, 5, 10, 11, 24, 200}) {
    const auto lines = TopLines(s, r, rows);
    EXPECT_LE(lines.size(), rows);
    EXPECT_GE(lines.size(), std::min<size_t>(rows, 10)) << rows;
  }
  std::string text;
  for (const std::string& line : TopLines(s, r, 24)) text += line + "\n";
  EXPECT_THAT(text, HasSubstr("d5 "));
  EXPECT_THAT(text, HasSubstr("/u6\n"));
}

TEST(TopViewTest, NothingDrivesTheTerminal) {
  Sample s = At(0);
  s.status.version = "1\x1b[2J";
  Rates r;
  r.urls = {{"http://a.test/\x1b[2J", 1}};
  r.refused = {{"\x1b[2J", 1}};
  r.domains = {{"\x1b[2J", 1, 1, 1, 1}};
  for (const std::string& line : TopLines(s, r, 60))
    EXPECT_EQ(line.find('\x1b'), line.npos) << line;
}

}  // namespace
}  // namespace wb::wbctl
