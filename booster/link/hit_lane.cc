// SPDX-License-Identifier: Apache-2.0
#include "booster/link/hit_lane.h"

#include <algorithm>

#include "webbooster/base/check.h"

namespace wb::link {
namespace {

constexpr std::chrono::milliseconds kFirstDelay(20);
constexpr std::chrono::milliseconds kMostDelay(2000);
// A link that has requests outstanding is sent more only when they are so many that waiting would
// not make the packet much fuller.
constexpr size_t kWorthSending = 8;
constexpr http::Refusal kNoLink = {502, "no link to the origin"};

}  // namespace

HitLane::HitLane(net::EventLoop& loop, std::span<char> scratch,
                 std::shared_ptr<const Origin> origin, std::shared_ptr<const Routes> routes,
                 LinkListener* listener)
    : loop_(loop),
      scratch_(scratch),
      origin_(std::move(origin)),
      routes_(std::move(routes)),
      listener_(listener),
      slots_(routes_->links),
      flush_(loop, [this] { Flush(); }),
      bury_(loop, [this] { closed_.clear(); }) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].again = std::make_unique<net::Timer>(loop_, [this, i] { Open(i); });
    Open(i);
  }
}

HitLane::~HitLane() { ending_ = true; }

void HitLane::Retire() {
  ending_ = true;
  for (const Slot& slot : slots_) {
    slot.again->Disarm();
    if (slot.link) slot.link->Drain();
  }
  std::deque<Call*> waiting;
  waiting.swap(waiting_);
  for (Call* call : waiting) call->Lost(kNoLink, false);
}

bool HitLane::empty() const {
  return std::all_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return !slot.link; });
}

void HitLane::Adopt(std::shared_ptr<const Routes> routes) { routes_ = std::move(routes); }

void HitLane::Open(size_t slot) {
  HitLinkOwner& owner = *this;
  slots_[slot].link = std::make_unique<HitLink>(loop_, scratch_, *routes_, owner);
  slots_[slot].link->Open(*origin_);
}

void HitLane::Add(Call& call) {
  call.Carry(this);
  waiting_.push_back(&call);
  flush_.Schedule();
}

void HitLane::Drop(Call& call) {
  const auto at = std::find(waiting_.begin(), waiting_.end(), &call);
  if (at != waiting_.end()) {
    waiting_.erase(at);
    return;
  }
  for (const Slot& slot : slots_) {
    if (slot.link && slot.link->Drop(call)) return;
  }
}

void HitLane::Pause(Call& call, bool paused) {
  for (const Slot& slot : slots_) {
    if (slot.link) slot.link->Pause(call, paused);
  }
}

HitLane::Slot& HitLane::SlotOf(const HitLink& link) {
  for (Slot& slot : slots_) {
    if (slot.link.get() == &link) return slot;
  }
  WB_CHECK(false, "a link of this lane");
  return slots_.front();
}

void HitLane::LinkOpened(HitLink& link) {
  Slot& slot = SlotOf(link);
  slot.open = true;
  slot.delay = {};
  ++usable_;
  if (listener_) listener_->LinkOpened(link.fd());
  flush_.Schedule();
}

void HitLane::LinkFreed(HitLink&) {
  if (!waiting_.empty()) flush_.Schedule();
}

void HitLane::LinkQuiet(HitLink& link) {
  if (listener_) listener_->LinkQuiet(link.fd());
}

void HitLane::LinkClosing(HitLink& link) {
  if (listener_) listener_->LinkClosing(link.fd());
}

void HitLane::LinkClosed(HitLink& link, http::Refusal why) {
  Slot& slot = SlotOf(link);
  const bool was_open = std::exchange(slot.open, false);
  if (was_open) --usable_;
  closed_.push_back(std::move(slot.link));
  bury_.Schedule();
  if (ending_) return;
  // A link that worked was ended by a time limit or a restart: it is renewed at once.
  slot.delay =
      was_open ? std::chrono::milliseconds(0) : std::clamp(2 * slot.delay, kFirstDelay, kMostDelay);
  slot.again->ArmIn(slot.delay);
  if (usable_ > 0 || why == kRenewed) return flush_.Schedule();
  std::deque<Call*> waiting;
  waiting.swap(waiting_);
  for (Call* call : waiting) call->Lost(kNoLink, false);
}

void HitLane::Flush() {
  for (const bool idle : {true, false}) {
    for (size_t i = 0; i < slots_.size() && !waiting_.empty(); ++i) {
      HitLink* link = slots_[++turn_ % slots_.size()].link.get();
      if (!link || link->idle() != idle) continue;
      if (!idle && (waiting_.size() < kWorthSending || link->Left() < kWorthSending)) continue;
      Fill(*link);
    }
  }
}

void HitLane::Fill(HitLink& link) {
  while (!waiting_.empty() && link.Fits(*waiting_.front())) {
    link.Choose(*waiting_.front());
    waiting_.pop_front();
  }
  if (link.chosen()) link.Send();
}

}  // namespace wb::link
