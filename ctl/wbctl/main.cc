// SPDX-License-Identifier: Apache-2.0
// wbctl: the operator's command. A thin client of the control APIs of accelerd and boosterd, plus
// the doctor, which runs by itself.
#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>

#include "ctl/wbctl/context.h"

namespace wb::wbctl {
namespace {

void AddGlobalOptions(CLI::App& app, Context& context) {
  app.add_option("--socket", context.socket, "control socket")->type_name("FILE");
  app.add_flag("--json", context.json, "print JSON as the API has it");
  app.add_option("--timeout", context.timeout_s, "seconds to wait for an answer")
      ->check(CLI::Range(1U, 86400U));
}

int Run(int argc, char** argv) {
  Context context;
  CLI::App app("Controls the Webbooster accelerator and booster", "wbctl");
  app.fallthrough();  // Global options may follow the command.
  app.require_subcommand(1);
  AddGlobalOptions(app, context);
  AddInterfaceCommands(app, context);
  AddStatusCommand(app, context);
  AddDomainCommands(app, context);
  AddCacheCommands(app, context);
  AddDoctorCommand(app, context);
  AddReasonsCommand(app, context);
  AddReloadCommand(app, context);
  AddConnsCommand(app, context);
  AddTopCommand(app, context);
  AddBoosterCommands(app, context);
  AddBoostCommands(app, context);
  AddTapCommand(app, context);
  AddVersionCommand(app, context);
  AddCompletionCommand(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kExitOk : kExitUsage;
  }
  return context.exit_code;
}

}  // namespace
}  // namespace wb::wbctl

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // accelerd may hang up, and `wbctl ... | head` is no error.
  try {
    return wb::wbctl::Run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "wbctl: " << e.what() << "\n";
    return wb::wbctl::kExitFailed;
  }
}
