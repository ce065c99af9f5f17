// SPDX-License-Identifier: Apache-2.0
// boosterd --config FILE [--check | --remove-director]
#include <filesystem>
#include <iostream>

#include "CLI/CLI.hpp"
#include "booster/boosterd/daemon.h"
#include "booster/boosterd/director_way.h"
#include "booster/boosterd/process.h"
#include "booster/front/config_load.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace {

// Documented in docs/OPERATIONS.md; service managers rely on them.
constexpr int kExitFailed = 1;
constexpr int kExitRunning = 3;

// As it was started, so that what a link of that name points to is what an upgrade starts.
std::string ProgramOf(const std::string& name) {
  std::error_code error;
  return name.find('/') != name.npos
             ? name
             : std::filesystem::read_symlink("/proc/self/exe", error).string();
}

int RemoveDirector(const wb::front::Config& config) {
  const auto lock = wb::boosterd::LockDirectory(config.runtime_dir, {});
  const absl::Status removed =
      lock.ok() ? wb::boosterd::RemoveDirector(config.redirect) : lock.status();
  if (removed.ok()) return 0;
  std::cerr << removed.message() << "\n";
  return absl::IsAlreadyExists(removed) ? kExitRunning : kExitFailed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("boosterd: Webbooster's web booster");
  wb::boosterd::Invocation invocation;
  invocation.program = ProgramOf(argv[0]);
  invocation.config = "/etc/webbooster/boosterd.yaml";
  bool check = false;
  bool remove_director = false;
  int predecessor = -1;
  app.add_option("--config", invocation.config, "configuration file")->capture_default_str();
  app.add_option("--takeover", predecessor, "")->group("");  // by the predecessor only
  app.add_flag("--check", check,
               "only check the configuration: exit 0 when it is good, 1 when not");
  app.add_flag("--remove-director", remove_director,
               "takes the director off that a boosterd which runs no more has left");
  app.set_version_flag("--version", WB_VERSION);
  CLI11_PARSE(app, argc, argv);

  invocation.predecessor.reset(predecessor);
  std::vector<std::string> warnings;
  const auto config = wb::front::Load(invocation.config, &warnings);
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << "\n";
  if (!config.ok()) {
    std::cerr << config.status().message() << "\n";
    wb::boosterd::TellPredecessor(invocation, config.status());
    return kExitFailed;
  }
  if (check) return 0;
  if (remove_director) return RemoveDirector(*config);

  auto logger = spdlog::stderr_logger_mt("boosterd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(
      std::string(wb::config::NameOf(wb::config::kLogLevels, config->log.level))));
  if (absl::Status status = wb::boosterd::RunDaemon(*config, invocation); !status.ok()) {
    spdlog::critical("{}", status.ToString());
    wb::boosterd::TellPredecessor(invocation, status);
    return absl::IsAlreadyExists(status) ? kExitRunning : kExitFailed;
  }
  return 0;
}
