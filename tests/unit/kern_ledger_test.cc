// SPDX-License-Identifier: Apache-2.0
// A seal holds for exactly what it was made for (needs root: real maps).
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "ctl/kern/ledger.h"
#include "ctl/kern/object_store.h"

namespace wb::kern {
namespace {

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = Programs::Load({.pin_dir = pins_,
                                  .connections = 1024,
                                  .variants = 64,
                                  .arena_bytes = WB_BANK_BYTES,
                                  .lease_ns = 1,
                                  .keepalive_refresh_ns = 1});
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    programs_ = *std::move(loaded);
    ledger_ = std::make_unique<Ledger>(*programs_);
    wb_ledger entry = {};
    entry.proof[0] = 7;
    entry.off = 64;
    entry.len = 128;
    ledger_->Enter(1, entry);
    VariantContent content;
    content.domain = 3;
    content.etag = "\"a\"";
    ObjectStore store(*programs_);
    store.Write(1, content);
    store.Publish(1, /*own_freshness=*/false);
    ledger_->Seal(1, "site", "/a");
  }
  void TearDown() override {
    programs_.reset();
    std::filesystem::remove_all(pins_);
  }
  bool Holds() const { return ledger_->Holds(1, "site", "/a"); }

  const std::string pins_ = absl::StrCat("/sys/fs/bpf/wb-test-ledger-", getpid());
  std::unique_ptr<Programs> programs_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(LedgerTest, HoldsWhileOnlyHitsAreCounted) {
  EXPECT_TRUE(Holds());
  programs_->variants[1].hits = 99;
  EXPECT_TRUE(Holds());
  EXPECT_FALSE(ledger_->Holds(2, "site", "/a"));
  EXPECT_FALSE(ledger_->Holds(1, "sit", "e/a"));
  EXPECT_FALSE(ledger_->Holds(1, "site", "/b"));
}

TEST_F(LedgerTest, BreaksWithEachThingThatChanges) {
  wb_variant& v = programs_->variants[1];
  const auto broken_by = [&](auto& field, auto other) {
    const auto before = field;
    field = other;
    EXPECT_FALSE(Holds());
    field = before;
    EXPECT_TRUE(Holds());
  };
  broken_by(v.gen, v.gen + 1);
  broken_by(v.flags, 0u);
  broken_by(v.domain_gen, v.domain_gen + 1);
  broken_by(v.expires_ns, 5u);
  broken_by(v.part[0].off, 8u);
  broken_by(v.etag[1], 'b');
  broken_by(programs_->domains[3].gen, programs_->domains[3].gen + 1);
  broken_by(programs_->ledger[1].proof[0], 8u);
  broken_by(programs_->ledger[1].len, 192u);
  broken_by(programs_->ledger[1].seal[0], 0u);
}

TEST_F(LedgerTest, IsBrokenBeforeAnythingElse) {
  ledger_->Break(1);
  EXPECT_FALSE(Holds());
  EXPECT_EQ(ledger_->at(1).len, 128u);
  ledger_->Seal(1, "site", "/a");
  EXPECT_TRUE(Holds());
  ledger_->Enter(1, ledger_->at(1));
  EXPECT_FALSE(Holds());
  ledger_->Forget(1);
  EXPECT_EQ(ledger_->at(1).len, 0u);
}

}  // namespace
}  // namespace wb::kern
