// SPDX-License-Identifier: Apache-2.0
// Puts a changed configuration file in force while accelerd runs: by SIGHUP, or by the API. All or
// nothing: what is wrong, or cannot change, is told in full before anything has changed. Runs on
// threads of its own or the caller's, never on the one that renews the heartbeat. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_RELOADER_H_
#define WEBBOOSTER_CTL_ACCELERD_RELOADER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "booster/link/channel_server.h"
#include "ctl/accelerd/content.h"
#include "ctl/accelerd/endpoints.h"
#include "ctl/accelerd/filler.h"
#include "ctl/accelerd/interfaces.h"
#include "ctl/api/service.h"

namespace wb::accelerd {

class Reloader {
 public:
  struct Parts {
    kern::Programs& programs;
    kern::ObjectStore& store;
    Content& content;
    Filler& filler;
    Interfaces& interfaces;
    Endpoints& endpoints;
    link::ChannelServer* catalogue;  // null: there is none
    // Tells the event loop that the lease is another; called from any thread.
    std::function<void(const config::Config&)> lease_changed;
  };
  // `text`: of the file, as it was read at the start.
  Reloader(const Parts& parts, std::string path, const std::string& text);
  ~Reloader();

  // InvalidArgument: all that is wrong with the file, one finding a line; FailedPrecondition: all
  // that cannot change without a restart, and other errors, alike: nothing has changed.
  absl::StatusOr<api::ReloadResult> Reload();
  // The same, soon, and the result logged.
  void Request();
  // No reload is under way when this returns, and none will begin.
  void Stop();

  void AddStats(api::ConfigStats& stats) const;

 private:
  struct Loaded {
    config::Config config;  // arranged
    std::optional<Content::BoosterKey> key;
    std::string text;
    std::vector<std::string> warnings;
  };
  void Run();
  absl::StatusOr<Loaded> Read() const;
  absl::StatusOr<api::ReloadResult> ReloadLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Apply(const Loaded& loaded);
  void SwitchDomains(const config::Config& before, const config::Config& now);
  bool Unused(uint32_t domain) const;

  const Parts parts_;
  const std::string path_;
  absl::Mutex mu_;  // one reload at a time

  mutable absl::Mutex stats_mu_;
  api::ConfigStats stats_ ABSL_GUARDED_BY(stats_mu_);

  // Not Abseil's, whose waiting ThreadSanitizer cannot see.
  std::mutex wake_mu_;
  std::condition_variable wake_;
  bool requested_ = false;  // both with wake_mu_
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_RELOADER_H_
