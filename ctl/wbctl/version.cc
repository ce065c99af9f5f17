// SPDX-License-Identifier: Apache-2.0
// wbctl version: ours always, accelerd's if it answers.
#include <iostream>

#include "ctl/api/json.h"
#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

void Print(const char* program, const api::VersionInfo& v) {
  std::cout << program << Printable(v.version);
  if (!v.commit.empty()) std::cout << " (" << Printable(v.commit) << ")";
  std::cout << ", API " << Printable(v.api) << "\n" << std::flush;
}

void Version(Context& context) {
  api::Client client = context.MakeClient();
  const api::VersionInfo ours = {WB_VERSION, WB_COMMIT};
  const absl::StatusOr<api::VersionInfo> version = client.Version();
  if (context.json) {
    context.PrintJson("{\"wbctl\":" + api::ToJson(ours) +
                      ",\"accelerd\":" + (version.ok() ? client.last_json() : "null") + "}");
  } else {
    Print("wbctl     ", ours);
    if (version.ok()) Print("accelerd  ", *version);
  }
  if (!version.ok()) context.Fail("version", version.status());
}

}  // namespace

void AddVersionCommand(CLI::App& app, Context& context) {
  app.add_subcommand("version", "of wbctl and of accelerd")->callback([&context] {
    Version(context);
  });
}

}  // namespace wb::wbctl
