// SPDX-License-Identifier: Apache-2.0
//
// BPF programs on the interface, ours and foreign, and the XDP mode to expect.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/doctor/checks.h"

namespace wb::doctor {
namespace {

// NETDEV_XDP_ACT_* of linux/netdev.h, which Debian 12's headers do not have yet.
constexpr uint64_t kXdpBasic = 1, kXdpRedirect = 2, kXdpNdoXmit = 4, kXdpZeroCopy = 8;

bool IsOurs(uint32_t id, const std::string& name, const std::vector<PinFacts>& pins) {
  if (absl::StartsWith(name, "wb_")) return true;
  return std::any_of(pins.begin(), pins.end(),
                     [&](const PinFacts& pin) { return pin.prog_id != 0 && pin.prog_id == id; });
}

bool IsOurs(const ProgramFacts& program, const std::vector<PinFacts>& pins) {
  return IsOurs(program.id, program.name, pins);
}

std::string Describe(const ProgramFacts& program) {
  return absl::StrCat("program ", program.id, " (",
                      program.name.empty() ? "name unreadable" : program.name, ")");
}

Finding ForeignXdp(const InterfaceFacts& device, const ProgramFacts& program) {
  if (program.dispatcher) {
    return {"xdp-dispatcher", Severity::kError, device.name,
            absl::StrCat("a libxdp dispatcher with ", absl::StrJoin(program.members, ", "),
                         " is attached (", program.mode,
                         "): the accelerator, which is attached by a link of its own, joins none "
                         "and is refused"),
            absl::StrCat("xdp-loader unload ", device.name, " --all")};
  }
  // A link survives `ip link set xdp off` (EBUSY): only its owner or a forced detach ends it.
  const char* word = program.mode == "native"      ? " xdpdrv off"
                     : program.mode == "offloaded" ? " xdpoffload off"
                                                   : " xdpgeneric off";
  return {"xdp-foreign", Severity::kError, device.name,
          absl::StrCat("another XDP ", Describe(program), " is attached (", program.mode, ")"),
          program.link_id != 0 ? absl::StrCat("bpftool link detach id ", program.link_id)
                               : absl::StrCat("ip link set dev ", device.name, word)};
}

bool HasOurs(const std::vector<ProgramFacts>& programs, const std::vector<PinFacts>& pins) {
  return std::any_of(programs.begin(), programs.end(),
                     [&](const ProgramFacts& program) { return IsOurs(program, pins); });
}

// What comes before the accelerator may keep packets from it: at egress those that must be
// translated, at ingress the acknowledgments by which late hits are sent. Where it is not attached
// yet it will come first in tcx; in clsact, by its preference, after most.
void CheckTc(const std::string& device, const std::string& direction, const TcFacts& facts,
             const std::vector<PinFacts>& pins, Findings& out) {
  const bool attached = HasOurs(facts.tcx, pins) || HasOurs(facts.clsact, pins);
  bool before = attached;
  const auto judge = [&](const std::string& hook, const ProgramFacts& program,
                         const std::string& show, const std::string& detach) {
    if (IsOurs(program, pins)) {
      before = false;
      return;
    }
    const std::string what =
        absl::StrCat("another ", hook, " ", direction, " ", Describe(program), " is attached");
    const std::string id = absl::StrCat(hook == "tcx" ? "tcx" : "tc", "-foreign-", direction);
    if (before) {
      out.push_back({id, Severity::kWarning, device,
                     absl::StrCat(what,
                                  "; it runs before the accelerator, which does not see the packet "
                                  "if it ends with a verdict"),
                     detach});
    } else {
      out.push_back(
          {id, Severity::kInfo, device,
           absl::StrCat(what, attached ? "; the accelerator runs before it" : "",
                        direction == "ingress" ? "; it does not see what XDP answers" : ""),
           absl::StrCat("to see its order: ", show)});
    }
  };
  for (const ProgramFacts& program : facts.tcx) {
    const std::string show = absl::StrCat("bpftool net show dev ", device);
    judge("tcx", program, show,
          program.link_id != 0
              ? absl::StrCat("bpftool link detach id ", program.link_id)
              : absl::StrCat("see `", show, "`; it must end with TCX_NEXT, or be detached"));
  }
  for (const ProgramFacts& program : facts.clsact) {
    const std::string show = absl::StrCat("tc filter show dev ", device, " ", direction);
    judge(
        "clsact", program, show,
        absl::StrCat("see `", show, "`; it must end with TC_ACT_UNSPEC, or be removed: tc filter ",
                     "del dev ", device, " ", direction, " pref PREF"));
  }
}

// GRO glues packets together before generic XDP, and several requests in one are left to the kernel
// (or, on a booster link, the packet is longer than what is read).
void CheckGro(const InterfaceFacts& device, bool generic, Findings& out) {
  const auto gro = device.features.find("rx-gro");
  const bool on = gro != device.features.end() && gro->second;
  if (on && generic) {
    out.push_back({"gro", Severity::kWarning, device.name,
                   "GRO is on: it merges packets before generic XDP, and requests that were merged "
                   "are left to the web server",
                   absl::StrCat("ethtool -K ", device.name, " gro off")});
  } else {
    out.push_back({"gro", Severity::kOk, device.name,
                   on ? "GRO is on; native XDP runs before it" : "GRO is off", ""});
  }
}

}  // namespace

void CheckSockops(const HostFacts& host, const std::vector<PinFacts>& pins, Findings& out) {
  for (const SockopsFacts& program : host.sockops) {
    if (IsOurs(program.prog_id, program.name, pins)) continue;
    const std::string what =
        absl::StrCat("another sockops program ", program.prog_id, " (",
                     program.name.empty() ? "name unreadable" : program.name, ") is attached");
    if (program.exclusive) {
      out.push_back({"sockops-foreign", Severity::kError, program.cgroup,
                     absl::StrCat(what, " and suffers no other: the accelerator's is refused"),
                     absl::StrCat("bpftool cgroup detach ", program.cgroup, " sock_ops id ",
                                  program.prog_id)});
    } else {
      out.push_back({"sockops-foreign", Severity::kInfo, program.cgroup,
                     absl::StrCat(what, " beside which others may be"), ""});
    }
  }
}

void CheckPrograms(const InterfaceFacts& device, const std::vector<PinFacts>& pins, Findings& out) {
  for (const ProgramFacts& program : device.xdp) {
    if (IsOurs(program, pins)) {
      out.push_back({"xdp-attached", Severity::kOk, device.name,
                     absl::StrCat("the accelerator's ", Describe(program), " is attached (",
                                  program.mode, ")"),
                     ""});
    } else {
      out.push_back(ForeignXdp(device, program));
    }
  }
  if (device.xdp.empty()) {
    out.push_back({"xdp-attached", Severity::kOk, device.name, "no XDP program is attached", ""});
  }
  CheckTc(device.name, "ingress", device.ingress, pins, out);
  CheckTc(device.name, "egress", device.egress, pins, out);
}

void CheckXdpMode(const InterfaceFacts& device, const AttachTrial* trial, Findings& out) {
  const std::string& name = device.name;
  const std::string advice =
      absl::StrCat("mend the other findings first; else `wbctl attach ", name,
                   " --mode generic` (slower), or use a device whose driver has native XDP");
  // What is attached in that mode now, or would be.
  bool generic = std::any_of(device.xdp.begin(), device.xdp.end(),
                             [](const ProgramFacts& p) { return p.mode == "generic"; });
  if (trial != nullptr) {
    if (trial->mode == "native") {
      out.push_back({"xdp-mode", Severity::kOk, name, "native XDP attaches", ""});
    } else if (trial->mode == "generic") {
      generic = true;
      out.push_back({"xdp-mode", Severity::kWarning, name,
                     absl::StrCat("only generic XDP attaches: ", trial->detail), advice});
    } else {
      out.push_back({"xdp-mode", Severity::kError, name,
                     absl::StrCat("no XDP program attaches: ", trial->detail),
                     "mend the other findings first; see `dmesg | tail` for the driver's word"});
    }
  } else if (!device.xdp_features.has_value()) {
    out.push_back(
        {"xdp-mode", Severity::kInfo, name,
         "the kernel does not tell what the driver can; `wbctl attach` tries native first", ""});
  } else if ((*device.xdp_features & (kXdpBasic | kXdpRedirect)) == (kXdpBasic | kXdpRedirect)) {
    out.push_back({"xdp-mode", Severity::kOk, name, "the driver offers native XDP", ""});
  } else {
    generic = true;
    out.push_back({"xdp-mode", Severity::kWarning, name,
                   "the driver does not offer native XDP: generic will be used", advice});
  }
  CheckGro(device, generic, out);
  if (!device.xdp_features.has_value() || (*device.xdp_features & kXdpBasic) == 0) return;
  // veth offers it or not by its own GRO, although the peer's decides: judged in CheckPeer.
  if ((*device.xdp_features & kXdpNdoXmit) == 0 && device.kind != "veth") {
    out.push_back({"xdp-transmit", Severity::kWarning, name,
                   "the driver does not offer transmission of redirected frames now: replies would "
                   "be lost, so that only `wbctl attach --mode generic` is possible",
                   absl::StrCat("if `ethtool -l ", name,
                                "` shows fewer channels than allowed: "
                                "ethtool -L ",
                                name, " combined N; else attach in generic mode")});
  }
  out.push_back({"xdp-zero-copy", Severity::kInfo, name,
                 (*device.xdp_features & kXdpZeroCopy) != 0 ? "AF_XDP zero-copy is offered"
                                                            : "AF_XDP only copies on this device",
                 ""});
}

}  // namespace wb::doctor
