// SPDX-License-Identifier: Apache-2.0
// wbctl reload.
#include <iostream>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

void Reload(Context& context) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::ReloadResult> result = client.Reload();
  if (!result.ok()) return context.FailLines("reload", result.status());
  if (context.json) return context.PrintJson(client.last_json());
  for (const std::string& warning : result->warnings)
    std::cout << "warning: " << Printable(warning) << "\n";
  if (result->changes.empty()) std::cout << "nothing has changed\n";
  for (const std::string& change : result->changes)
    std::cout << "changed: " << Printable(change) << "\n";
}

}  // namespace

void AddReloadCommand(CLI::App& app, Context& context) {
  app.add_subcommand("reload", "read the configuration file again")->callback([&context] {
    Reload(context);
  });
}

}  // namespace wb::wbctl
