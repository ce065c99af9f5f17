// SPDX-License-Identifier: Apache-2.0
// The connections of a worker to one origin for requests that are not known to be hits: as many as
// are needed up to a bound; requests beyond it wait for their turn.
#ifndef BOOSTER_LINK_MISS_POOL_H_
#define BOOSTER_LINK_MISS_POOL_H_

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "booster/link/call.h"
#include "booster/link/miss_link.h"
#include "booster/net/event_loop.h"

namespace wb::link {

class MissPool final : private Carrier, private MissLinkOwner {
 public:
  MissPool(net::EventLoop& loop, std::span<char> scratch);
  ~MissPool();

  void Add(Call& call);
  size_t busy() const { return links_.size() - idle_.size(); }
  size_t waiting() const { return waiting_.size(); }
  bool empty() const { return busy() == 0 && waiting_.empty(); }

 private:
  // Carrier, of those that wait.
  size_t Room(const Call&) const override { return 0; }
  void SendBody(Call&, std::string_view, bool) override {}
  void Pause(Call&, bool) override {}
  void Drop(Call& call) override;

  void LinkIdle(MissLink& link) override;
  void LinkClosed(MissLink& link) override;
  void Next();
  void Expire();

  net::EventLoop& loop_;
  const std::span<char> scratch_;
  std::vector<std::unique_ptr<MissLink>> links_;
  std::vector<MissLink*> idle_;  // the last one was used last
  std::deque<Call*> waiting_;
  std::vector<std::unique_ptr<MissLink>> closed_;  // until the end of the turn
  net::Deferred bury_;
  net::Deferred next_;
  net::Timer expire_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_MISS_POOL_H_
