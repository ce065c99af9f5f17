// SPDX-License-Identifier: Apache-2.0
#include "booster/link/miss_pool.h"

#include <algorithm>

namespace wb::link {
namespace {

// Below what servers keep idle connections for (PITFALLS 33), so that few are met ended.
constexpr std::chrono::seconds kIdle(4);
constexpr http::Refusal kNoTurn = {504, "no connection to the origin was free in time"};

}  // namespace

MissPool::MissPool(net::EventLoop& loop, std::span<char> scratch)
    : loop_(loop),
      scratch_(scratch),
      bury_(loop, [this] { closed_.clear(); }),
      next_(loop, [this] { Next(); }),
      expire_(loop, [this] { Expire(); }) {}

MissPool::~MissPool() = default;

// A request that must not be sent twice goes by a new connection: one that was idle may be ended by
// the origin at the same moment, and nobody could tell whether the request had been seen.
void MissPool::Add(Call& call) {
  if (!idle_.empty() && call.Idempotent() && !call.HasBody()) {
    MissLink& link = *idle_.back();
    idle_.pop_back();
    return link.Start(call);
  }
  if (links_.size() >= call.routes().miss_links) {
    if (idle_.empty()) {
      call.Carry(this);
      waiting_.push_back(&call);
      if (!expire_.armed()) expire_.ArmAt(call.begun + call.routes().deadlines.response);
      return;
    }
    idle_.front()->CloseIdle();
  }
  MissLinkOwner& owner = *this;
  links_.push_back(std::make_unique<MissLink>(loop_, scratch_, owner));
  links_.back()->place = links_.size() - 1;
  links_.back()->Start(call);
}

void MissPool::Drop(Call& call) { std::erase(waiting_, &call); }

void MissPool::LinkIdle(MissLink& link) {
  idle_.push_back(&link);
  if (!waiting_.empty()) next_.Schedule();
  if (!expire_.armed()) expire_.ArmIn(kIdle);
}

void MissPool::LinkClosed(MissLink& link) {
  std::erase(idle_, &link);
  const size_t place = link.place;
  closed_.push_back(std::move(links_[place]));
  if (place + 1 < links_.size()) {
    links_[place] = std::move(links_.back());
    links_[place]->place = place;
  }
  links_.pop_back();
  bury_.Schedule();
  if (!waiting_.empty()) next_.Schedule();
}

void MissPool::Next() {
  for (size_t most = waiting_.size(); most > 0 && !waiting_.empty(); --most) {
    if (idle_.empty() && links_.size() >= waiting_.front()->routes().miss_links) return;
    Call* call = waiting_.front();
    waiting_.pop_front();
    Add(*call);
  }
}

void MissPool::Expire() {
  while (!idle_.empty() && idle_.front()->idle_since() + kIdle <= loop_.now()) {
    idle_.front()->CloseIdle();
  }
  while (!waiting_.empty()) {
    Call* call = waiting_.front();
    const auto due = call->begun + call->routes().deadlines.response;
    if (due > loop_.now()) return expire_.ArmAt(due);
    waiting_.pop_front();
    call->Fail(kNoTurn);
  }
  if (!idle_.empty()) expire_.ArmAt(idle_.front()->idle_since() + kIdle);
}

}  // namespace wb::link
