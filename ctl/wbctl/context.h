// SPDX-License-Identifier: Apache-2.0
// What every command of wbctl shares: global options, the client, the exit code and the way errors
// are told.
#ifndef CTL_WBCTL_CONTEXT_H_
#define CTL_WBCTL_CONTEXT_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "ctl/api/client.h"

namespace wb::wbctl {

// Documented in docs/wbctl.md; scripts rely on them.
enum ExitCode {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitUnreachable = 3,
  kExitDeadline = 4,
};

inline constexpr char kDefaultSocket[] = "/run/webbooster/accelerd.sock";
inline constexpr char kBoosterSocket[] = "/run/webbooster/boosterd.sock";

struct Context {
  std::string socket;  // Empty: of the environment, or the usual one.
  bool json = false;
  std::optional<unsigned> timeout_s;  // Overrides the default of every command.
  ExitCode exit_code = kExitOk;

  api::Client MakeClient() const;
  api::Client MakeBoosterClient() const;  // Asks boosterd.
  // Writes the error to standard error and sets the exit code that its kind has.
  void Fail(const std::string& what, const absl::Status& status);
  // The same of findings, one a line, as `--check` of the daemons prints them.
  void FailLines(const std::string& what, const absl::Status& status);
  // What a script gets on standard output with --json.
  void PrintJson(const std::string& text) const;
};

// Each adds its command(s) to `app`; `context` is borrowed and outlives it.
void AddInterfaceCommands(CLI::App& app, Context& context);
void AddStatusCommand(CLI::App& app, Context& context);
void AddDomainCommands(CLI::App& app, Context& context);
void AddCacheCommands(CLI::App& app, Context& context);
void AddCacheShow(CLI::App& cache, Context& context);
void AddDomainShow(CLI::App& domain, Context& context);
void AddConnsCommand(CLI::App& app, Context& context);
void AddTopCommand(CLI::App& app, Context& context);
// After all others: prints what it finds in `app`.
void AddCompletionCommand(CLI::App& app, Context& context);
void AddDoctorCommand(CLI::App& app, Context& context);
void AddReasonsCommand(CLI::App& app, Context& context);
void AddReloadCommand(CLI::App& app, Context& context);
void AddBoosterCommands(CLI::App& app, Context& context);
void AddBoostCommands(CLI::App& app, Context& context);
void AddTapCommand(CLI::App& app, Context& context);
void AddVersionCommand(CLI::App& app, Context& context);

}  // namespace wb::wbctl

#endif  // CTL_WBCTL_CONTEXT_H_
