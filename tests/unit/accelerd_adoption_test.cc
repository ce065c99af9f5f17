// SPDX-License-Identifier: Apache-2.0
// What one accelerd leaves and the next one finds: interfaces and their slots, cgroup, ports, and
// that there is only one at a time. Real programs on veth pairs of namespaces of the test's own
// (needs root).
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "ctl/accelerd/clock.h"
#include "ctl/accelerd/instance_lock.h"
#include "ctl/accelerd/interfaces.h"
#include "ctl/accelerd/service.h"
#include "ctl/accelerd/setup.h"
#include "ctl/cache/template.h"
#include "tests/support/machine.h"
#include "webbooster.skel.h"
#include "webbooster/base/check.h"

namespace wb::accelerd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

using Mode = kern::AttachMode;

config::Config MakeConfig(const std::string& pin_dir) {
  config::Config config;
  config.pin_dir = pin_dir;
  config.limits.memory_bytes = 1 << 20;
  config.limits.connections = 1024;
  config.limits.objects = 64;
  config.domains.resize(1);
  config.domains[0].name = "site.test";
  return config;
}

// As much of accelerd as the tests need. Its end is a kill: everything pinned stays.
struct Accelerd {
  explicit Accelerd(const config::Config& c) : config(c) {
    auto loaded = kern::Programs::Load(LoadOptionsOf(config));
    WB_CHECK(loaded.ok(), loaded.status().ToString().c_str());
    programs = *std::move(loaded);
    store = std::make_unique<kern::ObjectStore>(*programs);
    content = *Content::Create(config, *programs, *store, std::nullopt);
    interfaces = std::make_unique<Interfaces>(*programs, *content, nullptr);
  }
  // Of an interface; -1: none.
  int Slot(const std::string& name) const {
    const auto slots = kern::SlotsByInterface(*programs);
    const auto it = slots.find(if_nametoindex(name.c_str()));
    return it == slots.end() ? -1 : static_cast<int>(it->second);
  }
  size_t Entered() const {
    const int map = bpf_map__fd(programs->skeleton()->maps.wb_ifs);
    size_t n = 0;
    uint32_t key = 0;
    for (const uint32_t* at = nullptr; bpf_map_get_next_key(map, at, &key) == 0; at = &key) n++;
    return n;
  }
  uint8_t Port(uint32_t port) const {
    uint8_t value = 0xff;
    bpf_map_lookup_elem(bpf_map__fd(programs->skeleton()->maps.wb_ports), &port, &value);
    return value;
  }

  const config::Config config;
  std::unique_ptr<kern::Programs> programs;
  std::unique_ptr<kern::ObjectStore> store;
  std::unique_ptr<Content> content;
  std::unique_ptr<Interfaces> interfaces;
};

void Veth(const std::string& name, bool napi = true) {
  support::Shell(absl::StrCat("ip link add ", name, " type veth peer name ", name, "p"));
  support::Shell(absl::StrCat("ethtool -K ", name, "p gro ", napi ? "on" : "off"));
  support::Shell(absl::StrCat("ip link set ", name, " up; ip link set ", name, "p up"));
}

class AdoptionTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(pins_); }
  config::Config Config() const { return MakeConfig(pins_); }

  const std::string pins_ = absl::StrCat("/sys/fs/bpf/wb-test-adopt-", getpid());
};

TEST_F(AdoptionTest, InterfacesKeepTheirSlots) {
  support::InNewNamespace([&] {
    Veth("wba");
    Veth("wbb");
    {
      Accelerd first(Config());
      ASSERT_TRUE(first.interfaces->Attach("wbb", Mode::kAuto).ok());
      ASSERT_TRUE(first.interfaces->Attach("wba", Mode::kAuto).ok());
      ASSERT_EQ(first.Slot("wbb"), 0);
      ASSERT_EQ(first.Slot("wba"), 1);
    }
    Accelerd second(Config());
    Veth("wbc");
    EXPECT_EQ(second.interfaces->Attach("wbc", Mode::kAuto)->slot,
              2u);  // the others are not yet here
    ASSERT_TRUE(second.interfaces->AttachAll({{"wba", Mode::kAuto}}).ok());
    EXPECT_EQ(second.Slot("wba"), 1);
    EXPECT_EQ(second.Slot("wbb"), 0);
    EXPECT_EQ(second.interfaces->List().size(), 3u);
    EXPECT_EQ(second.interfaces->List()[0].why, "taken over from an earlier process");
    EXPECT_TRUE(second.interfaces->Leave());
  });
}

TEST_F(AdoptionTest, NoSlotIsGivenWhoseConnectionsLive) {
  support::InNewNamespace([&] {
    Veth("wba");
    Accelerd accelerd(Config());
    wb_conn_state& s = accelerd.programs->states[0];
    s.ifindex = 4711;
    s.if_slot = 0;
    s.id = 1;
    auto a = accelerd.interfaces->Attach("wba", Mode::kAuto);
    ASSERT_TRUE(a.ok()) << a.status();
    EXPECT_EQ(a->slot, 1u);
    // When nothing else is left, a connection whose interface is gone makes room.
    for (int i = 2; i < static_cast<int>(WB_IFS_MAX); i++) {
      Veth(absl::StrCat("wbx", i));
      ASSERT_TRUE(accelerd.interfaces->Attach(absl::StrCat("wbx", i), Mode::kAuto).ok());
    }
    Veth("wbz");
    EXPECT_EQ(accelerd.interfaces->Attach("wbz", Mode::kAuto)->slot, 0u);
    Veth("wby");
    EXPECT_TRUE(
        absl::IsResourceExhausted(accelerd.interfaces->Attach("wby", Mode::kAuto).status()));
    s.id = 0;
    EXPECT_TRUE(accelerd.interfaces->Leave());
  });
}

TEST_F(AdoptionTest, InterfacesThatAreMadeAnewDoNotUseUpTheSlots) {
  support::InNewNamespace([&] {
    Accelerd accelerd(Config());
    for (int i = 0; i < 2 * static_cast<int>(WB_IFS_MAX); i++) {
      const std::string name = i % 3 == 0 ? "wba" : absl::StrCat("wbn", i);
      Veth(name);
      auto a = accelerd.interfaces->Attach(name, Mode::kAuto);
      ASSERT_TRUE(a.ok()) << i << ": " << a.status();
      EXPECT_EQ(accelerd.Slot(name), static_cast<int>(a->slot));
      EXPECT_EQ(accelerd.Entered(), 1u);
      support::Shell("ip link del " + name);
    }
    EXPECT_TRUE(accelerd.interfaces->Leave());
  });
}

TEST_F(AdoptionTest, AttachingAgainTellsTheTruthAndRefusesAnotherMode) {
  support::InNewNamespace([&] {
    Veth("wba");
    {
      Accelerd first(Config());
      auto a = first.interfaces->Attach("wba", Mode::kAuto);
      ASSERT_TRUE(a.ok()) << a.status();
      EXPECT_TRUE(a->native) << a->why;
      a = first.interfaces->Attach("wba", Mode::kNative);
      ASSERT_TRUE(a.ok()) << a.status();
      EXPECT_THAT(a->why, StartsWith("attached already, since "));
      EXPECT_THAT(a->why, HasSubstr("the driver has native XDP"));
      const absl::Status other = first.interfaces->Attach("wba", Mode::kGeneric).status();
      EXPECT_TRUE(absl::IsFailedPrecondition(other)) << other;
      EXPECT_THAT(other.message(),
                  HasSubstr("attached in native mode already: `wbctl detach wba`"));
    }
    Accelerd second(Config());
    EXPECT_TRUE(
        absl::IsFailedPrecondition(second.interfaces->Attach("wba", Mode::kGeneric).status()));
    // Configured otherwise: what is there stays, and is listed as it is.
    ASSERT_TRUE(second.interfaces->AttachAll({{"wba", Mode::kGeneric}}).ok());
    ASSERT_EQ(second.interfaces->List().size(), 1u);
    EXPECT_EQ(second.interfaces->List()[0].mode, Mode::kNative);
    EXPECT_TRUE(second.interfaces->Leave());
  });
}

TEST_F(AdoptionTest, WhereNativeRepliesWouldBeLostItFallsBackAndSaysWhy) {
  support::InNewNamespace([&] {
    Veth("wba", false);
    Accelerd accelerd(Config());
    const absl::Status native = accelerd.interfaces->Attach("wba", Mode::kNative).status();
    EXPECT_THAT(std::string(native.message()), HasSubstr("ethtool -K wbap gro on"));
    auto a = accelerd.interfaces->Attach("wba", Mode::kAuto);
    ASSERT_TRUE(a.ok()) << a.status();
    EXPECT_FALSE(a->native);
    EXPECT_THAT(a->why, HasSubstr("native XDP would lose every reply"));
    EXPECT_THAT(a->why, HasSubstr("ethtool -K wbap gro on"));
    EXPECT_TRUE(accelerd.interfaces->Leave());
  });
}

TEST_F(AdoptionTest, WhatCannotBeAttachedDoesNotTakeTheOthersDown) {
  support::InNewNamespace([&] {
    Veth("wba");
    {
      Accelerd first(Config());
      ASSERT_TRUE(first.interfaces->Attach("wba", Mode::kAuto).ok());
    }
    {
      Accelerd second(Config());
      ASSERT_TRUE(second.interfaces->AttachAll({{"wbnone", Mode::kAuto}}).ok());
      const auto list = second.interfaces->List();
      ASSERT_EQ(list.size(), 2u);
      EXPECT_EQ(list[1].name, "wbnone");
      EXPECT_EQ(list[1].ifindex, 0u);
      EXPECT_THAT(list[1].why, StartsWith("not attached: there is no interface wbnone"));
    }
    // What an earlier process left and cannot be taken over is not unpinned.
    support::Shell("ip link set wba mtu 3600");
    Accelerd third(Config());
    EXPECT_FALSE(third.interfaces->AttachAll({{"wbnone", Mode::kAuto}}).ok());
    EXPECT_FALSE(third.interfaces->Leave());
    EXPECT_EQ(kern::AttachedMode(*third.programs, "wba"), Mode::kNative);
    support::Shell("ip link del wba");
    EXPECT_TRUE(third.interfaces->Leave());
    EXPECT_TRUE(third.programs->Unpin().ok());
  });
}

TEST_F(AdoptionTest, DetachWithoutADeadlineWaitsForTheConfiguredOne) {
  support::InNewNamespace([&] {
    Veth("wba");
    config::Config config = Config();
    config.drain_deadline = std::chrono::seconds(1);
    Accelerd accelerd(config);
    ASSERT_TRUE(accelerd.interfaces->Attach("wba", Mode::kAuto).ok());
    wb_conn_state& s = accelerd.programs->states[0];
    s.ifindex = if_nametoindex("wba");
    s.d_in = 1;
    s.id = 1;
    Filler filler(*accelerd.content);
    const Verifier verifier(*accelerd.content, *accelerd.programs);
    BulkObjects objects(*bulk::Store::Create(0));
    const auto bulk = *BulkPath::Start({}, *accelerd.programs, objects);
    AccelService service(*accelerd.programs, *accelerd.store, *accelerd.content, filler,
                         *accelerd.interfaces, *bulk, objects, verifier, nullptr, nullptr, nullptr);
    const absl::Notification never;
    const absl::Time begin = absl::Now();
    const absl::Status status = service.Detach({"wba", false, std::nullopt}, never).status();
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_GE(absl::Now() - begin, absl::Seconds(1));
    s.id = 0;
    EXPECT_TRUE(service.Detach({"wba", false, std::nullopt}, never).ok());
    filler.Stop();
  });
}

TEST_F(AdoptionTest, PortsOfBeforeAreNotFollowedAnyMore) {
  {
    Accelerd first(Config());
    ASSERT_TRUE(first.store->SetPort(80, WB_PORT_FOLLOWED).ok());
    ASSERT_TRUE(first.store->SetPort(81, WB_PORT_FOLLOWED).ok());
    ASSERT_TRUE(first.store->SetPort(82, WB_PORT_FOLLOWED).ok());
  }
  Accelerd second(Config());
  ASSERT_TRUE(Configure(second.config, *second.store).ok());
  ASSERT_TRUE(second.store->RestPorts({81}).ok());
  EXPECT_EQ(second.Port(80), WB_PORT_FOLLOWED);
  EXPECT_EQ(second.Port(81), WB_PORT_LEFT);
  EXPECT_EQ(second.Port(82), WB_PORT_NONE);
}

TEST_F(AdoptionTest, AnotherCgroupTakesThePlaceOfTheOld) {
  const auto root = FindCgroup2();
  ASSERT_TRUE(root.ok()) << root.status();
  const std::string a = absl::StrCat(*root, "/wb-test-a-", getpid());
  const std::string b = absl::StrCat(*root, "/wb-test-b-", getpid());
  ASSERT_TRUE(mkdir(a.c_str(), 0755) == 0 && mkdir(b.c_str(), 0755) == 0);
  const auto followed = [&] {
    const base::UniqueFd link(
        bpf_obj_get(absl::StrCat(pins_, "/v", WB_LAYOUT_VERSION, "/link_sockops").c_str()));
    bpf_link_info info;
    memset(&info, 0, sizeof(info));
    uint32_t len = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(link.get(), &info, &len), 0);
    return std::pair(info.id, info.cgroup.cgroup_id);
  };
  const auto id = [](const std::string& dir) {
    struct stat s;
    EXPECT_EQ(stat(dir.c_str(), &s), 0);
    return s.st_ino;
  };
  {
    Accelerd first(Config());
    ASSERT_TRUE(first.programs->AttachSockops(a).ok());
    const auto before = followed();
    EXPECT_EQ(before.second, id(a));
    ASSERT_TRUE(first.programs->AttachSockops(a).ok());
    EXPECT_EQ(followed(), before);  // the same link, never a gap
  }
  {
    Accelerd second(Config());
    ASSERT_TRUE(second.programs->AttachSockops(b).ok());
    EXPECT_EQ(followed().second, id(b));
  }
  EXPECT_EQ(rmdir(a.c_str()), 0);
  std::filesystem::remove_all(pins_);
  EXPECT_EQ(rmdir(b.c_str()), 0);
}

TEST_F(AdoptionTest, DatesReachThreeMinutesAhead) {
  Accelerd accelerd(Config());
  Clock clock(*accelerd.programs);
  clock.Tick();
  const uint32_t now = accelerd.programs->control[0].second;
  for (uint32_t s : {now, now + 16, now + 180}) {
    const wb_date want = cache::DateText(s);
    EXPECT_EQ(memcmp(&accelerd.programs->dates[s % WB_DATES], &want, sizeof(want)), 0) << s - now;
  }
}

TEST(InstanceLockTest, OneAtATime) {
  char made[] = "/tmp/wblock.XXXXXX";
  ASSERT_NE(mkdtemp(made), nullptr);
  const std::string base = made;
  const std::string pid = absl::StrCat("process ", getpid(), " runs with ", base);
  {
    auto first = InstanceLock::Take(base + "/run", base + "/pins");
    ASSERT_TRUE(first.ok()) << first.status();
    const absl::Status run = InstanceLock::Take(base + "/run", base + "/pins2").status();
    EXPECT_TRUE(absl::IsAlreadyExists(run)) << run;
    EXPECT_THAT(std::string(run.message()), StartsWith(pid + "/run/accelerd.lock already"));
    const absl::Status pins = InstanceLock::Take(base + "/run2", base + "/pins").status();
    EXPECT_TRUE(absl::IsAlreadyExists(pins)) << pins;
    EXPECT_THAT(std::string(pins.message()), StartsWith(pid + "/pins already"));
    EXPECT_TRUE(InstanceLock::Take(base + "/run2", base + "/pins2").ok());
  }
  EXPECT_TRUE(InstanceLock::Take(base + "/run", base + "/pins").ok());
  std::filesystem::remove_all(base);
}

}  // namespace
}  // namespace wb::accelerd
