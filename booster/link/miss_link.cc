// SPDX-License-Identifier: Apache-2.0
#include "booster/link/miss_link.h"

#include <sys/epoll.h>

#include <algorithm>

#include "booster/http/write.h"
#include "webbooster/base/check.h"

namespace wb::link {
namespace {

constexpr http::Refusal kNoConnection = {502, "no connection to the origin"};
constexpr http::Refusal kConnectTooSlow = {504, "no connection to the origin in time"};
constexpr http::Refusal kEnded = {502, "the origin ended the connection"};
constexpr http::Refusal kBroken = {502, "the connection to the origin is broken"};
constexpr http::Refusal kTooSlow = {504, "the origin did not answer in time"};

constexpr size_t kRoom = 64 << 10;  // of a request's body, that waits to be sent
constexpr int kReadsPerTurn = 8;
constexpr int kLooks = 8;  // within a deadline: whether the origin is still up
constexpr unsigned kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

}  // namespace

MissLink::MissLink(net::EventLoop& loop, std::span<char> scratch, MissLinkOwner& owner)
    : loop_(loop),
      scratch_(scratch),
      owner_(owner),
      timer_(loop, [this] { Check(); }),
      resume_(loop, [this] { Read(); }) {}

MissLink::~MissLink() { loop_.Unwatch(*this); }

void MissLink::Start(Call& call) {
  WB_CHECK(call_ == nullptr, "one call at a time");
  call_ = &call;
  call.Carry(this);
  const http::RequestHead& head = call.head();
  const http::RequestOptions options = {.client = call.ask().client,
                                        .scheme = call.ask().scheme,
                                        .client_is_proxy = call.ask().client_is_proxy,
                                        .via = call.routes().via,
                                        .host = call.routes().domains[call.ask().domain].name,
                                        .tunnel = head.upgrade};
  http::WriteRequest(head, options, out_);
  body_open_ =
      call.HasBody() && !(head.framing == http::Framing::kLength && head.content_length == 0);
  sent_ = paused_ = tunnel_ = false;
  starved_ = body_open_;
  limits_ = call.routes().limits;
  if (!reader_) reader_ = std::make_unique<ResponseReader>(limits_);
  reader_->Begin({.head = head.method == "HEAD", .upgrade = head.upgrade});
  touched_ = begun_ = loop_.now();
  used_before_ = state_ == State::kOpen;
  if (used_before_) {
    Write();
  } else {
    Connect();
  }
  if (call_) timer_.ArmIn(Patience() / kLooks);
}

void MissLink::Connect() {
  state_ = State::kConnecting;
  ending_ = false;
  absl::StatusOr<base::UniqueFd> fd = net::Dial(call_->origin->address);
  // A failure is told at the end of the turn, by the timer, so that Start() is done before.
  if (!fd.ok() || !loop_.Watch(fd->get(), kEvents, *this).ok()) return;
  fd_ = *std::move(fd);
}

net::Clock::duration MissLink::Patience() const {
  const Deadlines& deadlines = call_->routes().deadlines;
  if (state_ == State::kConnecting) {
    return fd_ ? deadlines.connect : std::chrono::milliseconds(0);
  }
  return tunnel_ ? deadlines.tunnel : deadlines.response;
}

// Deadlines are looked at when the timer fires, not set anew with each byte.
void MissLink::Check() {
  if (!call_) return;
  // While the other side has to do something, its own deadlines hold.
  if (paused_ || (body_open_ && out_.empty() && state_ == State::kOpen && !tunnel_)) {
    touched_ = loop_.now();
  }
  const net::Clock::time_point due = touched_ + Patience();
  if (due > loop_.now()) {
    // Another origin may answer in time what one that has been found dead meanwhile will not.
    const bool down = !call_->origin->health->up() && !reader_->started();
    if (down && call_->Repeatable() && call_->Idempotent()) return Close(kTooSlow);
    return timer_.ArmAt(std::min(due, loop_.now() + Patience() / kLooks));
  }
  if (state_ != State::kConnecting) return Close(kTooSlow);
  Close(fd_ ? kConnectTooSlow : kNoConnection);
}

void MissLink::OnEvents(uint32_t events) {
  if (state_ == State::kConnecting) {
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
    if (net::ConnectError(fd_.get()) != 0) return Close(kNoConnection);
    state_ = State::kOpen;
    ending_ = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    touched_ = loop_.now();
    Write();
    if (call_) timer_.ArmIn(Patience() / kLooks);
    return;
  }
  if (!call_) return CloseIdle();  // ended by the origin, or what was not asked for
  ending_ = ending_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
  if ((events & EPOLLOUT) && !out_.empty()) Write();
  if (call_ && (events & ~static_cast<uint32_t>(EPOLLOUT))) Read();
}

void MissLink::Write() {
  while (!out_.empty()) {
    const ssize_t n = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    // The origin may have answered before it ended the connection: what there is, is read.
    if (n < 0) return resume_.Schedule();
    sent_ = true;
    touched_ = loop_.now();
    out_.erase(0, static_cast<size_t>(n));
  }
  if (starved_ && body_open_) {
    starved_ = false;
    call_->OnRoom();
  }
}

size_t MissLink::Room(const Call&) const {
  // Nothing before there is a connection: until then another origin may be asked.
  return state_ == State::kOpen && body_open_ && out_.size() < kRoom ? kRoom - out_.size() : 0;
}

void MissLink::SendBody(Call& call, std::string_view payload, bool end) {
  const bool chunked = !tunnel_ && call.head().framing == http::Framing::kChunked;
  const bool idle = out_.empty();
  if (chunked && !payload.empty()) http::WriteChunkHead(payload.size(), out_);
  out_.append(payload);
  if (chunked && !payload.empty()) out_.append(http::kChunkEnd);
  if (end) {
    body_open_ = false;
    if (chunked) http::WriteLastChunk(call.trailers(), out_);
    if (tunnel_) shutdown(fd_.get(), SHUT_WR);
  }
  touched_ = loop_.now();
  if (out_.size() >= kRoom) starved_ = true;
  if (idle && state_ == State::kOpen) Write();
}

void MissLink::Pause(Call&, bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  touched_ = loop_.now();
  if (!paused) resume_.Schedule();
}

void MissLink::Drop(Call&) {
  call_ = nullptr;
  Close(kEnded, true);
}

void MissLink::CloseIdle() {
  if (!call_) Close(kEnded, true);
}

void MissLink::Read() {
  for (int i = 0; call_ && !paused_ && state_ == State::kOpen; ++i) {
    if (i == kReadsPerTurn) return resume_.Schedule();  // after the others
    const ssize_t n = recv(fd_.get(), scratch_.data(), scratch_.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n == 0) return Ended();
    if (n < 0) return Close(kBroken);
    touched_ = loop_.now();
    const std::string_view input(scratch_.data(), static_cast<size_t>(n));
    const ResponseReader::Fed fed = reader_->Feed(input, *this);
    if (!call_) return;
    if (fed.state == ResponseReader::State::kRefused) return Close(fed.refusal);
    if (fed.state == ResponseReader::State::kDone) {
      // Bytes behind the response belong to nobody: the connection is not used again.
      if (fed.used < input.size()) body_open_ = true;
      return Answered();
    }
    // A short read has emptied the socket, and what comes later is another event; but an end that
    // came with it is not.
    if (static_cast<size_t>(n) < scratch_.size() && !ending_) return;
  }
}

void MissLink::OnHead(const http::ResponseHead& head) {
  if (!call_) return;  // it went at an interim one
  if (head.status == 101) {
    tunnel_ = body_open_ = true;
    timer_.ArmIn(call_->routes().deadlines.tunnel);
  }
  if (!head.interim()) call_->origin->health->Succeeded(false, loop_.now());
  call_->OnHead(head);
}

void MissLink::OnBody(std::string_view payload) {
  if (call_) call_->OnBody(payload);
}

// The origin has ended the connection.
void MissLink::Ended() {
  if (!tunnel_ && !reader_->Closed()) return Close(kEnded);
  body_open_ = true;
  Answered();
}

void MissLink::Answered() {
  Call* call = std::exchange(call_, nullptr);
  const bool reusable = reader_->keep_alive() && !body_open_ && out_.empty() && !tunnel_;
  timer_.Disarm();
  touched_ = loop_.now();
  call->Done(reader_->trailers());
  if (!reusable) return Close(kEnded, true);
  owner_.LinkIdle(*this);
}

// `told`: nobody is to be told why.
void MissLink::Close(http::Refusal why, bool told) {
  timer_.Disarm();
  resume_.Cancel();
  loop_.Unwatch(*this);
  fd_.reset();
  state_ = State::kClosed;
  out_.clear();
  Call* call = std::exchange(call_, nullptr);
  if (call && !told) {
    // One that had been idle may have been ended meanwhile, which is no failure.
    const bool failed = !reader_->started() && (!used_before_ || why.status == 504);
    if (failed) call->origin->health->Failed(begun_);
    call->Lost(why, sent_);
  }
  owner_.LinkClosed(*this);
}

}  // namespace wb::link
