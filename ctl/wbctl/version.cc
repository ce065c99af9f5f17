// SPDX-License-Identifier: Apache-2.0
// wbctl version: ours always, accelerd's if it answers.
#include <iostream>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

void Version(Context& context) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::VersionInfo> version = client.Version();
  if (!context.json) std::cout << "wbctl     " << WB_VERSION << "\n" << std::flush;
  if (!version.ok()) return context.Fail("version", version.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << "accelerd  " << Printable(version->version);
  if (!version->commit.empty()) std::cout << " (" << Printable(version->commit) << ")";
  std::cout << ", API " << Printable(version->api) << "\n";
}

}  // namespace

void AddVersionCommand(CLI::App& app, Context& context) {
  app.add_subcommand("version", "of wbctl and of accelerd")->callback([&context] {
    Version(context);
  });
}

}  // namespace wb::wbctl
