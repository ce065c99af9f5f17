// SPDX-License-Identifier: Apache-2.0
// wbctl attach, wbctl detach.
#include <iostream>
#include <memory>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

struct AttachArgs {
  std::string interface;
  std::string mode = "auto";
  bool shadow = false;
};

void Attach(Context& context, const AttachArgs& args) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::AttachResult> result =
      client.Attach(args.interface, *api::FromName<api::AttachMode>(args.mode), args.shadow);
  if (!result.ok()) return context.Fail("attach " + args.interface, result.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << Printable(result->interface) << ": attached, " << api::NameOf(result->mode)
            << (result->shadow ? ", shadow" : "");
  if (!result->why.empty()) std::cout << " (" << Printable(result->why) << ")";
  std::cout << "\n";
  for (const api::Finding& finding : result->findings) {
    std::cout << "  " << Printable(finding.severity) << ": " << Printable(finding.subject) << ": "
              << Printable(finding.message) << "\n";
    if (!finding.remedy.empty()) std::cout << "    remedy: " << Printable(finding.remedy) << "\n";
  }
}

void Detach(Context& context, const api::DetachRequest& request) {
  // --timeout must not cut the drain short: the deadline of a detach is --deadline.
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::DetachResult> result = client.Detach(request);
  if (!result.ok()) return context.Fail("detach " + request.interface, result.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << request.interface << ": detached, " << Count(result->drained_connections)
            << " connections drained, " << Count(result->reset_connections) << " reset\n";
}

}  // namespace

void AddInterfaceCommands(CLI::App& app, Context& context) {
  const auto attach_args = std::make_shared<AttachArgs>();
  CLI::App* attach = app.add_subcommand("attach", "put the accelerator on an interface");
  attach->add_option("IF", attach_args->interface, "interface")->required();
  attach->add_option("--mode", attach_args->mode, "auto, native or generic")
      ->check(CLI::IsMember({"auto", "native", "generic"}))
      ->capture_default_str();
  attach->add_flag("--shadow", attach_args->shadow,
                   "judge and count every request, answer none; without it: live");
  attach->callback([&context, attach_args] { Attach(context, *attach_args); });

  const auto request = std::make_shared<api::DetachRequest>();
  CLI::App* detach = app.add_subcommand("detach", "drain, then take the accelerator off");
  detach->add_option("IF", request->interface, "interface")->required();
  detach->add_flag("--force", request->force, "reset connections that were answered by XDP");
  detach
      ->add_option("--deadline", request->deadline_s,
                   "seconds to wait for connections to end (default: accelerd's drain_deadline)")
      ->check(CLI::Range(uint64_t{0}, api::kMaxDetachDeadlineS));
  detach->callback([&context, request] { Detach(context, *request); });
}

}  // namespace wb::wbctl
