// SPDX-License-Identifier: Apache-2.0
#include "ctl/doctor/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ctl/doctor/checks.h"
#include "ctl/doctor/probe.h"

namespace wb::doctor {
namespace {

void ExamineInterface(const Options& options, const HostFacts& host,
                      const std::vector<PinFacts>& pins, Probe& probe, Findings& out) {
  absl::StatusOr<InterfaceFacts> device = probe.Interface(options.interface);
  if (!device.ok()) {
    const bool missing = absl::IsNotFound(device.status());
    out.push_back({missing ? "interface-missing" : "interface-unreadable", Severity::kError,
                   options.interface, std::string(device.status().message()),
                   missing ? "choose one of `ip -br link`; for a namespace NS run "
                             "`nsenter --net=/run/netns/NS wbctl doctor IF`"
                           : "run as root"});
    return;
  }
  CheckDevice(*device, host, out);
  CheckPeer(*device, host, out);
  CheckPrograms(*device, pins, out);
  if (options.probe_attach && device->xdp.empty()) {
    const AttachTrial trial = probe.TryAttach(device->ifindex);
    CheckXdpMode(*device, &trial, out);
  } else {
    CheckXdpMode(*device, nullptr, out);
  }
  const bool want_listeners = !options.ports.empty();
  CheckAddresses(*device, want_listeners ? probe.Listeners() : std::vector<Listener>(),
                 options.ports, out);
}

}  // namespace

std::string SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kOk:
      return "ok";
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

std::vector<Finding> Examine(const Options& options) {
  return Examine(options, *MakeKernelProbe());
}

std::vector<Finding> Examine(const Options& options, Probe& probe) {
  Findings out;
  const HostFacts host = probe.Host(options.pin_dir, options.cgroup);
  CheckHost(host, options, out);
  CheckFeatures(probe.BpfFeatures(), out);
  std::vector<PinFacts> pins;
  if (!options.pin_dir.empty()) {
    pins = probe.Pins(options.pin_dir);
    CheckPins(pins, options, out);
  }
  CheckSockops(host, pins, out);
  if (!options.interface.empty()) ExamineInterface(options, host, pins, probe, out);
  return out;
}

Severity Worst(const std::vector<Finding>& findings) {
  Severity worst = Severity::kOk;
  for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

std::string FormatTable(const std::vector<Finding>& findings) {
  size_t id_width = 0, subject_width = 0;
  for (const Finding& finding : findings) {
    id_width = std::max(id_width, finding.id.size());
    subject_width = std::max(subject_width, finding.subject.size());
  }
  std::string table;
  int totals[4] = {};
  for (const Finding& finding : findings) {
    ++totals[static_cast<int>(finding.severity)];
    absl::StrAppendFormat(&table, "%-7s  %-*s  %-*s  %s\n", SeverityName(finding.severity),
                          static_cast<int>(id_width), finding.id, static_cast<int>(subject_width),
                          finding.subject, finding.message);
    if (!finding.remedy.empty()) absl::StrAppend(&table, "         -> ", finding.remedy, "\n");
  }
  absl::StrAppend(&table, totals[3], " errors, ", totals[2], " warnings, ", totals[1], " notes, ",
                  totals[0], " ok\n");
  return table;
}

nlohmann::json ToJson(const std::vector<Finding>& findings) {
  nlohmann::json array = nlohmann::json::array();
  for (const Finding& finding : findings) {
    array.push_back({{"id", finding.id},
                     {"severity", SeverityName(finding.severity)},
                     {"subject", finding.subject},
                     {"message", finding.message},
                     {"remedy", finding.remedy}});
  }
  return array;
}

}  // namespace wb::doctor
