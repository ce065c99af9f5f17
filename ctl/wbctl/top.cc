// SPDX-License-Identifier: Apache-2.0
// wbctl top: what happens now, read and drawn again every interval.
#include <iostream>
#include <memory>
#include <optional>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"
#include "ctl/wbctl/terminal.h"
#include "ctl/wbctl/top_rates.h"
#include "ctl/wbctl/top_view.h"

namespace wb::wbctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A signal is not seen while an answer is waited for.
constexpr unsigned kTimeoutS = 2;

struct TopArgs {
  double interval_s = 1;
  unsigned count = 0;  // 0: until interrupted
};

absl::StatusOr<Sample> Read(api::Client& client) {
  Sample s;
  absl::StatusOr<api::ServerStatus> status = client.GetStatus();
  if (!status.ok()) return status.status();
  s.at = Clock::now();
  s.status = *std::move(status);
  absl::StatusOr<api::DomainList> domains = client.ListDomains();
  if (!domains.ok()) return domains.status();
  s.domains = *std::move(domains);
  absl::StatusOr<api::ReasonList> reasons = client.Reasons();
  if (!reasons.ok()) return reasons.status();
  s.reasons = *std::move(reasons);
  api::CacheFilter most_hit;
  most_hit.limit = kTopUrls;
  absl::StatusOr<api::CacheList> cache = client.ListCache(most_hit);
  if (!cache.ok()) return cache.status();
  s.cache = *std::move(cache);
  return s;
}

class Top {
 public:
  Top(Context& context, const TopArgs& args, Sample first)
      : context_(context),
        client_(context.MakeClient()),
        interval_(static_cast<int64_t>(args.interval_s * 1000)),
        count_(args.count),
        before_(std::move(first)),
        terminal_(context.json) {}

  // The last round's error, for when the terminal has been given back.
  absl::Status Run() {
    absl::Status status;
    for (unsigned round = 0; count_ == 0 || round < count_; ++round) {
      if (!Pause()) break;
      absl::StatusOr<Sample> now = Read(client_);
      status = now.status();
      if (now.ok()) {
        rates_ = RatesBetween(before_, *now);
        before_ = *std::move(now);
      }
      if (!Show(status)) break;
    }
    return status;
  }

 private:
  // Whether to go on after an interval.
  bool Pause() {
    const Clock::time_point end = Clock::now() + interval_;
    for (auto left = interval_; left > milliseconds::zero();
         left = std::chrono::duration_cast<milliseconds>(end - Clock::now())) {
      const Terminal::Event event = terminal_.Wait(left);
      if (event == Terminal::Event::kEnd) return false;
      if (event == Terminal::Event::kTimeout) return true;
      if (rates_ && terminal_.live()) Show(absl::OkStatus());
    }
    return true;
  }

  bool Show(const absl::Status& status) {
    if (context_.json) {
      if (status.ok()) context_.PrintJson(TopJson(before_, *rates_));
      return static_cast<bool>(std::cout);  // Else nobody reads any more.
    }
    if (status.ok()) return terminal_.Draw(TopLines(before_, *rates_, terminal_.rows()));
    std::vector<std::string> lines = {Printable(std::string(status.message()))};
    if (rates_ && terminal_.live()) {
      lines.push_back("what follows is of before:");
      for (std::string& line : TopLines(before_, *rates_, terminal_.rows() - lines.size()))
        lines.push_back(std::move(line));
    }
    return terminal_.Draw(lines);
  }

  Context& context_;
  api::Client client_;
  const milliseconds interval_;
  const unsigned count_;
  Sample before_;
  std::optional<Rates> rates_;
  Terminal terminal_;
};

void RunTop(Context& context, const TopArgs& args) {
  if (!context.timeout_s) context.timeout_s = kTimeoutS;
  api::Client client = context.MakeClient();
  absl::StatusOr<Sample> first = Read(client);
  if (!first.ok()) return context.Fail("top", first.status());
  const absl::Status status = Top(context, args, *std::move(first)).Run();
  if (!status.ok()) context.Fail("top", status);
}

}  // namespace

void AddTopCommand(CLI::App& app, Context& context) {
  const auto args = std::make_shared<TopArgs>();
  CLI::App* top = app.add_subcommand("top", "what happens now, redrawn; Ctrl-C ends it");
  top->add_option("--interval", args->interval_s, "seconds between two readings")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  top->add_option("--count", args->count, "so many times, then end")
      ->check(CLI::Range(1U, 1000000U));
  top->callback([&context, args] { RunTop(context, *args); });
}

}  // namespace wb::wbctl
