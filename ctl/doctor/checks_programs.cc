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

bool IsOurName(const std::string& name) { return absl::StartsWith(name, "wb_"); }

bool IsOurs(const ProgramFacts& program, const std::vector<PinFacts>& pins) {
  if (IsOurName(program.name)) return true;
  if (program.dispatcher && !program.members.empty() &&
      std::all_of(program.members.begin(), program.members.end(), IsOurName)) {
    return true;
  }
  return std::any_of(pins.begin(), pins.end(), [&](const PinFacts& pin) {
    return pin.prog_id != 0 && pin.prog_id == program.id;
  });
}

std::string Describe(const ProgramFacts& program) {
  return absl::StrCat("program ", program.id, " (",
                      program.name.empty() ? "name unreadable" : program.name, ")");
}

Finding ForeignXdp(const InterfaceFacts& device, const ProgramFacts& program) {
  if (program.dispatcher) {
    return {"xdp-dispatcher", Severity::kWarning, device.name,
            absl::StrCat("a libxdp dispatcher with ", absl::StrJoin(program.members, ", "),
                         " is attached (", program.mode,
                         "): the accelerator joins it where the kernel allows, else attaching is "
                         "refused"),
            absl::StrCat("if attaching is refused: xdp-loader unload ", device.name, " --all")};
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

}  // namespace

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
  for (const ProgramFacts& program : device.tc_egress) {
    if (IsOurs(program, pins)) continue;
    out.push_back({"tc-foreign-egress", Severity::kInfo, device.name,
                   absl::StrCat("another clsact egress ", Describe(program), " is attached"),
                   absl::StrCat("to see its order: tc filter show dev ", device.name, " egress")});
  }
  // The accelerator puts itself first; who comes before it came later.
  const auto ours = std::find_if(device.tcx_egress.begin(), device.tcx_egress.end(),
                                 [&](const ProgramFacts& p) { return IsOurs(p, pins); });
  for (auto program = device.tcx_egress.begin(); program != device.tcx_egress.end(); ++program) {
    if (IsOurs(*program, pins)) continue;
    const std::string what =
        absl::StrCat("another tcx egress ", Describe(*program), " is attached");
    if (ours == device.tcx_egress.end() || ours < program) {
      out.push_back({"tcx-foreign-egress", Severity::kInfo, device.name,
                     absl::StrCat(what, "; the accelerator runs before it"),
                     absl::StrCat("to see its order: bpftool net show dev ", device.name)});
      continue;
    }
    out.push_back({"tcx-foreign-egress", Severity::kWarning, device.name,
                   absl::StrCat(what,
                                "; it runs before the accelerator, which does not see the packet "
                                "if it ends with a verdict"),
                   program->link_id != 0
                       ? absl::StrCat("bpftool link detach id ", program->link_id)
                       : absl::StrCat("see `bpftool net show dev ", device.name,
                                      "`; it must end with TCX_NEXT, or be detached")});
  }
}

void CheckXdpMode(const InterfaceFacts& device, const AttachTrial* trial, Findings& out) {
  const std::string& name = device.name;
  const std::string advice =
      "mend the other findings first; else attach with --mode generic (slower) or use a device "
      "whose driver has native XDP";
  if (trial != nullptr) {
    if (trial->mode == "native") {
      out.push_back({"xdp-mode", Severity::kOk, name, "native XDP attaches", ""});
    } else if (trial->mode == "generic") {
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
    out.push_back({"xdp-mode", Severity::kWarning, name,
                   "the driver does not offer native XDP: generic will be used", advice});
  }
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
