// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/scoreboard.h"

#include <algorithm>

namespace wb::bulk {

void Scoreboard::Grow() {
  std::vector<Segment> larger(2 * ring_.size());
  for (uint32_t i = una_; i != nxt_; ++i) larger[i & (larger.size() - 1)] = At(i);
  ring_ = std::move(larger);
}

void Scoreboard::Link(uint32_t segment, uint32_t older) {
  Segment& s = At(segment);
  s.older = older;
  s.newer = older == kNone ? oldest_ : At(older).newer;
  (older == kNone ? oldest_ : At(older).newer) = segment;
  (s.newer == kNone ? newest_ : At(s.newer).older) = segment;
}

void Scoreboard::Unlink(uint32_t segment) {
  const Segment& s = At(segment);
  (s.older == kNone ? oldest_ : At(s.older).newer) = s.newer;
  (s.newer == kNone ? newest_ : At(s.newer).older) = s.older;
}

void Scoreboard::Sent(uint32_t segment, uint64_t now) {
  if (segment == nxt_) {
    if (outstanding() == ring_.size()) Grow();
    At(segment) = Segment{.sent_ns = now, .order = next_order_++};
    ++nxt_;
    Link(segment, newest_);
    return;
  }
  Segment& s = At(segment);
  if (s.lost) {
    s.lost = false;
    --lost_;
  } else {
    Unlink(segment);
  }
  s.sent_ns = now;
  s.order = next_order_++;
  s.retransmitted = true;
  Link(segment, newest_);
}

// Takes a segment out of what is under way, or lost.
void Scoreboard::Clear(Segment& s) {
  if (!s.lost) return;
  s.lost = false;
  --lost_;
}

void Scoreboard::Acknowledge(uint32_t una, Deliveries& news) {
  for (uint32_t i = una_; i < una; ++i) {
    Segment& s = At(i);
    if (s.sacked) {
      --sacked_;
      continue;
    }
    if (!s.lost) Unlink(i);
    Clear(s);
    news.push_back({i, s.sent_ns, s.order, s.retransmitted, true});
  }
  una_ = std::max(una_, una);
  no_lost_below_ = std::max(no_lost_below_, una_);
  size_t done = 0;
  while (done < runs_.size() && runs_[done].end <= una_) ++done;
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<ptrdiff_t>(done));
  if (!runs_.empty()) runs_.front().first = std::max(runs_.front().first, una_);
}

void Scoreboard::SackNew(uint32_t first, uint32_t end, Deliveries& news) {
  for (uint32_t i = first; i < end; ++i) {
    Segment& s = At(i);
    if (!s.lost) Unlink(i);
    Clear(s);
    s.sacked = true;
    ++sacked_;
    news.push_back({i, s.sent_ns, s.order, s.retransmitted, false});
  }
}

void Scoreboard::Sack(uint32_t first, uint32_t end, Deliveries& news) {
  first = std::max(first, una_);
  end = std::min(end, nxt_);
  if (first >= end) return;
  // All runs that it touches become one with it; what lies between them is new.
  auto low = std::ranges::lower_bound(runs_, first, {}, &Run::end);
  auto high = low;
  Run merged{first, end};
  for (; high != runs_.end() && high->first <= end; ++high) {
    if (first < high->first) SackNew(first, high->first, news);
    first = std::max(first, high->end);
    merged = {std::min(merged.first, high->first), std::max(merged.end, high->end)};
  }
  if (first < end) SackNew(first, end, news);
  if (low == high) {
    runs_.insert(low, merged);
  } else {
    *low = merged;
    runs_.erase(low + 1, high);
  }
}

void Scoreboard::MarkLost(uint32_t segment) {
  Segment& s = At(segment);
  if (s.lost || s.sacked) return;
  Unlink(segment);
  s.lost = true;
  ++lost_;
  no_lost_below_ = std::min(no_lost_below_, segment);
}

void Scoreboard::UnmarkLost() {
  std::vector<uint32_t> lost;
  for (std::optional<uint32_t> i = NextLost(); i; i = NextLost(*i + 1)) {
    lost.push_back(*i);
    At(*i).lost = false;
    --lost_;
  }
  std::ranges::sort(lost, {}, [this](uint32_t i) { return At(i).order; });
  uint32_t older = kNone, at = oldest_;
  for (const uint32_t i : lost) {
    for (; at != kNone && At(at).order < At(i).order; at = At(at).newer) older = at;
    Link(i, older);
    older = i;
  }
}

void Scoreboard::ForgetSacks() {
  for (const Run& run : runs_) {
    for (uint32_t i = run.first; i < run.end; ++i) {
      Segment& s = At(i);
      s.sacked = false;
      s.lost = true;
      ++lost_;
    }
    no_lost_below_ = std::min(no_lost_below_, run.first);
  }
  sacked_ = 0;
  runs_.clear();
}

std::optional<uint32_t> Scoreboard::NextLost(uint32_t from) const {
  if (lost_ == 0) return std::nullopt;
  const bool all = from <= no_lost_below_;
  for (uint32_t i = std::max(from, no_lost_below_); i < nxt_; ++i) {
    if (!At(i).lost) continue;
    if (all) no_lost_below_ = i;
    return i;
  }
  return std::nullopt;
}

}  // namespace wb::bulk
