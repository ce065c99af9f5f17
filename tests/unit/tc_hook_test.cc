// SPDX-License-Identifier: Apache-2.0
// Attaching TC programs with tcx and with clsact, on a veth of the test's own (needs root).
#include "ctl/kern/tc_hook.h"

#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ctl/doctor/kernel_readings.h"
#include "tests/support/machine.h"

namespace wb::kern {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

base::UniqueFd Load(const char* name) {
  return support::LoadVerdict(BPF_PROG_TYPE_SCHED_CLS, name, TC_ACT_UNSPEC);
}

std::vector<std::string> Names(const std::vector<doctor::ProgramFacts>& programs) {
  std::vector<std::string> names;
  for (const doctor::ProgramFacts& program : programs) names.push_back(program.name);
  return names;
}

class TcHookTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(pins_); }
  void TearDown() override { std::filesystem::remove_all(pins_); }

  void OnVeth(const std::function<void(const TcSite&)>& body) {
    support::InNewNamespace([&] {
      support::Shell("ip link add wbt0 type veth peer name wbt1");
      body({if_nametoindex("wbt0"), "wbt0", pins_});
    });
  }

  const std::string pins_ = absl::StrCat("/sys/fs/bpf/wb-test-tc-", getpid());
};

TEST_F(TcHookTest, TcxIsFirstIsReplacedAndGoes) {
  OnVeth([&](const TcSite& site) {
    const base::UniqueFd other = Load("other"), one = Load("one"), two = Load("two");
    const base::UniqueFd foreign(bpf_link_create(other.get(), static_cast<int>(site.ifindex),
                                                 static_cast<bpf_attach_type>(47), nullptr));
    if (!foreign) {  // this kernel is older than 6.6
      EXPECT_TRUE(absl::IsUnimplemented(AttachTcx(site, {one.get(), one.get()})));
      return;
    }
    auto hook = AttachTc(site, {one.get(), one.get()});
    ASSERT_TRUE(hook.ok()) << hook.status();
    EXPECT_EQ(*hook, TcHook::kTcx);
    EXPECT_THAT(Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).tcx),
                ElementsAre("one", "other"));
    EXPECT_THAT(Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).clsact), IsEmpty());
    ASSERT_TRUE(AttachTc(site, {two.get(), two.get()}).ok());
    EXPECT_THAT(Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).tcx),
                ElementsAre("two", "other"));
    DetachTc(site);
    EXPECT_THAT(Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).tcx),
                ElementsAre("other"));
    EXPECT_TRUE(std::filesystem::is_empty(pins_));
  });
}

TEST_F(TcHookTest, APinOfAnInterfaceThatIsGoneDoesNotMatter) {
  const base::UniqueFd one = Load("one"), two = Load("two");
  OnVeth([&](const TcSite& site) { ASSERT_TRUE(AttachTc(site, {one.get(), one.get()}).ok()); });
  OnVeth([&](const TcSite& site) {
    auto hook = AttachTc(site, {two.get(), two.get()});
    ASSERT_TRUE(hook.ok()) << hook.status();
    const auto names = Names(*hook == TcHook::kTcx
                                 ? doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).tcx
                                 : doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).clsact);
    EXPECT_THAT(names, ElementsAre("two"));
    DetachTc(site);
  });
}

TEST_F(TcHookTest, ClsactIsReplacedAndLeavesOthers) {
  OnVeth([&](const TcSite& site) {
    const base::UniqueFd other = Load("other"), one = Load("one"), two = Load("two");
    LIBBPF_OPTS(bpf_tc_hook, egress, .ifindex = static_cast<int>(site.ifindex),
                .attach_point = BPF_TC_EGRESS);
    LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = other.get());
    ASSERT_EQ(bpf_tc_hook_create(&egress), 0);
    ASSERT_EQ(bpf_tc_attach(&egress, &filter), 0);
    ASSERT_TRUE(AttachClsact(site, {one.get(), one.get()}).ok());
    ASSERT_TRUE(AttachClsact(site, {two.get(), two.get()}).ok());
    EXPECT_THAT(Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).clsact),
                ElementsAre("two", "other"));
    DetachTc(site);
    EXPECT_THAT(Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).clsact),
                ElementsAre("other"));
  });
}

std::vector<std::string> EgressTcx(const TcSite& site) {
  return Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).tcx);
}

std::vector<std::string> EgressClsact(const TcSite& site) {
  return Names(doctor::ReadTc(site.ifindex, doctor::Direction::kEgress).clsact);
}

TEST_F(TcHookTest, AnEgressHookIsFirstAndGoesWithItsOwner) {
  OnVeth([&](const TcSite& site) {
    const base::UniqueFd one = Load("one"), two = Load("two");
    auto first = EgressHook::AttachTcx(site.ifindex, site.name, one.get());
    if (!first.ok()) {  // this kernel is older than 6.6
      EXPECT_TRUE(absl::IsUnimplemented(first.status())) << first.status();
      return;
    }
    {
      auto second = EgressHook::Attach(site.ifindex, site.name, two.get());
      ASSERT_TRUE(second.ok()) << second.status();
      EXPECT_EQ(second->kind(), TcHook::kTcx);
      const EgressHook moved = *std::move(second);
      EXPECT_THAT(EgressTcx(site), ElementsAre("two", "one"));
    }
    EXPECT_THAT(EgressTcx(site), ElementsAre("one"));
    EXPECT_THAT(EgressClsact(site), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(pins_));
  });
}

TEST_F(TcHookTest, AnEgressHookOfClsactLeavesThatOfItsSuccessor) {
  OnVeth([&](const TcSite& site) {
    const base::UniqueFd other = Load("other"), one = Load("one"), two = Load("two");
    ASSERT_TRUE(AttachClsact(site, {other.get(), other.get()}).ok());
    {
      auto first = EgressHook::AttachClsact(site.ifindex, site.name, one.get());
      ASSERT_TRUE(first.ok()) << first.status();
      EXPECT_EQ(first->kind(), TcHook::kClsact);
      const EgressHook moved = *std::move(first);
      EXPECT_THAT(EgressClsact(site), ElementsAre("other", "one"));
    }
    EXPECT_THAT(EgressClsact(site), ElementsAre("other"));
    std::optional<EgressHook> first, second;
    first.emplace(*EgressHook::AttachClsact(site.ifindex, site.name, one.get()));
    second.emplace(*EgressHook::AttachClsact(site.ifindex, site.name, two.get()));
    first.reset();
    EXPECT_THAT(EgressClsact(site), ElementsAre("other", "two"));
    second.reset();
    EXPECT_THAT(EgressClsact(site), ElementsAre("other"));
  });
}

}  // namespace
}  // namespace wb::kern
