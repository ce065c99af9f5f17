// SPDX-License-Identifier: Apache-2.0
//
// The doctor with its real probe, on lo and on veth pairs in network namespaces of the test's own
// (needs root). Remedies are carried out as printed, and must help.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <tuple>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ctl/doctor/doctor.h"
#include "ctl/doctor/ethtool.h"
#include "ctl/doctor/probe.h"
#include "tests/support/machine.h"
#include "webbooster/base/unique_fd.h"

namespace wb::doctor {
namespace {

using support::InNewNamespace;
using support::Shell;
using ::testing::HasSubstr;

const Finding* Find(const std::vector<Finding>& findings, const std::string& id) {
  for (const Finding& finding : findings) {
    if (finding.id == id) return &finding;
  }
  return nullptr;
}

// The finding of that id; an empty one, and a failure, when there is none.
Finding Get(const std::vector<Finding>& findings, const std::string& id) {
  const Finding* finding = Find(findings, id);
  EXPECT_NE(finding, nullptr) << id << "\n" << FormatTable(findings);
  return finding == nullptr ? Finding() : *finding;
}

std::vector<Finding> ExamineInterface(const std::string& name, bool probe_attach = false) {
  Options options;
  options.interface = name;
  options.probe_attach = probe_attach;
  return Examine(options);
}

void ExpectSeverity(const std::vector<Finding>& findings, const std::string& id,
                    Severity severity) {
  const Finding* finding = Find(findings, id);
  ASSERT_NE(finding, nullptr) << id << "\n" << FormatTable(findings);
  EXPECT_EQ(finding->severity, severity) << id << ": " << finding->message;
}

TEST(DoctorOnThisMachineTest, ExaminesLoopback) {
  const std::vector<Finding> findings = ExamineInterface("lo");
  for (const Finding& finding : findings) {
    EXPECT_TRUE(finding.severity < Severity::kWarning || !finding.remedy.empty()) << finding.id;
  }
  for (const char* id : {"kernel-btf", "capability-bpf", "bpf-jit", "bpf-xdp-link", "bpf-broadcast",
                         "bpf-sockops", "bpf-live-frames", "interface-up", "lro"}) {
    ExpectSeverity(findings, id, Severity::kOk);
  }
  EXPECT_THAT(Get(findings, "interface-address").message, HasSubstr("127.0.0.1"));
  ExpectSeverity(ExamineInterface("wbnone0"), "interface-missing", Severity::kError);
}

TEST(DoctorOnThisMachineTest, SeesWhatIsSetOnAVethPair) {
  InNewNamespace([] {
    Shell("ip link add wbd0 type veth peer name wbd1 && ip link set wbd1 up");
    Shell("ethtool -K wbd1 gro off");
    std::vector<Finding> findings = ExamineInterface("wbd0");
    ExpectSeverity(findings, "interface-up", Severity::kError);
    ExpectSeverity(findings, "veth-peer-offloads", Severity::kWarning);
    ExpectSeverity(findings, "veth-peer-napi", Severity::kError);
    ExpectSeverity(findings, "interface-address", Severity::kWarning);

    // The remedies, done.
    Shell("ip link set wbd0 up && ip address add 198.18.9.1/24 dev wbd0");
    Shell(Get(findings, "veth-peer-offloads").remedy);
    findings = ExamineInterface("wbd0");
    for (const char* id : {"interface-up", "veth-peer-offloads", "veth-peer-napi",
                           "interface-address", "mtu", "veth-peer-mtu"}) {
      ExpectSeverity(findings, id, Severity::kOk);
    }
    Shell("ip link set wbd1 mtu 9000");
    findings = ExamineInterface("wbd0", true);
    ExpectSeverity(findings, "veth-peer-mtu", Severity::kWarning);
    ExpectSeverity(findings, "xdp-mode", Severity::kWarning);
    EXPECT_THAT(Get(findings, "xdp-mode").message, HasSubstr("only generic"));
    Shell(Get(findings, "veth-peer-mtu").remedy);
    findings = ExamineInterface("wbd0", true);
    ExpectSeverity(findings, "xdp-mode", Severity::kOk);
    EXPECT_EQ(Get(findings, "xdp-mode").message, "native XDP attaches");
    EXPECT_THAT(Get(ExamineInterface("wbd0"), "xdp-attached").message, HasSubstr("no XDP program"))
        << "the trial was left attached";
    // A feature beyond the first 32 of the kernel's list.
    Shell("ethtool -K wbd1 rx-gro-list on");
    EXPECT_TRUE(Ethtool("wbd1").ActiveFeatures()["rx-gro-list"]);
    EXPECT_FALSE(Ethtool("wbd0").ActiveFeatures()["rx-gro-list"]);
    Shell("ip link add wbdbr type bridge && ip link set wbd0 master wbdbr");
    EXPECT_THAT(Get(ExamineInterface("wbd0"), "interface-master").message,
                HasSubstr("bridge wbdbr"));
  });
}

// An XDP program that returns XDP_PASS, under a name.
base::UniqueFd LoadPass(bpf_prog_type type, const char* name) {
  return support::LoadVerdict(type, name, XDP_PASS);
}

TEST(DoctorOnThisMachineTest, TellsForeignProgramsFromOurs) {
  InNewNamespace([] {
    Shell(
        "ip link add wbd0 type veth peer name wbd1 && ip link set wbd0 up && ip link set wbd1 up");
    const int ifindex = static_cast<int>(if_nametoindex("wbd0"));
    const base::UniqueFd foreign = LoadPass(BPF_PROG_TYPE_XDP, "firewall");
    ASSERT_EQ(bpf_xdp_attach(ifindex, foreign.get(), XDP_FLAGS_SKB_MODE, nullptr), 0);
    std::vector<Finding> findings = ExamineInterface("wbd0");
    ExpectSeverity(findings, "xdp-foreign", Severity::kError);
    EXPECT_THAT(Get(findings, "xdp-foreign").message,
                HasSubstr("(firewall) is attached (generic)"));
    Shell(Get(findings, "xdp-foreign").remedy);
    findings = ExamineInterface("wbd0");
    EXPECT_EQ(Find(findings, "xdp-foreign"), nullptr) << "the remedy did not help";

    const base::UniqueFd link(bpf_link_create(foreign.get(), ifindex, BPF_XDP, nullptr));
    ASSERT_TRUE(link.valid());
    findings = ExamineInterface("wbd0");
    ASSERT_NE(Find(findings, "xdp-foreign"), nullptr);
    EXPECT_THAT(Get(findings, "xdp-foreign").message, HasSubstr("(native)"));
    Shell(Get(findings, "xdp-foreign").remedy);
    EXPECT_EQ(Find(ExamineInterface("wbd0"), "xdp-foreign"), nullptr) << "the remedy did not help";

    const base::UniqueFd ours = LoadPass(BPF_PROG_TYPE_XDP, "wb_xdp_test");
    ASSERT_EQ(bpf_xdp_attach(ifindex, ours.get(), XDP_FLAGS_DRV_MODE, nullptr), 0);
    findings = ExamineInterface("wbd0");
    ExpectSeverity(findings, "xdp-attached", Severity::kOk);
    EXPECT_THAT(Get(findings, "xdp-attached").message, HasSubstr("wb_xdp_test"));
  });
}

TEST(DoctorOnThisMachineTest, ExaminesTcProgramsOfBothDirections) {
  struct Case {
    bpf_tc_attach_point point;
    bpf_attach_type tcx;  // BPF_TCX_*, where the kernel knows it
    std::string direction;
  };
  for (const Case& c : {Case{BPF_TC_INGRESS, static_cast<bpf_attach_type>(46), "ingress"},
                        Case{BPF_TC_EGRESS, static_cast<bpf_attach_type>(47), "egress"}}) {
    InNewNamespace([&] {
      Shell("ip link add wbd0 type veth peer name wbd1 && ip link set wbd0 up");
      const int ifindex = static_cast<int>(if_nametoindex("wbd0"));
      const base::UniqueFd foreign = LoadPass(BPF_PROG_TYPE_SCHED_CLS, "shaper");
      const base::UniqueFd ours = LoadPass(BPF_PROG_TYPE_SCHED_CLS, "wb_tc_test");
      LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = c.point);
      LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = foreign.get(), .priority = 7);
      ASSERT_EQ(bpf_tc_hook_create(&hook), 0);
      ASSERT_EQ(bpf_tc_attach(&hook, &filter), 0);
      const base::UniqueFd tcx(bpf_link_create(foreign.get(), ifindex, c.tcx, nullptr));
      std::vector<Finding> findings = ExamineInterface("wbd0");
      for (const std::string hook_name : {"tc", "tcx"}) {
        const std::string id = hook_name + "-foreign-" + c.direction;
        if (hook_name == "tcx" && !tcx.valid()) continue;
        ExpectSeverity(findings, id, Severity::kInfo);  // ours is not there yet
        EXPECT_THAT(Get(findings, id).message, HasSubstr("(shaper)"));
        const std::string other = c.direction == "ingress" ? "egress" : "ingress";
        EXPECT_EQ(Find(findings, hook_name + "-foreign-" + other), nullptr);
      }
      // Ours behind it, as if it had come later.
      LIBBPF_OPTS(bpf_tc_opts, behind, .prog_fd = ours.get(), .priority = 9);
      ASSERT_EQ(bpf_tc_attach(&hook, &behind), 0);
      const std::string id = "tc-foreign-" + c.direction;
      ExpectSeverity(ExamineInterface("wbd0"), id, Severity::kWarning);
      if (!tcx.valid()) return;
      const base::UniqueFd later(bpf_link_create(ours.get(), ifindex, c.tcx, nullptr));
      findings = ExamineInterface("wbd0");
      ExpectSeverity(findings, "tcx-foreign-" + c.direction, Severity::kWarning);
      ExpectSeverity(findings, id, Severity::kInfo);  // tcx runs before clsact
      Shell(Get(findings, "tcx-foreign-" + c.direction).remedy);
      EXPECT_EQ(Find(ExamineInterface("wbd0"), "tcx-foreign-" + c.direction), nullptr)
          << "the remedy did not help";
    });
  }
}

TEST(DoctorOnThisMachineTest, WarnsOfGroOnlyInGenericMode) {
  InNewNamespace([] {
    Shell(
        "ip link add wbd0 type veth peer name wbd1 && ip link set wbd0 up && ip link set wbd1 up "
        "&& ethtool -K wbd0 gro on");
    ExpectSeverity(ExamineInterface("wbd0"), "gro", Severity::kOk);
    const base::UniqueFd ours = LoadPass(BPF_PROG_TYPE_XDP, "wb_xdp_test");
    const int ifindex = static_cast<int>(if_nametoindex("wbd0"));
    ASSERT_EQ(bpf_xdp_attach(ifindex, ours.get(), XDP_FLAGS_SKB_MODE, nullptr), 0);
    const std::vector<Finding> findings = ExamineInterface("wbd0");
    ExpectSeverity(findings, "gro", Severity::kWarning);
    Shell(Get(findings, "gro").remedy);
    ExpectSeverity(ExamineInterface("wbd0"), "gro", Severity::kOk);
  });
}

TEST(DoctorOnThisMachineTest, FindsSockopsProgramsThatSufferNoOther) {
  const std::vector<std::string> mounts = MakeKernelProbe()->Host("", "").cgroup2_mounts;
  ASSERT_FALSE(mounts.empty());
  const std::string outer = absl::StrCat(mounts.front(), "/wb-doctor-", getpid());
  const std::string inner = outer + "/inner";
  ASSERT_EQ(mkdir(outer.c_str(), 0755), 0);
  ASSERT_EQ(mkdir(inner.c_str(), 0755), 0);
  const absl::Cleanup remove = [&] { rmdir(inner.c_str()), rmdir(outer.c_str()); };
  const base::UniqueFd program = support::LoadVerdict(BPF_PROG_TYPE_SOCK_OPS, "tuner", 1);
  const base::UniqueFd cgroup(open(outer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Options options;
  options.cgroup = inner;
  EXPECT_EQ(Find(Examine(options), "sockops-foreign"), nullptr);
  for (const auto& [flags, on_it, below_it] :
       {std::tuple{0u, Severity::kError, Severity::kError},
        {uint32_t{BPF_F_ALLOW_OVERRIDE}, Severity::kError, Severity::kInfo},
        {uint32_t{BPF_F_ALLOW_MULTI}, Severity::kInfo, Severity::kInfo}}) {
    ASSERT_EQ(bpf_prog_attach(program.get(), cgroup.get(), BPF_CGROUP_SOCK_OPS, flags), 0);
    for (const auto& [path, severity] : {std::pair{outer, on_it}, {inner, below_it}}) {
      options.cgroup = path;
      const std::vector<Finding> findings = Examine(options);
      ExpectSeverity(findings, "sockops-foreign", severity);
      EXPECT_EQ(Get(findings, "sockops-foreign").subject, outer);
      // What the kernel says of it.
      const base::UniqueFd target(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const base::UniqueFd link(
          bpf_link_create(program.get(), target.get(), BPF_CGROUP_SOCK_OPS, nullptr));
      EXPECT_EQ(link.valid(), severity == Severity::kInfo) << path << ", flags " << flags;
    }
    options.cgroup = outer;
    const std::string remedy = Get(Examine(options), "sockops-foreign").remedy;
    if (on_it == Severity::kError) {
      Shell(remedy);
    } else {
      ASSERT_EQ(bpf_prog_detach2(program.get(), cgroup.get(), BPF_CGROUP_SOCK_OPS), 0);
    }
    EXPECT_EQ(Find(Examine(options), "sockops-foreign"), nullptr) << "the remedy did not help";
  }
}

TEST(DoctorOnThisMachineTest, ReadsThePeerInANamedNamespaceAndAdmitsWhenItCannot) {
  const std::string name = absl::StrCat("wbdoctor-", getpid());
  Shell("ip netns add " + name);
  const absl::Cleanup remove = [&] { Shell("ip netns delete " + name); };
  InNewNamespace([&] {
    Shell("ip link add wbd0 type veth peer name wbd1 && ip link set wbd1 netns " + name);
    const std::vector<Finding> findings = ExamineInterface("wbd0");
    ExpectSeverity(findings, "veth-peer-offloads", Severity::kWarning);
    EXPECT_EQ(Get(findings, "veth-peer-offloads").subject, "wbd1@" + name);
    Shell(Get(findings, "veth-peer-offloads").remedy);
    ExpectSeverity(ExamineInterface("wbd0"), "veth-peer-offloads", Severity::kOk);
  });
  InNewNamespace([] {
    const std::string here = absl::StrCat("/proc/", getpid(), "/task/", gettid(), "/ns/net");
    Shell("ip link add wbd0 type veth peer name wbd1");
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      Shell(absl::StrCat("nsenter --net=", here, " ip link set wbd1 netns ", gettid()));
      const std::string there = absl::StrCat("/proc/", getpid(), "/task/", gettid(), "/ns/net");
      Shell("test -e " + there);
      // The outer thread is blocked in join(): examine from a third one that enters its namespace.
      std::thread([&] {
        const base::UniqueFd outer(open(here.c_str(), O_RDONLY | O_CLOEXEC));
        ASSERT_EQ(setns(outer.get(), CLONE_NEWNET), 0);
        const std::vector<Finding> findings = ExamineInterface("wbd0");
        ExpectSeverity(findings, "veth-peer-unknown", Severity::kWarning);
        EXPECT_EQ(Find(findings, "veth-peer-napi"), nullptr);
      }).join();
    }).join();
  });
}

TEST(DoctorOnThisMachineTest, FindsListenersOfTheNamespaceAndTheirAddresses) {
  InNewNamespace([] {
    Shell(
        "ip link set lo up && ip link add wbd0 type veth peer name wbd1 && "
        "ip address add 198.18.9.1/24 dev wbd0 && ip link set wbd0 up && "
        "ip address add fd00:9::1/64 dev wbd0 nodad");
    const auto listen_on = [](int family, const char* address, uint16_t port) {
      base::UniqueFd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in6 v6 = {};
      sockaddr_in v4 = {};
      v6.sin6_family = AF_INET6, v4.sin_family = AF_INET;
      v6.sin6_port = v4.sin_port = htons(port);
      inet_pton(family, address,
                family == AF_INET ? static_cast<void*>(&v4.sin_addr) : &v6.sin6_addr);
      const bool is_v4 = family == AF_INET;
      EXPECT_EQ(bind(fd.get(),
                     is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6),
                     is_v4 ? sizeof(v4) : sizeof(v6)),
                0);
      EXPECT_EQ(listen(fd.get(), 1), 0);
      return fd;
    };
    const base::UniqueFd here = listen_on(AF_INET6, "fd00:9::1", 81);
    const base::UniqueFd elsewhere = listen_on(AF_INET, "127.0.0.1", 82);
    for (const auto& [port, id, severity] : {std::tuple{81, "listener", Severity::kOk},
                                             {82, "listener-elsewhere", Severity::kWarning},
                                             {83, "listener", Severity::kWarning}}) {
      Options options;
      options.interface = "wbd0";
      options.ports = {static_cast<uint16_t>(port)};
      ExpectSeverity(Examine(options), id, severity);
    }
  });
}

TEST(DoctorOnThisMachineTest, ReadsPinModesAndMissesTheBpffsOfAPlainDirectory) {
  char directory[] = "/tmp/wb-doctor-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const absl::Cleanup remove = [&] { std::filesystem::remove_all(directory); };
  Shell(absl::StrCat("touch ", directory, "/map && chmod 0666 ", directory, "/map"));
  Options options;
  options.pin_dir = directory;
  options.cgroup = directory;
  const std::vector<Finding> findings = Examine(options);
  ExpectSeverity(findings, "pin-file-mode", Severity::kError);
  ExpectSeverity(findings, "bpffs", Severity::kError);
  ExpectSeverity(findings, "cgroup-path", Severity::kError);
  EXPECT_EQ(Find(findings, "pin-dir-mode"), nullptr);
  Shell(Get(findings, "pin-file-mode").remedy);
  ExpectSeverity(Examine(options), "pin-dir", Severity::kOk);
}

TEST(DoctorOnThisMachineTest, TellsIpNetnsExecByTheSysItMounts) {
  const std::string name = absl::StrCat("wbdoctor-", getpid());
  Shell("ip netns add " + name);
  const absl::Cleanup remove = [&] { Shell("ip netns delete " + name); };
  EXPECT_EQ(MakeKernelProbe()->Host("", "").netns_exec, "");
  InNewNamespace([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount(name.c_str(), "/sys", "sysfs", 0, nullptr), 0);  // as iproute2's netns_switch()
    EXPECT_THAT(Get(Examine(Options()), "bpffs").remedy,
                HasSubstr("nsenter --net=/run/netns/" + name));
  });
}

TEST(DoctorOnThisMachineTest, FollowsPinsOfProgramsAndLinksInABpffs) {
  char directory[] = "/tmp/wb-doctor-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const absl::Cleanup remove = [&] { std::filesystem::remove(directory); };
  const std::string pins = absl::StrCat(directory, "/pins");
  InNewNamespace([&] {
    // The mount is seen by this thread alone, and ends with it.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("bpf", directory, "bpf", 0, nullptr), 0);
    ASSERT_EQ(mkdir(pins.c_str(), 0700), 0);
    Shell(
        "ip link add wbd0 type veth peer name wbd1 && ip link set wbd0 up && ip link set wbd1 up");
    // Not named as ours are: only the pin of its link tells.
    base::UniqueFd program = LoadPass(BPF_PROG_TYPE_XDP, "anything");
    const base::UniqueFd link(
        bpf_link_create(program.get(), static_cast<int>(if_nametoindex("wbd0")), BPF_XDP, nullptr));
    ASSERT_TRUE(link.valid());
    Options options;
    options.interface = "wbd0";
    options.pin_dir = pins;
    ExpectSeverity(Examine(options), "xdp-foreign", Severity::kError);
    for (const int fd : {link.get(), program.get()}) {
      const std::string pin = pins + "/pin";
      ASSERT_EQ(bpf_obj_pin(fd, pin.c_str()), 0);
      const std::vector<Finding> findings = Examine(options);
      ExpectSeverity(findings, "bpffs", Severity::kOk);
      EXPECT_EQ(Get(findings, "bpffs").subject, directory);
      ExpectSeverity(findings, "xdp-attached", Severity::kOk);
      EXPECT_EQ(Find(findings, "xdp-foreign"), nullptr);
      ASSERT_EQ(unlink(pin.c_str()), 0);
    }
  });
}

}  // namespace
}  // namespace wb::doctor
