// SPDX-License-Identifier: Apache-2.0
//
// Each bad machine is the good one with a single fact changed: the finding with its severity and
// remedy must appear, and nothing else may worsen.
// The real probe: doctor_machine_test.cc.
#include "ctl/doctor/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "ctl/doctor/checks.h"
#include "ctl/doctor/netlink.h"
#include "ctl/doctor/probe.h"

namespace wb::doctor {
namespace {

using ::testing::HasSubstr;

class FakeProbe : public Probe {
 public:
  FakeProbe() {
    host.kernel_release = "6.18";
    host.cpus = 2;
    host.btf = true;
    host.unprivileged_bpf = 2;
    for (int capability : {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_NET_RAW}) Grant(capability);
    host.memlock_bytes = UINT64_MAX;
    host.clock_source = "tsc";
    host.cgroup2_mounts = {"/sys/fs/cgroup"};
    host.cgroup_exists = true;
    host.cgroup_is_v2 = Tri::kYes;
    host.bpffs = true;
    features = {
        {"bpf-jit", "machine code", "sysctl -w net.core.bpf_jit_enable=1", false, Tri::kYes},
        {"bpf-xdp-link", "links", "boot a newer kernel", true, Tri::kYes}};
    pins = {
        {"/pins", true, 0700, 0}, {"/pins/conns", false, 0600, 0}, {"/pins/link", false, 0600, 7}};
    device.name = "web0";
    device.ifindex = 5;
    device.up = true;
    device.driver = "veth";
    device.kind = "veth";
    device.mtu = 1500;
    device.rx_queues = device.tx_queues = device.max_queues = 2;
    device.channel = "rx";
    device.features = {{"rx-lro", false}, {"rx-gro-hw", false}, {"rx-gro", true}};
    device.xdp_features = 0x7;
    device.addresses = {"198.18.0.1", "fd00::1"};
    device.rps = false;
    PeerFacts peer;
    peer.ifindex = 6;
    peer.name = "far0";
    peer.mtu = 1500;
    peer.tx_queues = 1;
    peer.features = {{"rx-gro", true}, {"tx-tcp-segmentation", false}};
    device.peer = peer;
    listeners = {{"0.0.0.0", 80}};
  }

  void Grant(int capability) { host.capabilities |= 1ull << capability; }
  void Drop(int capability) { host.capabilities &= ~(1ull << capability); }

  HostFacts Host(const std::string&, const std::string&) override { return host; }
  std::vector<FeatureFacts> BpfFeatures() override { return features; }
  std::vector<PinFacts> Pins(const std::string&) override { return pins; }
  absl::StatusOr<InterfaceFacts> Interface(const std::string& name) override {
    if (name != device.name) return absl::NotFoundError("no such interface here");
    return device;
  }
  std::vector<Listener> Listeners() override { return listeners; }
  AttachTrial TryAttach(uint32_t ifindex) override {
    ++trials;
    EXPECT_EQ(ifindex, device.ifindex);
    return trial;
  }

  HostFacts host;
  std::vector<FeatureFacts> features;
  std::vector<PinFacts> pins;
  InterfaceFacts device;
  std::vector<Listener> listeners;
  AttachTrial trial = {"native", ""};
  int trials = 0;
};

Options AllOptions() {
  Options options;
  options.interface = "web0";
  options.pin_dir = "/pins";
  options.cgroup = "/sys/fs/cgroup";
  options.ports = {80};
  return options;
}

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

void ExpectRemedies(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.id.empty() || finding.subject.empty() || finding.message.empty());
    if (finding.severity >= Severity::kWarning) {
      EXPECT_FALSE(finding.remedy.empty()) << finding.id;
    }
  }
}

TEST(DoctorTest, FindsNothingWrongWithAGoodMachine) {
  FakeProbe probe;
  const std::vector<Finding> findings = Examine(AllOptions(), probe);
  EXPECT_LE(Worst(findings), Severity::kInfo) << FormatTable(findings);
  for (const char* id :
       {"kernel-btf", "capability-bpf", "cgroup-path", "bpffs", "pin-dir", "mtu", "lro", "gro",
        "veth-peer-napi", "veth-peer-offloads", "listener", "xdp-mode"}) {
    EXPECT_EQ(Get(findings, id).severity, Severity::kOk) << id;
  }
  EXPECT_EQ(probe.trials, 0) << "a trial that nobody asked for";
}

struct BadMachine {
  const char* name;
  std::function<void(FakeProbe&)> spoil;
  const char* id;
  Severity severity;
  const char* subject;
  const char* remedy;  // a part of it
};

class BadMachineTest : public ::testing::TestWithParam<BadMachine> {};

TEST_P(BadMachineTest, IsReportedWithItsRemedyAndNothingElse) {
  FakeProbe probe;
  GetParam().spoil(probe);
  const std::vector<Finding> findings = Examine(AllOptions(), probe);
  const Finding* finding = Find(findings, GetParam().id);
  ASSERT_NE(finding, nullptr) << FormatTable(findings);
  EXPECT_EQ(finding->severity, GetParam().severity);
  EXPECT_EQ(finding->subject, GetParam().subject);
  EXPECT_THAT(finding->remedy, HasSubstr(GetParam().remedy));
  ExpectRemedies(findings);
  for (const Finding& other : findings) {
    if (other.id != GetParam().id) {
      EXPECT_LE(other.severity, Severity::kInfo) << other.id;
    }
  }
}

using P = FakeProbe;
constexpr Severity kInfo = Severity::kInfo, kWarn = Severity::kWarning, kErr = Severity::kError;

void AddXdp(P& p, ProgramFacts program) { p.device.xdp.push_back(std::move(program)); }

const BadMachine kBadHosts[] = {
    {"NoBtf", [](P& p) { p.host.btf = false; }, "kernel-btf", kErr, "host", "apt-get install"},
    {"NoCapBpf", [](P& p) { p.Drop(CAP_BPF); }, "capability-bpf", kErr, "host", "add CAP_BPF"},
    {"NoCapNetAdmin", [](P& p) { p.Drop(CAP_NET_ADMIN); }, "capability-net-admin", kErr, "host",
     "add CAP_NET_ADMIN"},
    {"NoCapPerfmon", [](P& p) { p.Drop(CAP_PERFMON); }, "capability-perfmon", kErr, "host",
     "add CAP_PERFMON"},
    {"NoCapNetRaw", [](P& p) { p.Drop(CAP_NET_RAW); }, "capability-net-raw", kErr, "host",
     "add CAP_NET_RAW"},
    {"UnprivilegedBpf", [](P& p) { p.host.unprivileged_bpf = 0; }, "unprivileged-bpf", kWarn,
     "host", "sysctl -w kernel.unprivileged_bpf_disabled=2"},
    {"NoCgroup2", [](P& p) { p.host.cgroup2_mounts.clear(); }, "cgroup-v2", kErr, "host",
     "mount -t cgroup2"},
    {"CgroupMissing", [](P& p) { p.host.cgroup_exists = false; }, "cgroup-path", kErr,
     "/sys/fs/cgroup", "mkdir /sys/fs/cgroup"},
    {"CgroupV1", [](P& p) { p.host.cgroup_is_v2 = Tri::kNo; }, "cgroup-path", kErr,
     "/sys/fs/cgroup", "below /sys/fs/cgroup"},
    {"NoBpffs", [](P& p) { p.host.bpffs = false; }, "bpffs", kErr, "/sys/fs/bpf",
     "mount -t bpf bpf /sys/fs/bpf"},
    {"NoBpffsInNetnsExec", [](P& p) { p.host.bpffs = false, p.host.netns_exec = "lab"; }, "bpffs",
     kErr, "/sys/fs/bpf", "nsenter --net=/run/netns/lab"},
    {"LowMemlock", [](P& p) { p.host.memlock_bytes = 8 << 20; }, "memlock", kWarn, "host",
     "LimitMEMLOCK=infinity"},
    {"SlowClock", [](P& p) { p.host.clock_source = "hpet"; }, "clock-source", kWarn, "host",
     "echo tsc >"},
    {"SockopsExclusive",
     [](P& p) {
       p.host.sockops = {{"/sys/fs/cgroup", 9, "tuner", true}};
     },
     "sockops-foreign", kErr, "/sys/fs/cgroup",
     "bpftool cgroup detach /sys/fs/cgroup sock_ops id 9"},
    {"SockopsShared",
     [](P& p) {
       p.host.sockops = {{"/sys/fs/cgroup", 9, "tuner", false}};
     },
     "sockops-foreign", kInfo, "/sys/fs/cgroup", ""},
    {"NoJit", [](P& p) { p.features[0].present = Tri::kNo; }, "bpf-jit", kWarn, "host",
     "sysctl -w net.core.bpf_jit_enable=1"},
    {"NoXdpLink", [](P& p) { p.features[1].present = Tri::kNo; }, "bpf-xdp-link", kErr, "host",
     "newer kernel"},
    {"Unprobed", [](P& p) { p.features[1].present = Tri::kUnknown; }, "features-unprobed", kWarn,
     "host", "as root"},
    {"PinDirWorldWritable", [](P& p) { p.pins[0].mode = 0777; }, "pin-dir-mode", kErr, "/pins",
     "chmod 0700 /pins"},
    {"PinDirSearchable", [](P& p) { p.pins[0].mode = 0755; }, "pin-dir-mode", kWarn, "/pins",
     "chmod 0700 /pins"},
    {"PinFileWorldWritable", [](P& p) { p.pins[1].mode = 0666; }, "pin-file-mode", kErr,
     "/pins/conns", "chmod 0600 /pins/conns"},
    {"PinFileGroupWritable", [](P& p) { p.pins[1].mode = 0660; }, "pin-file-mode", kWarn,
     "/pins/conns", "chmod 0600 /pins/conns"},
};

const BadMachine kBadInterfaces[] = {
    {"Missing", [](P& p) { p.device.name = "other0"; }, "interface-missing", kErr, "web0",
     "ip -br link"},
    {"Down", [](P& p) { p.device.up = false; }, "interface-up", kErr, "web0",
     "ip link set dev web0 up"},
    {"Enslaved", [](P& p) { p.device.master = "bond0", p.device.master_kind = "bond"; },
     "interface-master", kWarn, "web0", "ip link set dev web0 nomaster"},
    {"Vlan", [](P& p) { p.device.kind = "vlan"; }, "interface-kind", kWarn, "web0", "below it"},
    {"FewQueues", [](P& p) { p.device.rx_queues = 1; }, "queues", kInfo, "web0",
     "ethtool -L web0 rx 2"},
    {"Rps", [](P& p) { p.device.rps = true; }, "rps", kInfo, "web0", ""},
    {"BigMtu", [](P& p) { p.device.mtu = 3499; }, "mtu", kErr, "web0",
     "ip link set dev web0 mtu 3498"},
    {"Lro", [](P& p) { p.device.features["rx-lro"] = true; }, "lro", kErr, "web0",
     "ethtool -K web0 lro off"},
    {"GroHw", [](P& p) { p.device.features["rx-gro-hw"] = true; }, "gro-hw", kWarn, "web0",
     "ethtool -K web0 rx-gro-hw off"},
    {"PeerTso", [](P& p) { p.device.peer->features["tx-tcp-segmentation"] = true; },
     "veth-peer-offloads", kWarn, "far0", "ethtool -K far0 tx off tso off gso off gro on"},
    {"PeerChecksum",
     [](P& p) {
       p.device.peer->features["tx-checksum-ip-generic"] = true;
       p.device.peer->netns = "lab";
     },
     "veth-peer-offloads", kWarn, "far0@lab",
     "nsenter --net=/run/netns/lab ethtool -K far0 tx off"},
    {"PeerWithoutNapi", [](P& p) { p.device.peer->features["rx-gro"] = false; }, "veth-peer-napi",
     kErr, "far0", "ethtool -K far0 gro on"},
    {"PeerUnknown", [](P& p) { p.device.peer->name.clear(); }, "veth-peer-unknown", kWarn, "web0",
     "ethtool -K PEER tx off tso off gso off gro on"},
    {"PeerBigMtu", [](P& p) { p.device.peer->mtu = 9000; }, "veth-peer-mtu", kWarn, "far0",
     "ip link set dev far0 mtu 3498"},
    {"PeerManyQueues", [](P& p) { p.device.peer->tx_queues = 4; }, "veth-peer-queues", kErr, "far0",
     "ethtool -L far0 tx 2"},
    {"ForeignXdp",
     [](P& p) {
       AddXdp(p, {9, "xdp_firewall", "native", 0, false, {}});
     },
     "xdp-foreign", kErr, "web0", "ip link set dev web0 xdpdrv off"},
    {"ForeignXdpGeneric",
     [](P& p) {
       AddXdp(p, {9, "", "generic", 0, false, {}});
       p.device.features["rx-gro"] = false;
     },
     "xdp-foreign", kErr, "web0", "ip link set dev web0 xdpgeneric off"},
    {"ForeignXdpLink",
     [](P& p) {
       AddXdp(p, {9, "xdp_firewall", "native", 3, false, {}});
     },
     "xdp-foreign", kErr, "web0", "bpftool link detach id 3"},
    {"Dispatcher",
     [](P& p) {
       AddXdp(p, {9, "xdp_dispatcher", "native", 0, true, {"xdp_filter"}});
     },
     "xdp-dispatcher", kErr, "web0", "xdp-loader unload web0 --all"},
    {"ForeignClsact",
     [](P& p) {
       p.device.egress.clsact = {{4, "shaper", "", 0, false, {}}};
     },
     "tc-foreign-egress", kInfo, "web0", "tc filter show dev web0 egress"},
    {"ForeignClsactIngress",
     [](P& p) {
       p.device.ingress.clsact = {{4, "policer", "", 0, false, {}}};
     },
     "tc-foreign-ingress", kInfo, "web0", "tc filter show dev web0 ingress"},
    {"ForeignClsactIngressBeforeOurs",
     [](P& p) {
       p.device.ingress.clsact = {{4, "policer", "", 0, false, {}},
                                  {9, "wb_tc_ingress", "", 0, false, {}}};
     },
     "tc-foreign-ingress", kWarn, "web0", "tc filter del dev web0 ingress pref"},
    {"ForeignClsactBehindOurTcx",
     [](P& p) {
       p.device.egress.tcx = {{9, "wb_tc_egress", "", 7, false, {}}};
       p.device.egress.clsact = {{4, "shaper", "", 0, false, {}}};
     },
     "tc-foreign-egress", kInfo, "web0", "tc filter show dev web0 egress"},
    {"ForeignTcxIngress",
     [](P& p) {
       p.device.ingress.tcx = {{4, "cil_from_netdev", "", 8, false, {}},
                               {9, "wb_tc_ingress", "", 7, false, {}}};
     },
     "tcx-foreign-ingress", kWarn, "web0", "bpftool link detach id 8"},
    {"ForeignTcxWithoutLink",
     [](P& p) {
       p.device.ingress.tcx = {{4, "cil_from_netdev", "", 0, false, {}},
                               {9, "wb_tc_ingress", "", 7, false, {}}};
     },
     "tcx-foreign-ingress", kWarn, "web0", "bpftool net show dev web0"},
    {"ForeignTcxIngressBehindOurs",
     [](P& p) {
       p.device.ingress.tcx = {{9, "wb_tc_ingress", "", 7, false, {}},
                               {4, "cil_from_netdev", "", 8, false, {}}};
     },
     "tcx-foreign-ingress", kInfo, "web0", "bpftool net show dev web0"},
    {"ForeignTcx",
     [](P& p) {
       p.device.egress.tcx = {{4, "cil_to_netdev", "", 8, false, {}},
                              {9, "wb_tc_egress", "", 7, false, {}}};
     },
     "tcx-foreign-egress", kWarn, "web0", "bpftool link detach id 8"},
    {"ForeignTcxBehindOurs",
     [](P& p) {
       p.device.egress.tcx = {{9, "wb_tc_egress", "", 7, false, {}},
                              {4, "cil_to_netdev", "", 8, false, {}}};
     },
     "tcx-foreign-egress", kInfo, "web0", "bpftool net show dev web0"},
    {"NoNativeXdp",
     [](P& p) {
       p.device.xdp_features = 0;
       p.device.features["rx-gro"] = false;
     },
     "xdp-mode", kWarn, "web0", "wbctl attach web0 --mode generic"},
    {"GroInGenericMode",
     [](P& p) {
       AddXdp(p, {9, "wb_xdp_ingress", "generic", 0, false, {}});
     },
     "gro", kWarn, "web0", "ethtool -K web0 gro off"},
    {"NoXdpTransmit", [](P& p) { p.device.xdp_features = 0x3, p.device.kind = ""; }, "xdp-transmit",
     kWarn, "web0", "ethtool -L web0"},
    {"NoAddress", [](P& p) { p.device.addresses.clear(); }, "interface-address", kWarn, "web0",
     "ip address add"},
    {"NoListener",
     [](P& p) {
       p.listeners = {{"0.0.0.0", 8080}};
     },
     "listener", kWarn, "port 80", "start the web server on port 80"},
    {"ListenerElsewhere",
     [](P& p) {
       p.listeners = {{"127.0.0.1", 80}};
     },
     "listener-elsewhere", kWarn, "port 80", "listen on 198.18.0.1 port 80"},
};

std::string NameOf(const ::testing::TestParamInfo<BadMachine>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Host, BadMachineTest, ::testing::ValuesIn(kBadHosts), NameOf);
INSTANTIATE_TEST_SUITE_P(Interface, BadMachineTest, ::testing::ValuesIn(kBadInterfaces), NameOf);

TEST(DoctorTest, KnowsItsOwnProgramsByNameAndByPin) {
  for (const ProgramFacts& ours : {ProgramFacts{9, "wb_xdp_serve", "native", 3, false, {}},
                                   ProgramFacts{7, "", "native", 0, false, {}}}) {
    FakeProbe probe;
    probe.device.xdp = {ours};
    for (TcFacts* facts : {&probe.device.ingress, &probe.device.egress})
      facts->tcx = facts->clsact = {{9, "wb_tc_any", "", 0, false, {}}};
    probe.host.sockops = {{"/sys/fs/cgroup", 9, "wb_sockops", false},
                          {"/sys/fs/cgroup", 7, "", true}};
    const std::vector<Finding> findings = Examine(AllOptions(), probe);
    EXPECT_LE(Worst(findings), Severity::kInfo) << FormatTable(findings);
    EXPECT_EQ(Find(findings, "sockops-foreign"), nullptr);
    for (const char* id :
         {"tc-foreign-egress", "tc-foreign-ingress", "tcx-foreign-egress", "tcx-foreign-ingress"})
      EXPECT_EQ(Find(findings, id), nullptr);
  }
}

TEST(DoctorTest, SysAdminIncludesBpfAndPerfmonButNotNetAdmin) {
  FakeProbe probe;
  probe.host.capabilities = 1ull << CAP_SYS_ADMIN;
  const std::vector<Finding> findings = Examine(AllOptions(), probe);
  EXPECT_EQ(Get(findings, "capability-bpf").severity, Severity::kOk);
  EXPECT_EQ(Get(findings, "capability-perfmon").severity, Severity::kOk);
  EXPECT_EQ(Get(findings, "capability-net-admin").severity, Severity::kError);
}

TEST(DoctorTest, TrialAttachmentDecidesTheModeAndSparesAnOccupiedInterface) {
  Options options = AllOptions();
  options.probe_attach = true;
  FakeProbe probe;
  probe.trial = {"generic", "native: Operation not supported"};
  const std::vector<Finding> generic = Examine(options, probe);
  EXPECT_EQ(Get(generic, "xdp-mode").severity, Severity::kWarning);
  EXPECT_EQ(Get(generic, "gro").severity, Severity::kWarning) << "generic XDP runs behind GRO";
  probe.device.xdp_features = 0;
  EXPECT_EQ(Get(Examine(AllOptions(), probe), "gro").severity, Severity::kWarning);
  EXPECT_THAT(Get(generic, "xdp-mode").message, HasSubstr("Operation not supported"));
  probe.trial = {"none", "native: x, generic: y"};
  EXPECT_EQ(Get(Examine(options, probe), "xdp-mode").severity, Severity::kError);
  EXPECT_EQ(probe.trials, 2);
  AddXdp(probe, {9, "xdp_firewall", "native", 0, false, {}});
  Examine(options, probe);
  EXPECT_EQ(probe.trials, 2);
}

TEST(DoctorTest, FormatsTableAndJson) {
  const std::vector<Finding> findings = {
      {"lro", Severity::kError, "web0", "LRO is on", "turn it off"},
      {"bpffs", Severity::kOk, "/sys/fs/bpf", "mounted", ""}};
  EXPECT_EQ(FormatTable(findings),
            "error    lro    web0         LRO is on\n"
            "         -> turn it off\n"
            "ok       bpffs  /sys/fs/bpf  mounted\n"
            "1 errors, 0 warnings, 0 notes, 1 ok\n");
  const nlohmann::json json = ToJson(findings);
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0], (nlohmann::json{{"id", "lro"},
                                     {"severity", "error"},
                                     {"subject", "web0"},
                                     {"message", "LRO is on"},
                                     {"remedy", "turn it off"}}));
  EXPECT_EQ(json[1]["severity"], "ok");
}

TEST(DoctorTest, SingleFrameMtuFollowsThePageSize) {
  EXPECT_EQ(MaxSingleFrameMtu(4096), 3498u);
  EXPECT_EQ(MaxSingleFrameMtu(16384), 15786u);
}

TEST(NetlinkTest, TruncatedAttributesEndTheParse) {
  const std::string whole("\x08\x00\x01\x00\x2a\x00\x00\x00\x08\x00\x02\x00", 12);
  const Attributes attributes = ParseAttributes(whole);  // the second claims 8 bytes and has 4
  EXPECT_EQ(attributes.size(), 1u);
  EXPECT_EQ(AttributeU32(attributes, 1), 42u);
  EXPECT_EQ(AttributeU32(attributes, 2), 0u);
  EXPECT_TRUE(ParseAttributes(std::string("\x02\x00\x01\x00", 4)).empty());
}

}  // namespace
}  // namespace wb::doctor
