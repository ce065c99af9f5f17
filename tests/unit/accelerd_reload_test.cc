// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "ctl/accelerd/reload_plan.h"

namespace wb::accelerd {
namespace {

using config::Config;
using config::Domain;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Domain Named(const std::string& name) {
  Domain domain;
  domain.name = name;
  return domain;
}

Config With(std::vector<std::string> names) {
  Config config;
  for (const std::string& name : names)
    config.domains.push_back(name.empty() ? Domain() : Named(name));
  return config;
}

std::vector<std::string> Names(const Config& config) {
  std::vector<std::string> names;
  for (const Domain& domain : config.domains) names.push_back(domain.name);
  return names;
}

bool AllUnused(uint32_t) { return true; }

TEST(ReloadPlanTest, RefusesAtOnceAllThatNeedsARestart) {
  Config next;
  EXPECT_THAT(Refusals(Config(), next), IsEmpty());
  next.instance = "b";
  next.pin_dir = "/b";
  next.runtime_dir = "/b";
  next.cgroup = "/b";
  next.api.socket = "/b";
  next.boosters.catalogue = {"::", 1};
  next.redirect.directors = {"198.18.0.9"};
  next.limits = {1, 2, 3, 4, 5};
  const auto refusals = Refusals(Config(), next);
  EXPECT_EQ(refusals.size(), 10u);
  EXPECT_THAT(refusals[0], HasSubstr("instance: cannot change from \"default\" to \"b\""));
  for (const std::string& refusal : refusals) EXPECT_THAT(refusal, HasSubstr("start"));
}

TEST(ReloadPlanTest, DomainsKeepTheirPlaces) {
  auto next = Arrange(With({"a", "b", "c"}), With({"d", "c", "a"}), AllUnused);
  ASSERT_TRUE(next.ok());
  EXPECT_THAT(Names(*next), ElementsAre("a", "d", "c"));
  // Not where something was counted, as long as there is another place.
  next = Arrange(With({"a", "b", "c"}), With({"d", "c", "a"}), [](uint32_t id) { return id > 3; });
  EXPECT_THAT(Names(*next), ElementsAre("a", "", "c", "", "d"));
  next = Arrange(With({"a", "b"}), With({"a"}), AllUnused);
  EXPECT_THAT(Names(*next), ElementsAre("a"));
  next = Arrange(With({"a", "b"}), With({"b"}), AllUnused);
  EXPECT_THAT(Names(*next), ElementsAre("", "b"));
  EXPECT_EQ(LossesOf(With({"a", "b"}), *next).domains, std::vector<uint16_t>{0});
}

TEST(ReloadPlanTest, PlacesThatWereCountedComeLast) {
  Config now, next;
  for (size_t i = 0; i < config::kMaxDomains; i++) {
    now.domains.push_back(Named("old" + std::to_string(i)));
    if (i != 7) next.domains.push_back(now.domains.back());
  }
  next.domains.push_back(Named("new"));
  const auto arranged = Arrange(now, next, [](uint32_t) { return false; });
  ASSERT_TRUE(arranged.ok());
  EXPECT_EQ(arranged->domains[7].name, "new");
  EXPECT_EQ(LossesOf(now, *arranged).domains, std::vector<uint16_t>{7});
}

TEST(ReloadPlanTest, EncodingsKeepTheirClasses) {
  Config now, next;
  now.accept_encodings = {"a", "b", "c"};
  next.accept_encodings = {"d", "c", "a"};
  auto arranged = Arrange(now, next, AllUnused);
  ASSERT_TRUE(arranged.ok());
  EXPECT_THAT(arranged->accept_encodings, ElementsAre("a", "", "c", "d"));
  EXPECT_EQ(LossesOf(now, *arranged).encodings, 1u << 2);
  // All classes are taken: the new one takes the place of what goes.
  now.accept_encodings.clear();
  for (size_t i = 0; i < config::kMaxAcceptEncodings; i++)
    now.accept_encodings.push_back(std::to_string(i));
  next.accept_encodings = now.accept_encodings;
  next.accept_encodings[4] = "new";
  arranged = Arrange(now, next, AllUnused);
  EXPECT_EQ(arranged->accept_encodings[4], "new");
  EXPECT_EQ(LossesOf(now, *arranged).encodings, 1u << 5);
}

TEST(ReloadPlanTest, OnlyWhatAnswersAreMadeFromCostsTheCache) {
  const Config now = With({"a"});
  const auto lost = [&](auto change) {
    Config next = now;
    change(next.domains[0]);
    const Losses losses = LossesOf(now, next);
    return std::pair(losses.domains.size(), losses.excludes.size());
  };
  EXPECT_EQ(lost([](Domain& d) { d.ports = {81}; }), std::pair(size_t{0}, size_t{0}));
  EXPECT_EQ(lost([](Domain& d) { d.aliases = {"b"}; }), std::pair(size_t{0}, size_t{0}));
  EXPECT_EQ(lost([](Domain& d) { d.enabled = false; }), std::pair(size_t{0}, size_t{0}));
  EXPECT_EQ(lost([](Domain& d) { d.exclude = {"/b"}; }), std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(lost([](Domain& d) { d.origin.port = 81; }), std::pair(size_t{1}, size_t{0}));
  EXPECT_EQ(lost([](Domain& d) { d.fill_from = "::1"; }), std::pair(size_t{1}, size_t{0}));
  EXPECT_EQ(lost([](Domain& d) { d.document_root = "/b"; }), std::pair(size_t{1}, size_t{0}));
}

}  // namespace
}  // namespace wb::accelerd
