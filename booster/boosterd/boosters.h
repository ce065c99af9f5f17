// SPDX-License-Identifier: Apache-2.0
// The other boosters of the same domains: whether they live, who of all decides for domains in mode
// auto, and the store that they share (docs/REDIRECTION.md, "Several boosters").
#ifndef BOOSTER_BOOSTERD_BOOSTERS_H_
#define BOOSTER_BOOSTERD_BOOSTERS_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/boost/peer_health.h"
#include "booster/boost/store.h"
#include "booster/front/config.h"
#include "ctl/api/boost.h"

namespace wb::boosterd {

// Thread-safe.
class Boosters {
 public:
  // Told, on a thread of its own, when another one begins or ceases to live.
  using Changed = std::function<void(const std::string& peer, bool alive)>;

  explicit Boosters(const front::Config& config) : config_(config.redirect), id_(config.instance) {}

  // Begins to be heard and to listen, if there are others. Errors: of the key file; of bind(2).
  [[nodiscard]] absl::Status Start(Changed changed);
  // Is not heard of any more, and does not hear, until Start(). Others miss it after 300 ms.
  void Stop();
  // Of all that live this one has the least address: it decides for domains in mode auto.
  bool Leads() const;
  std::vector<api::BoostPeer> Report() const;
  // Errors: of the password file.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<boost::Store>> MakeStore() const;

 private:
  const front::Redirect config_;
  const std::string id_;
  mutable std::mutex mutex_;                   // of this
  std::unique_ptr<boost::PeerHealth> health_;  // none: alone
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOOSTERS_H_
