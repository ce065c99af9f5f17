// SPDX-License-Identifier: Apache-2.0
// The permanent links of a worker to one accelerator, and the requests that wait for them. What is
// there when a link is idle is sent at once; what comes while all are busy is the next batch.
#ifndef BOOSTER_LINK_HIT_LANE_H_
#define BOOSTER_LINK_HIT_LANE_H_

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "booster/link/call.h"
#include "booster/link/hit_link.h"
#include "booster/net/event_loop.h"

namespace wb::link {

// Hears of links that open and close: acknowledgments of theirs are thinned. On the worker's
// thread.
class LinkListener {
 public:
  virtual void LinkOpened(int fd) = 0;
  virtual void LinkQuiet(int fd) = 0;  // see HitLinkOwner
  virtual void LinkClosing(int fd) = 0;

 protected:
  ~LinkListener() = default;
};

class HitLane final : public Carrier, private HitLinkOwner {
 public:
  HitLane(net::EventLoop& loop, std::span<char> scratch, std::shared_ptr<const Origin> origin,
          std::shared_ptr<const Routes> routes, LinkListener* listener);
  ~HitLane();

  // Whether there is a link that is open. If not, calls are better carried otherwise.
  bool usable() const { return usable_ > 0; }
  void Add(Call& call);
  void Adopt(std::shared_ptr<const Routes> routes);  // for links that are opened from now on

  // No more requests: links end when they are idle.
  void Retire();
  bool empty() const;

  size_t waiting() const { return waiting_.size(); }
  size_t links() const { return usable_; }

  // Carrier. A request of this kind has no body.
  size_t Room(const Call&) const override { return 0; }
  void SendBody(Call&, std::string_view, bool) override {}
  void Pause(Call& call, bool paused) override;
  void Drop(Call& call) override;

 private:
  struct Slot {
    std::unique_ptr<HitLink> link;
    std::unique_ptr<net::Timer> again;  // after a failure
    std::chrono::milliseconds delay{0};
    bool open = false;
  };

  void LinkOpened(HitLink& link) override;
  void LinkFreed(HitLink& link) override;
  void LinkQuiet(HitLink& link) override;
  void LinkClosing(HitLink& link) override;
  void LinkClosed(HitLink& link, http::Refusal why) override;
  Slot& SlotOf(const HitLink& link);
  void Open(size_t slot);
  void Flush();
  void Fill(HitLink& link);

  net::EventLoop& loop_;
  const std::span<char> scratch_;
  const std::shared_ptr<const Origin> origin_;
  std::shared_ptr<const Routes> routes_;
  LinkListener* const listener_;
  std::deque<Call*> waiting_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<HitLink>> closed_;  // until the end of the turn
  size_t usable_ = 0;
  size_t turn_ = 0;
  bool ending_ = false;
  net::Deferred flush_;
  net::Deferred bury_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_HIT_LANE_H_
