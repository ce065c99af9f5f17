// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/cache/index.h"

namespace wb::cache {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class IndexTest : public testing::Test {
 protected:
  static ObjectKey Key(const std::string& target, uint16_t domain = 1) { return {domain, target}; }
  static Variant Make(uint32_t slot, uint16_t encodings = 1) {
    return Variant{slot, encodings, ArenaRange{0, slot * 128, 128}, 100, 0};
  }
  void Add(const std::string& target, uint32_t slot, const std::vector<std::string>& paths = {}) {
    EXPECT_THAT(index_.AddVariant(Key(target), Make(slot), paths), IsEmpty());
  }
  std::vector<std::string> Affected(std::string_view path) {
    std::vector<std::string> targets;
    for (const ObjectKey& key : index_.AffectedBy(path)) targets.push_back(key.target);
    return targets;
  }
  std::map<uint32_t, uint64_t> hits_;
  Index index_{[this](uint32_t slot) { return hits_[slot]; }, 2};
};

TEST_F(IndexTest, AccountsForVariants) {
  Add("/a", 1);
  EXPECT_EQ(index_.Find(Key("/a"))->state, ObjectState::kLive);
  EXPECT_EQ(index_.body_bytes(), 100u);
  EXPECT_EQ(index_.arena_bytes(), 128u);
  EXPECT_EQ(index_.FindSlot(1)->target, "/a");
  EXPECT_EQ(index_.Remove(Key("/a")).at(0).slot, 1u);
  EXPECT_EQ(index_.objects() + index_.variants() + index_.body_bytes() + index_.arena_bytes(), 0u);
  EXPECT_THAT(index_.Remove(Key("/a")), IsEmpty());
  EXPECT_FALSE(index_.Evict(1));
}

TEST_F(IndexTest, AVariantTakesOverTheClassesOfOthers) {
  EXPECT_THAT(index_.AddVariant(Key("/a"), Make(1, 0b011), {}), IsEmpty());
  EXPECT_THAT(index_.AddVariant(Key("/a"), Make(2, 0b100), {}), IsEmpty());
  EXPECT_THAT(index_.AddVariant(Key("/a"), Make(3, 0b001), {}), IsEmpty());
  EXPECT_EQ(index_.FindVariant(Key("/a"), 0)->slot, 3u);
  EXPECT_EQ(index_.FindVariant(Key("/a"), 1)->slot, 1u);
  EXPECT_EQ(index_.FindVariant(Key("/a"), 3), nullptr);
  EXPECT_THAT(index_.ShareVariant(2, 3), IsEmpty());
  EXPECT_EQ(index_.FindVariant(Key("/a"), 3)->slot, 2u);
  EXPECT_THAT(index_.ShareVariant(2, 3), IsEmpty());  // has it already
  EXPECT_THAT(index_.AddVariant(Key("/a"), Make(5, 0b10000), {}), IsEmpty());
  ASSERT_EQ(index_.ShareVariant(2, 4).size(), 1u);  // 5 has none left
  EXPECT_EQ(index_.FindVariant(Key("/a"), 4)->slot, 2u);
  const auto replaced = index_.AddVariant(Key("/a"), Make(4, 0b11110), {});
  ASSERT_EQ(replaced.size(), 2u);
  EXPECT_EQ(replaced[0].slot, 1u);
  EXPECT_EQ(replaced[1].slot, 2u);
  EXPECT_EQ(index_.variants(), 2u);
  EXPECT_EQ(index_.arena_bytes(), 256u);
}

TEST_F(IndexTest, FindsObjectsByPathSiblingAndDirectory) {
  Add("/a", 1, {"/r/a.html"});
  Add("/a?x", 2, {"/r/a.html"});
  Add("/s", 3, {"/r/sub/s.css", "/r/link"});
  Add("/s2", 4, {"/r/sub2/s.css.gz"});
  Add("/dynamic", 5);
  EXPECT_THAT(Affected("/r/a.html"), ElementsAre("/a", "/a?x"));
  EXPECT_THAT(Affected("/r/a.html.gz"), ElementsAre("/a", "/a?x"));
  EXPECT_THAT(Affected("/r/a.html.br"), ElementsAre("/a", "/a?x"));
  EXPECT_THAT(Affected("/r/sub2/s.css"), ElementsAre("/s2"));
  EXPECT_THAT(Affected("/r/link"), ElementsAre("/s"));
  EXPECT_THAT(Affected("/r/sub"), ElementsAre("/s"));
  EXPECT_THAT(Affected("/r"), ElementsAre("/a", "/a?x", "/s", "/s2"));
  EXPECT_THAT(Affected("/"), ElementsAre("/a", "/a?x", "/s", "/s2"));
  EXPECT_THAT(Affected("/r/a"), IsEmpty());
  EXPECT_THAT(Affected("/r/a.html.gz.gz"), IsEmpty());
  size_t watched = 0;
  index_.VisitWatched([&](const ObjectKey&, const Object&) { ++watched; });
  EXPECT_EQ(watched, 4u);
  (void)index_.Remove(Key("/a"));
  EXPECT_THAT(Affected("/r/a.html"), ElementsAre("/a?x"));
}

TEST_F(IndexTest, ListsByPrefixWithinTheDomain) {
  Add("/b/2", 1);
  Add("/b/1", 2);
  Add("/c", 3);
  (void)index_.AddVariant(Key("/b/3", 2), Make(4), {});
  EXPECT_THAT(index_.WithPrefix(1, "/b/", 9), ElementsAre(Key("/b/1"), Key("/b/2")));
  EXPECT_THAT(index_.WithPrefix(1, "/b/", 1), ElementsAre(Key("/b/1")));
  EXPECT_EQ(index_.WithPrefix(1, "", 9).size(), 3u);
  EXPECT_THAT(index_.WithPrefix(3, "", 9), IsEmpty());
}

TEST_F(IndexTest, IsWalkedInPiecesWhileItChanges) {
  for (uint32_t slot = 1; slot <= 5; ++slot) Add("/" + std::to_string(slot), slot);
  (void)index_.AddVariant(Key("/0", 2), Make(6), {});
  std::vector<std::string> seen;
  const auto see = [&](const ObjectKey& key, const Object&) { seen.push_back(key.target); };
  std::optional<ObjectKey> next = index_.Visit({}, 2, see);
  EXPECT_EQ(next, Key("/3"));
  (void)index_.Remove(*next);
  Add("/1a", 7);
  next = index_.Visit(*next, 2, see);
  EXPECT_EQ(next, Key("/0", 2));
  EXPECT_FALSE(index_.Visit(*next, 2, see));
  EXPECT_THAT(seen, ElementsAre("/1", "/2", "/4", "/5", "/0"));
}

TEST_F(IndexTest, CountsWhatADomainUses) {
  const auto use = [this](uint16_t domain) {
    return std::pair(index_.Use(domain).objects, index_.Use(domain).bytes);
  };
  Add("/a", 1);
  (void)index_.AddVariant(Key("/a"), Make(2, 0b10), {});
  (void)index_.AddVariant(Key("/a", 2), Make(3), {});
  EXPECT_EQ(use(1), std::pair(uint64_t{1}, uint64_t{200}));
  EXPECT_EQ(use(2), std::pair(uint64_t{1}, uint64_t{100}));
  (void)index_.AddVariant(Key("/a"), Make(4, 0b11), {});  // in the place of both
  EXPECT_EQ(use(1), std::pair(uint64_t{1}, uint64_t{100}));
  (void)index_.Remove(Key("/a"));
  EXPECT_EQ(use(1), std::pair(uint64_t{0}, uint64_t{0}));
  EXPECT_TRUE(index_.Evict(2));
  EXPECT_EQ(use(2), std::pair(uint64_t{0}, uint64_t{0}));
}

TEST(ConcernsTest, ThePathItsSiblingsAndTheDirectoriesAboveIt) {
  const std::string path = "/r/a/o.html";
  for (const char* event : {"/r/a/o.html", "/r/a/o.html.gz", "/r/a/o.html.br", "/r/a", "/r", "/"})
    EXPECT_TRUE(Concerns(event, path)) << event;
  for (const char* event : {"/r/a/p.html", "/r/a/o", "/r/a/o.htm", "/r/a/o.html~", "/r/b",
                            "/r/a/o.", "/r/a/o.html.gz.gz", "/r/a/o.html/x"})
    EXPECT_FALSE(Concerns(event, path)) << event;
  EXPECT_TRUE(Concerns("/r/a/o.html", "/r/a/o.html.zst"));
}

// A list searched from its head for each object would take minutes here.
TEST(IndexRefusalTest, ForgetsInConstantTime) {
  constexpr size_t kMany = 100000;
  Index index([](uint32_t) { return 0; }, kMany);
  const auto key = [](size_t i) { return ObjectKey{1, "/" + std::to_string(i)}; };
  for (size_t i = 0; i < kMany; ++i) (void)index.Refuse(key(i), "status", 1);
  for (size_t i = kMany; i-- > 0;) EXPECT_TRUE(index.Remove(key(i)).empty());
  EXPECT_EQ(index.refused(), 0u);
}

TEST_F(IndexTest, EvictsTheOldestWithoutNewHitsAsSieveDoes) {
  for (uint32_t slot = 1; slot <= 5; ++slot) Add("/" + std::to_string(slot), slot);
  hits_[1] = 10;
  hits_[3] = 1;
  EXPECT_EQ(index_.Evict(1)->variant.slot, 2u);  // 1 was visited; the hand stays behind 2
  EXPECT_EQ(index_.Evict(1)->variant.slot, 4u);  // 3 was visited
  Add("/6", 6);
  EXPECT_EQ(index_.Evict(1)->variant.slot, 5u);
  EXPECT_EQ(index_.Evict(1)->variant.slot, 6u);
  hits_[1] = 11;
  EXPECT_EQ(index_.Evict(1)->variant.slot, 3u);  // no hit since the hand passed it
  hits_[1] = 12;
  const auto last = index_.Evict(1);  // visited, but there is no other
  EXPECT_EQ(last->variant.slot, 1u);
  EXPECT_EQ(last->key.target, "/1");
  EXPECT_EQ(index_.objects(), 0u);
}

TEST_F(IndexTest, EvictionEndsWhileHitsKeepComing) {
  uint64_t clock = 0;
  Index busy([&clock](uint32_t) { return ++clock; }, 2);
  for (uint32_t slot = 1; slot <= 3; ++slot) {
    (void)busy.AddVariant(Key("/" + std::to_string(slot)), Make(slot), {});
  }
  EXPECT_TRUE(busy.Evict(1));
  EXPECT_EQ(busy.variants(), 2u);
}

TEST_F(IndexTest, HitsFromBeforeAdmissionAreNoVisit) {
  hits_[1] = 1000;  // the slot's former variant
  Add("/1", 1);
  Add("/2", 2);
  EXPECT_EQ(index_.Evict(1)->variant.slot, 1u);
}

TEST_F(IndexTest, EachDomainHasAHandOfItsOwn) {
  Add("/1", 1);
  Add("/2", 2);
  (void)index_.AddVariant(Key("/1", 2), Make(3), {});
  (void)index_.AddVariant(Key("/2", 2), Make(4), {});
  EXPECT_EQ(index_.NextVictim(2)->slot, 3u);
  index_.Spare(2);
  EXPECT_EQ(index_.NextVictim(2)->slot, 4u);
  EXPECT_EQ(index_.NextVictim(2)->slot, 4u);  // stays until it is spared, evicted or hit
  hits_[4] = 1;
  EXPECT_EQ(index_.NextVictim(2)->slot, 3u);
  EXPECT_EQ(index_.NextVictim(1)->slot, 1u);
  EXPECT_EQ(index_.Evict(2)->key, Key("/1", 2));
  EXPECT_EQ(index_.Evict(2)->key, Key("/2", 2));
  EXPECT_FALSE(index_.Evict(2));
  EXPECT_FALSE(index_.NextVictim(3));
  EXPECT_EQ(index_.Use(1).variants, 2u);
  EXPECT_EQ(index_.Use(1).arena_bytes, 256u);
}

TEST_F(IndexTest, TellsOfTheHitsThatTheHandPasses) {
  std::map<std::string, uint64_t> seen;
  Index index([this](uint32_t slot) { return hits_[slot]; }, 2,
              [&seen](const ObjectKey& key, uint64_t hits) { seen[key.target] += hits; });
  for (uint32_t slot = 1; slot <= 3; ++slot)
    (void)index.AddVariant(Key("/" + std::to_string(slot)), Make(slot), {});
  hits_ = {{1, 7}, {2, 1}};
  EXPECT_EQ(index.NextVictim(1)->slot, 3u);
  EXPECT_EQ(seen, (std::map<std::string, uint64_t>{{"/1", 7}, {"/2", 1}}));
}

TEST_F(IndexTest, MakesAHoleFromNeighbours) {
  for (uint32_t slot = 1; slot <= 4; ++slot) Add("/" + std::to_string(slot), slot);
  const auto worth = [](const ObjectKey& key) -> std::optional<uint32_t> {
    return key.target == "/1" ? std::nullopt : std::optional<uint32_t>(1);
  };
  EXPECT_THAT(index_.Window(2, 256, worth), ElementsAre(2u, 3u));
  EXPECT_EQ(index_.EvictSlot(3).key, Key("/3"));
  EXPECT_THAT(index_.Window(2, 256, worth), ElementsAre(2u));
  EXPECT_EQ(index_.Find(Key("/3")), nullptr);
}

TEST_F(IndexTest, RemembersABoundedNumberOfRefusals) {
  EXPECT_FALSE(index_.Refuse(Key("/a"), "vary", 5));
  EXPECT_FALSE(index_.Refuse(Key("/b"), "status", 6));
  EXPECT_THAT(index_.Remove(Key("/b")), IsEmpty());
  EXPECT_EQ(index_.refused(), 1u);
  EXPECT_FALSE(index_.Refuse(Key("/b"), "vary", 7));
  EXPECT_EQ(index_.Find(Key("/b"))->retry_ns, 7);
  EXPECT_EQ(index_.Refuse(Key("/c"), "vary", 8), Key("/a"));
  EXPECT_EQ(index_.refused(), 2u);
  Add("/b", 1);
  EXPECT_EQ(index_.refused(), 1u);
  EXPECT_EQ(index_.Find(Key("/b"))->state, ObjectState::kLive);
  EXPECT_EQ(index_.Find(Key("/b"))->reason, "");
}

TEST_F(IndexTest, TheHandGoesSoFarAtOnce) {
  for (uint32_t slot = 1; slot <= 6; ++slot) Add("/" + std::to_string(slot), slot);
  for (uint32_t slot = 1; slot <= 5; ++slot) hits_[slot] = 1;
  EXPECT_FALSE(index_.NextVictim(1, 3, false));
  EXPECT_EQ(index_.NextVictim(1, 3, false)->slot, 6u);  // went on where it was
  index_.Spare(1);
  for (auto& [slot, hits] : hits_) ++hits;
  EXPECT_EQ(index_.NextVictim(1, 3, true)->slot, 4u);
}

}  // namespace
}  // namespace wb::cache
