// SPDX-License-Identifier: Apache-2.0
#include "booster/front/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "booster/front/h1_session.h"
#include "booster/front/h2_session.h"
#include "booster/front/proxy_header.h"

namespace wb::front {
namespace {

constexpr unsigned kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::chrono::seconds kLingerTime(2);
constexpr size_t kLingerBytes = 1 << 20;
constexpr auto kNever = net::Clock::time_point::max();

}  // namespace

Connection::Connection(Services& services, ConnectionOwner& owner,
                       std::unique_ptr<net::Stream> stream, Peer peer, ClientTable::Place place,
                       bool proxied)
    : services_(services),
      owner_(owner),
      stream_(std::move(stream)),
      peer_(std::move(peer)),
      place_(std::move(place)),
      phase_(proxied ? Phase::kProxy : Phase::kHandshake),
      timer_(services.loop, [this] { Late(); }),
      armed_for_(kNever),
      deadline_(kNever),
      stalled_(kNever) {
  peer_.stream = stream_.get();
}

Connection::~Connection() {
  services_.counters.buffered.Subtract(queued());
  services_.loop.Unwatch(*this);
}

void Connection::Begin() {
  if (!services_.loop.Watch(stream_->fd(), kEvents, *this).ok()) return End(End::kBroken);
  SetDeadline(services_.snapshot->config.timeouts.handshake);
  Advance();
}

void Connection::OnEvents(uint32_t events) {
  if (events & ~static_cast<uint32_t>(EPOLLOUT)) readable_ = true;
  ending_ = ending_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
  // A reset ends it even while nothing is to be read.
  if ((events & EPOLLERR) && !over_) return End(front::End::kBroken);
  if (queued() > 0) Flush();
  if (!over_) Advance();
}

void Connection::Advance() {
  if (phase_ == Phase::kProxy) ReadProxyHeader();
  if (phase_ == Phase::kHandshake && !over_) Handshake();
  if (over_) return;
  if (phase_ == Phase::kLinger) return Linger();
  if (phase_ == Phase::kSession && !finishing_ && readable()) session_->OnInput();
}

void Connection::ReadProxyHeader() {
  std::array<char, kMostProxyHeader> head;
  // Looked at before it is taken: what follows belongs to TLS or HTTP.
  const ssize_t n = recv(stream_->fd(), head.data(), head.size(), MSG_PEEK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return End(front::End::kHandshake);
  const ProxyHeader header = ReadProxy({head.data(), static_cast<size_t>(n)});
  if (header.state == http::State::kRefused) return End(front::End::kHandshake);
  if (header.state == http::State::kMore) return;
  if (recv(stream_->fd(), head.data(), header.bytes, 0) != static_cast<ssize_t>(header.bytes)) {
    return End(front::End::kHandshake);
  }
  if (const auto ip = Address::Parse(header.client)) {
    peer_.address = header.client;
    peer_.ip = *ip;
    peer_.proxy = services_.snapshot->trusted.Contains(*ip);
    peer_.port = 0;  // that of the proxy
  }
  phase_ = Phase::kHandshake;
}

void Connection::Handshake() {
  const int result = stream_->Handshake();
  if (result == -EAGAIN) return;
  if (result != 0) return End(front::End::kHandshake);
  if (stream_->encrypted()) {
    services_.counters.tls.Add();
    if (stream_->resumed()) services_.counters.tls_resumed.Add();
    peer_.server_name = std::string(stream_->server_name());
  }
  phase_ = Phase::kSession;
  StartSession();
}

void Connection::StartSession() {
  if (stream_->alpn() == "h2") {
    services_.counters.h2.Add();
    session_ = std::make_unique<H2Session>(*this);
  } else {
    session_ = std::make_unique<H1Session>(*this);
  }
  if (services_.draining) session_->OnDrain();
}

ssize_t Connection::Read(char* to, size_t most) {
  const ssize_t n = stream_->Read(to, most);
  // A short read has emptied the socket, and what comes later is another event; but an end that
  // came with it is not, nor does it hold for TLS.
  const bool emptied = n > 0 && static_cast<size_t>(n) < most && !ending_ && !stream_->encrypted();
  if (n == -EAGAIN || emptied) readable_ = false;
  return n;
}

void Connection::Write(std::string_view text) {
  const iovec piece = {const_cast<char*>(text.data()), text.size()};
  Write(std::span(&piece, 1));
}

void Connection::Write(std::span<const iovec> pieces) {
  if (over_) return;
  size_t taken = 0;
  if (queued() == 0) {
    const ssize_t n = stream_->Write(pieces);
    if (n < 0 && n != -EAGAIN) return End(front::End::kBroken);
    taken = n > 0 ? static_cast<size_t>(n) : 0;
  }
  const size_t before = queued();
  for (const iovec& piece : pieces) {
    const size_t skipped = std::min(taken, piece.iov_len);
    taken -= skipped;
    out_.append(static_cast<const char*>(piece.iov_base) + skipped, piece.iov_len - skipped);
  }
  const size_t added = queued() - before;
  if (added == 0) return;
  services_.counters.buffered.Add(added);
  if (before == 0) {
    stalled_ = services_.loop.now();
    Arm(stalled_ + services_.snapshot->config.timeouts.write);
  }
}

void Connection::Flush() {
  while (queued() > 0) {
    const iovec rest = {out_.data() + out_begin_, queued()};
    const ssize_t n = stream_->Write(std::span(&rest, 1));
    if (n == -EAGAIN) break;
    if (n < 0) return End(front::End::kBroken);
    out_begin_ += static_cast<size_t>(n);
    services_.counters.buffered.Subtract(static_cast<size_t>(n));
    stalled_ = services_.loop.now();
  }
  if (queued() == 0) {
    stalled_ = kNever;
    out_begin_ = 0;
    // A large one is given back: the next response may be small, and connections are many.
    if (out_.capacity() > 16384) out_.shrink_to_fit();
    out_.clear();
    if (finishing_) return Linger();
  }
  if (phase_ == Phase::kSession && !finishing_) session_->OnOutput();
}

void Connection::SetDeadline(std::chrono::milliseconds delay) {
  deadline_ = delay.count() > 0 ? services_.loop.now() + delay : kNever;
  if (deadline_ != kNever) Arm(deadline_);
}

// The timer is set only when it would fire too late; when it fires too early it is set again.
void Connection::Arm(net::Clock::time_point when) {
  if (timer_.armed() && armed_for_ <= when) return;
  armed_for_ = when;
  timer_.ArmAt(when);
}

void Connection::Late() {
  const auto now = services_.loop.now();
  const auto stalled =
      stalled_ == kNever ? kNever : stalled_ + services_.snapshot->config.timeouts.write;
  if (stalled <= now) return Abort(front::End::kTimeout);
  if (deadline_ <= now) {
    deadline_ = kNever;
    if (phase_ != Phase::kSession || finishing_) return End(front::End::kTimeout);
    session_->OnDeadline();
    if (over_) return;
  }
  const auto next = std::min(stalled, deadline_);
  if (next != kNever) Arm(next);
}

void Connection::Drain() {
  if (phase_ == Phase::kSession && !finishing_) session_->OnDrain();
}

void Connection::Finish(front::End why) {
  if (over_ || finishing_) return;
  finishing_ = true;
  why_ = why;
  SetDeadline(std::chrono::milliseconds(0));
  if (queued() == 0) Linger();
}

void Connection::Linger() {
  if (phase_ != Phase::kLinger) {
    phase_ = Phase::kLinger;
    stream_->Shutdown();
    SetDeadline(kLingerTime);
  }
  while (!over_) {
    const ssize_t n = stream_->Read(services_.scratch.data(), services_.scratch.size());
    if (n == -EAGAIN) return;
    if (n <= 0 || (lingered_ += static_cast<size_t>(n)) > kLingerBytes) return End(why_);
  }
}

void Connection::Abort(front::End why) {
  if (over_) return;
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(stream_->fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  End(why);
}

void Connection::End(front::End why) {
  if (std::exchange(over_, true)) return;
  services_.counters.ended[static_cast<size_t>(finishing_ ? why_ : why)].Add();
  timer_.Disarm();
  services_.loop.Unwatch(*this);
  owner_.ConnectionEnded(*this);
}

}  // namespace wb::front
