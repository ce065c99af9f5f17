// SPDX-License-Identifier: Apache-2.0
// wbctl doctor: examines this machine by itself; accelerd need not run.
#include "ctl/doctor/doctor.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "ctl/wbctl/context.h"

namespace wb::wbctl {
namespace {

constexpr char kDefaultPinDir[] = "/sys/fs/bpf/webbooster";

void Doctor(Context& context, doctor::Options options) {
  // Without accelerd's pins there is nothing to examine in the default place; a place that is named
  // must be right.
  std::error_code ignored;
  if (options.pin_dir.empty() && std::filesystem::is_directory(kDefaultPinDir, ignored)) {
    options.pin_dir = kDefaultPinDir;
  }
  // Whatever is accelerated is plain HTTP, and a server that is not where the wire ends is found by
  // its port.
  if (!options.interface.empty() && options.ports.empty()) options.ports = {80};
  const std::vector<doctor::Finding> findings = doctor::Examine(options);
  if (context.json) {
    context.PrintJson(
        doctor::ToJson(findings).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    std::cout << doctor::FormatTable(findings) << std::flush;
  }
  if (doctor::Worst(findings) == doctor::Severity::kError) context.exit_code = kExitFailed;
}

}  // namespace

void AddDoctorCommand(CLI::App& app, Context& context) {
  const auto options = std::make_shared<doctor::Options>();
  CLI::App* command = app.add_subcommand("doctor", "examine this machine, and say how to mend it");
  command->add_option("IF", options->interface, "interface to examine");
  command->add_option("--pin-dir", options->pin_dir, "directory of accelerd's pins")
      ->type_name("DIR");
  command->add_option("--cgroup", options->cgroup, "cgroup v2 directory accelerd attaches to")
      ->type_name("DIR");
  command
      ->add_option("--port", options->ports,
                   "port the web server listens on (repeatable; default 80)")
      ->check(CLI::Range(1, 65535));
  command->add_flag("--probe-attach", options->probe_attach,
                    "try to attach a program to the interface");
  command->callback([&context, options] { Doctor(context, *options); });
}

}  // namespace wb::wbctl
