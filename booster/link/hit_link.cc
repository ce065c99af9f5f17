// SPDX-License-Identifier: Apache-2.0
#include "booster/link/hit_link.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>

#include "webbooster/abi/limits.h"
#include "webbooster/base/check.h"

namespace wb::link {
namespace {

constexpr http::Refusal kNoConnection = {502, "no connection to the origin"};
constexpr http::Refusal kEnded = {502, "the origin ended the connection"};
constexpr http::Refusal kBroken = {502, "the link to the origin is broken"};
constexpr http::Refusal kUnasked = {502, "the origin sent what was not asked for"};
constexpr http::Refusal kTooSlow = {504, "the origin did not answer in time"};

// The accelerator begins with the initial window (RFC 6928) and grows it by what is acknowledged;
// what does not fit goes through the web server. The same is reckoned here, a little less.
constexpr uint64_t kInitialBytes = 10 * 1448;
constexpr uint64_t kMostBytes = 120 << 10;
constexpr uint32_t kLeastMss = 536;
// Below the least time after which an accelerator takes a reply for lost (5 ms).
constexpr std::chrono::milliseconds kQuiet(2);
// A link that was not at rest for so long, and for so many round trips, is to rest: one that is
// full all the time loses a tenth at most.
constexpr std::chrono::milliseconds kMostBusy(10);
constexpr int kBusyTrips = 20;
// How often is looked at how the connection fares, and the round trip before its first sample.
constexpr std::chrono::milliseconds kLook(5);
constexpr uint32_t kNoTime = UINT32_MAX;
constexpr uint32_t kMostPayload = WB_SCAN_BYTES - 8;  // that XDP looks at
// A longer reply is none of the accelerator's: the object has changed since it was catalogued.
constexpr uint64_t kMostReply = 4 * WB_BODY_MAX;

// Segments that were lost, or came in another order.
uint32_t Losses(const tcp_info& info) { return info.tcpi_total_retrans + info.tcpi_reord_seen; }

}  // namespace

HitLink::HitLink(net::EventLoop& loop, std::span<char> scratch, const Routes& routes,
                 HitLinkOwner& owner)
    : loop_(loop),
      scratch_(scratch),
      limits_(routes.limits),
      deadlines_(routes.deadlines),
      owner_(owner),
      timer_(loop, [this] { Late(); }),
      resume_(loop, [this] { Resume(); }),
      quiet_(loop, [this] { Quiet(); }),
      reader_(limits_) {}

HitLink::~HitLink() { loop_.Unwatch(*this); }

void HitLink::Open(const Origin& origin) {
  WB_CHECK(state_ == State::kClosed, "opened once");
  absl::StatusOr<base::UniqueFd> fd = net::Dial(origin.address);
  if (!fd.ok() || !loop_.Watch(fd->get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, *this).ok()) {
    timer_.ArmIn(deadlines_.connect);  // told later, as of any other failure
    state_ = State::kConnecting;
    return;
  }
  fd_ = *std::move(fd);
  state_ = State::kConnecting;
  timer_.ArmIn(deadlines_.connect);
}

tcp_info HitLink::Info() const {
  tcp_info info = {};
  socklen_t length = sizeof(info);
  getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &length);
  return info;
}

void HitLink::Connected() {
  const tcp_info info = Info();
  mss_ = std::max(info.tcpi_snd_mss, kLeastMss);
  losses_ = Losses(info);
  state_ = State::kOpen;
  timer_.Disarm();
  owner_.LinkOpened(*this);
}

size_t HitLink::Left() const { return WB_FLIGHTS - waiting_.size(); }

bool HitLink::Fits(const Call& call) const {
  if (state_ != State::kOpen || draining_ || blocked_ || resting_) return false;
  if (alone_ && !idle()) return false;
  if (waiting_.size() >= WB_FLIGHTS || chosen_ >= WB_PARTS_MAX) return false;
  const uint64_t window = std::min(kMostBytes, kInitialBytes + earned_);
  if (!waiting_.empty() && reply_bytes_ + call.reply_bytes > window) return false;
  if (chosen_ == 0) return true;
  const uint32_t segments = (call.reply_bytes + mss_ - 1) / mss_;
  return out_.size() + call.wire.size() <= std::min(mss_, kMostPayload) &&
         chosen_segments_ + segments <= WB_FANOUT_MAX;
}

void HitLink::Choose(Call& call) {
  out_.append(call.wire);
  ++chosen_;
  chosen_segments_ += (call.reply_bytes + mss_ - 1) / mss_;
  reply_bytes_ += call.reply_bytes;
  if (waiting_.empty()) {
    reader_.Begin({});
    timer_.ArmIn(deadlines_.response);
    if (std::exchange(settled_, false)) busy_since_ = loop_.now();
  }
  waiting_.push_back({&call, call.reply_bytes});
}

void HitLink::Send() {
  chosen_ = 0;
  chosen_segments_ = 0;
  Write();
}

// MSG_EOR keeps the kernel from joining it with the next segment and cutting both elsewhere.
void HitLink::Write() {
  const ssize_t n = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_EOR);
  if (n > 0) out_.erase(0, static_cast<size_t>(n));
  acknowledged_ = acknowledged_ || n > 0;
  // An error is heard of by epoll.
  blocked_ = !out_.empty();
}

bool HitLink::Drop(Call& call) {
  for (Waiting& waiting : waiting_) {
    if (waiting.call != &call) continue;
    waiting.call = nullptr;
    if (large_) resume_.Schedule();
    return true;
  }
  return false;
}

void HitLink::Drain() {
  draining_ = true;
  if (idle()) Close(kEnded);
}

void HitLink::OnEvents(uint32_t events) {
  ending_ = ending_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
  if (state_ == State::kConnecting) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    if (net::ConnectError(fd_.get()) != 0) return Close(kNoConnection);
    Connected();
  }
  if ((events & EPOLLOUT) && blocked_) Write();
  if (events & ~static_cast<uint32_t>(EPOLLOUT)) Read();
}

void HitLink::Read() {
  bool freed = false;
  while (!paused_) {
    const ssize_t n = recv(fd_.get(), scratch_.data(), scratch_.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) return Close(n == 0 ? kEnded : kBroken);
    freed = true;
    if (!Replies({scratch_.data(), static_cast<size_t>(n)})) return;
    // A short read has emptied the socket, and what comes later is another event; but an end that
    // came with it is not.
    if (static_cast<size_t>(n) < scratch_.size() && !ending_) break;
  }
  if (freed && loop_.now() >= look_at_) Look();
  if (draining_ && idle()) return Close(renewed_ ? kRenewed : kEnded);
  if (!freed) return;
  alone_ = acknowledged_ = false;
  CareForRest();
  owner_.LinkFreed(*this);
  quiet_at_ = loop_.now() + kQuiet;
  if (!quiet_.armed()) quiet_.ArmAt(quiet_at_);
}

// False: it is closed.
bool HitLink::Replies(std::string_view input) {
  while (!input.empty()) {
    if (waiting_.empty()) {
      Close(kUnasked);
      return false;
    }
    const ResponseReader::Fed fed = reader_.Feed(input, *this);
    input.remove_prefix(fed.used);
    read_ += fed.used;
    if (fed.state == ResponseReader::State::kMore) break;
    if (fed.state == ResponseReader::State::kRefused) {
      Close(fed.refusal);
      return false;
    }
    const Waiting done = waiting_.front();
    waiting_.pop_front();
    reply_bytes_ -= done.reply_bytes;
    if (large_) {
      if (done.call) done.call->Done(reader_.trailers());
      Close(kEnded);
      return false;
    }
    earned_ = std::min(earned_ + done.reply_bytes, kMostBytes);
    if (done.call) done.call->Done(reader_.trailers());
    if (!reader_.keep_alive()) {
      Close(kEnded);
      return false;
    }
    if (std::exchange(read_, 0) != done.reply_bytes) owner_.LinkQuiet(*this);
    timer_.Disarm();
    if (waiting_.empty()) continue;
    reader_.Begin({});
    timer_.ArmIn(deadlines_.response);
  }
  return true;
}

void HitLink::OnHead(const http::ResponseHead& head) {
  if (!head.interim() &&
      (head.framing == http::Framing::kChunked || head.content_length.value_or(0) > kMostReply)) {
    Surrender();
  }
  if (Call* call = waiting_.front().call) call->OnHead(head);
}

// The reply that has begun may take as long as its client; those behind it go elsewhere, and the
// link ends with it.
void HitLink::Surrender() {
  draining_ = large_ = true;
  std::deque<Waiting> behind(waiting_.begin() + 1, waiting_.end());
  waiting_.resize(1);
  reply_bytes_ = waiting_.front().reply_bytes;
  for (const Waiting& lost : behind) {
    if (lost.call) lost.call->Lost(kBroken, true);
  }
}

void HitLink::Pause(const Call& call, bool paused) {
  if (!large_ || waiting_.empty() || waiting_.front().call != &call || paused_ == paused) return;
  paused_ = paused;
  if (paused) {
    timer_.Disarm();
  } else {
    timer_.ArmIn(deadlines_.response);
    resume_.Schedule();
  }
}

void HitLink::OnBody(std::string_view payload) {
  if (Call* call = waiting_.front().call) call->OnBody(payload);
}

// What the kernel would delay is sent now, without changing how it goes on (tcp(7), TCP_QUICKACK;
// an even value leaves the mode as it is).
void HitLink::Acknowledge() {
  acknowledged_ = true;
  settled_ = idle();
  const int once = 2;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_QUICKACK, &once, sizeof(once));
  owner_.LinkQuiet(*this);
}

void HitLink::Quiet() {
  if (acknowledged_) return;
  if (quiet_at_ > loop_.now()) return quiet_.ArmAt(quiet_at_);
  Acknowledge();
}

// Requests that reach the accelerator behind a gap are the web server's, and all that follow, for
// it cannot tell which reply ends what. A new link is the accelerator's.
void HitLink::Look() {
  const tcp_info info = Info();
  renewed_ = Losses(info) != losses_;
  draining_ = draining_ || renewed_;
  look_at_ = loop_.now() + kLook;
  busy_most_ = kMostBusy;
  if (info.tcpi_min_rtt < kNoTime)
    busy_most_ = std::max<net::Clock::duration>(
        busy_most_, kBusyTrips * std::chrono::microseconds(info.tcpi_min_rtt));
}

// Begins or ends a rest. The web server's last reply is acknowledged before the next packet, which
// is alone: one behind it would come before the origin's kernel has read the acknowledgment, and be
// the web server's again.
void HitLink::CareForRest() {
  resting_ = resting_ || (!settled_ && loop_.now() - busy_since_ >= busy_most_);
  if (!idle() || !std::exchange(resting_, false)) return;
  alone_ = true;
  Acknowledge();
}

// The client goes on, or is gone: then the rest is not worth reading.
void HitLink::Resume() {
  if (state_ != State::kOpen) return;
  if (large_ && !waiting_.empty() && !waiting_.front().call) return Close(kEnded);
  paused_ = false;
  Read();
}

void HitLink::Late() { Close(state_ == State::kOpen ? kTooSlow : kNoConnection); }

void HitLink::Close(http::Refusal why) {
  timer_.Disarm();
  resume_.Cancel();
  quiet_.Disarm();
  if (state_ == State::kOpen) owner_.LinkClosing(*this);
  loop_.Unwatch(*this);
  fd_.reset();
  state_ = State::kClosed;
  out_.clear();
  std::deque<Waiting> waiting;
  waiting.swap(waiting_);
  for (const Waiting& lost : waiting) {
    if (lost.call) lost.call->Lost(why, true);
  }
  owner_.LinkClosed(*this, why);
}

}  // namespace wb::link
