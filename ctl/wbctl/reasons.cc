// SPDX-License-Identifier: Apache-2.0
// wbctl reasons: why packets were treated as they were.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

struct ReasonsArgs {
  bool all = false;
  unsigned watch_s = 0;  // 0: once.
  unsigned count = 0;    // Rounds of a watch; 0: until interrupted.
};

using Clock = std::chrono::steady_clock;
using Counts = std::map<std::pair<std::string, std::string>, uint64_t>;  // By hook and label.

std::string Rate(uint64_t difference, double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", static_cast<double>(difference) / seconds);
  return text;
}

void PrintTotals(const api::ReasonList& list, bool all) {
  Table table({{"HOOK"}, {"REASON"}, {"COUNT", Table::Align::kRight}, {"MEANING"}});
  for (const api::ReasonCount& r : list.reasons) {
    if (all || r.count > 0) table.Add({r.hook, r.label, Count(r.count), r.text});
  }
  table.Print(std::cout);
}

void PrintRates(const api::ReasonList& list, const Counts& before, double seconds, bool all) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"HOOK"}, {"REASON"}, {"PER SECOND", kRight}, {"COUNT", kRight}, {"MEANING"}});
  for (const api::ReasonCount& r : list.reasons) {
    const auto old = before.find({r.hook, r.label});
    // A counter that went back belongs to a new accelerd: all of it is new.
    const uint64_t base = old == before.end() || old->second > r.count ? 0 : old->second;
    if (all || r.count > base) {
      table.Add({r.hook, r.label, Rate(r.count - base, seconds), Count(r.count), r.text});
    }
  }
  std::cout << "\n";
  table.Print(std::cout);
}

void Reasons(Context& context, const ReasonsArgs& args) {
  api::Client client = context.MakeClient();
  Counts before;
  Clock::time_point last;
  for (unsigned round = 0;; ++round) {
    const absl::StatusOr<api::ReasonList> list = client.Reasons();
    const Clock::time_point now = Clock::now();
    if (!list.ok()) return context.Fail("reasons", list.status());
    if (context.json) {
      context.PrintJson(client.last_json());
    } else if (round == 0) {
      PrintTotals(*list, args.all);
    } else {
      PrintRates(*list, before, std::chrono::duration<double>(now - last).count(), args.all);
    }
    std::cout.flush();
    const bool done = args.watch_s == 0 || (args.count > 0 && round + 1 >= args.count);
    if (done || !std::cout) return;  // Nobody reads any more: no reason to go on.
    for (const api::ReasonCount& r : list->reasons) before[{r.hook, r.label}] = r.count;
    last = now;
    std::this_thread::sleep_for(std::chrono::seconds(args.watch_s));
  }
}

}  // namespace

void AddReasonsCommand(CLI::App& app, Context& context) {
  const auto args = std::make_shared<ReasonsArgs>();
  CLI::App* command = app.add_subcommand("reasons", "why packets were answered, passed or dropped");
  command->add_flag("--all", args->all, "also reasons that never occurred");
  CLI::Option* watch =
      command->add_option("--watch", args->watch_s, "repeat every so many seconds, with rates");
  watch->check(CLI::Range(1U, 86400U));
  command->add_option("--count", args->count, "rounds of --watch")
      ->check(CLI::Range(1U, 1000000U))
      ->needs(watch);
  command->callback([&context, args] { Reasons(context, *args); });
}

}  // namespace wb::wbctl
