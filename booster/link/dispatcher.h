// SPDX-License-Identifier: Apache-2.0
// Where a worker's requests go: which origin of the domain, and by which link; and again elsewhere
// when that fails and the request may be sent twice.
#ifndef BOOSTER_LINK_DISPATCHER_H_
#define BOOSTER_LINK_DISPATCHER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/link/call.h"
#include "booster/link/coalescer.h"
#include "booster/link/exchange.h"
#include "booster/link/hit_lane.h"
#include "booster/link/keys.h"
#include "booster/link/miss_pool.h"
#include "booster/link/settings.h"
#include "booster/net/event_loop.h"

namespace wb::link {

// Of one worker; read by others at any time.
struct DispatchCounts {
  std::atomic<uint64_t> hits = 0;       // requests sent by key
  std::atomic<uint64_t> misses = 0;     // requests sent whole
  std::atomic<uint64_t> retries = 0;    // of these, not for the first time
  std::atomic<uint64_t> coalesced = 0;  // answered by the response to another one
};

// Of one origin: requests as above, since it is named, and what there is now.
struct OriginFigures {
  std::shared_ptr<const Origin> origin;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t retries = 0;    // requests that failed there, and went on elsewhere
  uint64_t coalesced = 0;  // requests that were answered by the response to another one
  size_t links = 0;        // for hits, open
  size_t waiting = 0;      // requests, for a link
  size_t busy = 0;         // connections for misses that carry one
};

class Dispatcher final : public Upstream, private CallSender, private Carrier {
 public:
  // `listener`: of links for hits; `gate`: before all requests. None, or they outlive it.
  Dispatcher(net::EventLoop& loop, std::shared_ptr<const Routes> routes, LinkListener* listener,
             Gate* gate = nullptr);
  ~Dispatcher() override;

  // From now on. Exchanges under way keep the routes that they began with; links of origins that
  // are named no more end when they are idle.
  void Adopt(std::shared_ptr<const Routes> routes);

  Exchange* Start(const Ask& ask, Client& client) override;

  const DispatchCounts& counts() const { return counts_; }
  // Of the origins that are named now. On the worker's thread.
  std::vector<OriginFigures> Report() const;

 private:
  struct Paths {
    uint64_t hits = 0, misses = 0, retries = 0, coalesced = 0;
    std::unique_ptr<HitLane> lane;
    std::unique_ptr<MissPool> pool;
    std::unique_ptr<Keys> keys;
  };

  // CallSender
  void Retry(Call& call, http::Refusal why) override;
  void Admitted(Call& call) override { Send(call); }
  void SendWhole(Call& call) override;
  void SendAlone(Call& call) override;
  void Coalesced(const std::shared_ptr<const Origin>& origin, size_t calls) override;
  // Carrier, of calls that wait for their turn or have failed already.
  size_t Room(const Call&) const override { return 0; }
  void SendBody(Call&, std::string_view, bool) override {}
  void Pause(Call&, bool) override {}
  void Drop(Call& call) override;

  void Send(Call& call);
  bool SendByKey(Call& call, const DomainRoute& route, Paths& paths);
  std::shared_ptr<const Origin> Choose(uint32_t domain, const DomainRoute& route,
                                       const Origin* but);
  Paths& PathsOf(const std::shared_ptr<const Origin>& origin);
  void FailLater(Call& call, http::Refusal why);
  void FailAll();
  void Retire(Paths paths);
  void Bury();

  net::EventLoop& loop_;
  std::shared_ptr<const Routes> routes_;
  LinkListener* const listener_;
  Gate* const gate_;
  std::vector<char> scratch_;
  absl::flat_hash_map<std::shared_ptr<const Origin>, Paths> paths_;
  std::vector<Paths> retired_;
  net::Timer bury_;
  std::vector<std::vector<double>> credits_;  // of the domains' origins: smooth weighted turns
  std::vector<double> credits_before_;        // the last turn, of its domain
  Coalescer coalescer_;
  std::vector<std::pair<Call*, http::Refusal>> failed_;
  net::Deferred fail_;
  DispatchCounts counts_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_DISPATCHER_H_
