// SPDX-License-Identifier: Apache-2.0
// boosterd --config FILE [--check]
#include <iostream>

#include "CLI/CLI.hpp"
#include "booster/boosterd/daemon.h"
#include "booster/front/config_load.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace {

// Documented in docs/OPERATIONS.md; service managers rely on them.
constexpr int kExitFailed = 1;
constexpr int kExitRunning = 3;

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("boosterd: Webbooster's web booster");
  std::string path = "/etc/webbooster/boosterd.yaml";
  bool check = false;
  app.add_option("--config", path, "configuration file")->capture_default_str();
  app.add_flag("--check", check,
               "only check the configuration: exit 0 when it is good, 1 when not");
  app.set_version_flag("--version", WB_VERSION);
  CLI11_PARSE(app, argc, argv);

  std::vector<std::string> warnings;
  const auto config = wb::front::Load(path, &warnings);
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << "\n";
  if (!config.ok()) {
    std::cerr << config.status().message() << "\n";
    return kExitFailed;
  }
  if (check) return 0;

  auto logger = spdlog::stderr_logger_mt("boosterd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(
      std::string(wb::config::NameOf(wb::config::kLogLevels, config->log.level))));
  if (absl::Status status = wb::boosterd::RunDaemon(*config, path); !status.ok()) {
    spdlog::critical("{}", status.ToString());
    return absl::IsAlreadyExists(status) ? kExitRunning : kExitFailed;
  }
  return 0;
}
