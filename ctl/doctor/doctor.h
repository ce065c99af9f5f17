// SPDX-License-Identifier: Apache-2.0
//
// The doctor: examines a machine, and an interface if one is named, for everything the accelerator
// needs. Called by `wbctl doctor` and by accelerd before it attaches. It changes nothing, but for
// the trial attachment of Options::probe_attach. Thread-safe as far as Probe is; the real one acts
// on the network namespace of the calling thread.
#ifndef CTL_DOCTOR_DOCTOR_H_
#define CTL_DOCTOR_DOCTOR_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace wb::doctor {

class Probe;

enum class Severity { kOk, kInfo, kWarning, kError };

// "ok", "info", "warning", "error".
std::string SeverityName(Severity severity);

struct Finding {
  std::string id;  // stable, kebab-case
  Severity severity = Severity::kOk;
  std::string subject;  // what was examined: "host", an interface, a path, a port
  std::string message;
  std::string remedy;  // a command or an instruction; never empty for kWarning and kError
};

struct Options {
  std::string interface;        // empty: only the host is examined
  std::string pin_dir;          // empty: pins are not examined, bpffs is looked for in /sys/fs/bpf
  std::string cgroup;           // empty: only the cgroup v2 mount is looked for
  std::vector<uint16_t> ports;  // listeners to look for on the interface's addresses
  bool probe_attach = false;  // attach and detach a trial program where no XDP program is attached
};

std::vector<Finding> Examine(const Options& options);
std::vector<Finding> Examine(const Options& options, Probe& probe);

// The worst severity present; kOk for no finding.
Severity Worst(const std::vector<Finding>& findings);

// One line per finding, its remedy on the next one, and a closing line of totals.
std::string FormatTable(const std::vector<Finding>& findings);

// [{"id", "severity", "subject", "message", "remedy"}...]
nlohmann::json ToJson(const std::vector<Finding>& findings);

}  // namespace wb::doctor

#endif  // CTL_DOCTOR_DOCTOR_H_
