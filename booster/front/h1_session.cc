// SPDX-License-Identifier: Apache-2.0
#include "booster/front/h1_session.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace wb::front {
namespace {

constexpr size_t kFirstBytes = 4096;  // of in_; more when a head needs them
constexpr size_t kTunnelBytes = 64 << 10;
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr http::Refusal kSlow = {408, "the request did not come in time"};

iovec Piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

}  // namespace

H1Session::H1Session(Connection& connection)
    : connection_(connection),
      services_(connection.services()),
      snapshot_(services_.snapshot),
      parser_(snapshot_->limits),
      transaction_(services_, connection.peer()),
      in_(kFirstBytes),
      flush_(services_.loop, [this] { WriteHead(); }),
      again_(services_.loop, [this] {
        if (phase_ == Phase::kHead && !connection_.over()) ReadHead();
      }) {
  connection_.SetDeadline(snapshot_->config.timeouts.head);
}

H1Session::~H1Session() {
  CancelExchange();
  transaction_.End();  // while in_ is there, which its head is in
}

void H1Session::OnInput() {
  switch (phase_) {
    case Phase::kHead:
      return ReadHead();
    case Phase::kHeld:
      return;
    case Phase::kExchange:
      return ReadBody();
    case Phase::kTunnel:
      return ReadTunnel();
  }
}

// False: nothing has come. The connection may be over.
bool H1Session::Fill() {
  if (end_ == in_.size()) {
    if (next_ == 0) {
      // The parser never asks for more than the bound on heads.
      in_.resize(std::min(2 * in_.size(), snapshot_->limits.head_bytes + 4));
    } else {
      std::memmove(in_.data(), in_.data() + next_, end_ - next_);
      end_ -= next_;
      next_ = 0;
    }
  }
  const ssize_t n = connection_.Read(in_.data() + end_, in_.size() - end_);
  if (n == -EAGAIN) return false;
  if (n <= 0) {
    // In the middle of a head it is worth a word, which nobody may hear.
    if (n == 0 && end_ > next_) {
      Refuse({400, "the request is not complete"});
    } else {
      connection_.Finish(n == 0 ? End::kClient : End::kBroken);
    }
    return false;
  }
  end_ += static_cast<size_t>(n);
  return true;
}

void H1Session::ReadHead() {
  for (;;) {
    if (end_ > next_) {
      const http::Progress progress = parser_.Parse(Unread());
      if (progress.state == http::State::kRefused) return Refuse(progress.refusal);
      if (progress.state == http::State::kComplete) {
        next_ += progress.used;
        return Request();
      }
    }
    const bool fresh = end_ == next_;
    if (!connection_.readable() || !Fill()) return;
    if (fresh) connection_.SetDeadline(snapshot_->config.timeouts.head);
  }
}

void H1Session::Request() {
  const http::RequestHead& head = parser_.head();
  const Timeouts& timeouts = snapshot_->config.timeouts;
  keep_alive_ = head.keep_alive && !draining_;
  response_begun_ = paused_ = false;
  body_done_ = head.framing == http::Framing::kNone ||
               (head.framing == http::Framing::kLength && head.content_length == 0);
  continue_due_ = head.expect_continue && !body_done_ && head.minor > 0;
  if (!body_done_) {
    body_.emplace(snapshot_->limits, http::Role::kRequest, head.framing, head.content_length);
  }
  if (const http::Refusal refusal =
          transaction_.Begin(head, head.minor ? "HTTP/1.1" : "HTTP/1.0")) {
    if (transaction_.hold().count() == 0) return Refuse(refusal);
    held_ = refusal;
    phase_ = Phase::kHeld;
    return connection_.SetDeadline(transaction_.hold());
  }
  phase_ = Phase::kExchange;
  connection_.SetDeadline(body_done_ ? std::chrono::milliseconds(0) : timeouts.body);
  exchange_ = services_.upstream.Start(transaction_.ask(), *this);
  if (!body_done_) ReadBody();
}

void H1Session::OnRoom() {
  if (phase_ == Phase::kTunnel) return ReadTunnel();
  if (!body_done_) ReadBody();
}

// As much of the request's body as the origin takes.
void H1Session::ReadBody() {
  while (exchange_ && !body_done_) {
    const size_t room = exchange_->Room();
    if (room == 0) return;
    if (end_ > next_) {
      next_ += TakeBody(Unread().substr(0, room));
      continue;
    }
    if (std::exchange(continue_due_, false)) connection_.Write(kContinue);
    if (!connection_.readable() || connection_.over()) return;
    // Not into in_, where the head stays as it is.
    const std::span<char> space = services_.scratch.first(std::min(room, services_.scratch.size()));
    const ssize_t n = connection_.Read(space.data(), space.size());
    if (n == -EAGAIN) return;
    if (n <= 0) return GiveUp(n == 0 ? End::kClient : End::kBroken);
    connection_.SetDeadline(snapshot_->config.timeouts.body);
    const std::string_view input(space.data(), static_cast<size_t>(n));
    const size_t used = TakeBody(input);
    ahead_.append(input.substr(used));
  }
}

// Bytes that were the body's.
size_t H1Session::TakeBody(std::string_view input) {
  continue_due_ = false;  // the client has not waited for it
  size_t used = 0;
  while (used < input.size() && !body_done_) {
    const http::BodyReader::Step step = body_->Read(input.substr(used));
    used += step.used;
    if (step.state == http::State::kRefused) {
      CancelExchange();
      Refuse(step.refusal);
      return input.size();
    }
    body_done_ = step.state == http::State::kComplete;
    transaction_.RequestBytes(step.payload.size());
    if (body_done_) exchange_->SetTrailers(body_->trailers());
    if (!step.payload.empty() || body_done_) exchange_->SendBody(step.payload, body_done_);
    if (!exchange_) return input.size();
  }
  if (body_done_) connection_.SetDeadline(std::chrono::milliseconds(0));
  return used;
}

void H1Session::ReadTunnel() {
  while (exchange_ && !connection_.over()) {
    const size_t room = std::min({exchange_->Room(), kTunnelBytes, services_.scratch.size()});
    if (room == 0) return;
    if (end_ > next_) {
      const std::string_view ahead = Unread().substr(0, room);
      next_ += ahead.size();
      exchange_->SendBody(ahead, false);
      continue;
    }
    if (!connection_.readable()) return;
    const ssize_t n = connection_.Read(services_.scratch.data(), room);
    if (n == -EAGAIN) return;
    if (n < 0) return GiveUp(End::kBroken);
    exchange_->SendBody({services_.scratch.data(), static_cast<size_t>(n)}, n == 0);
    if (n == 0) return;
  }
}

void H1Session::OnHead(const http::ResponseHead& head) {
  const int minor = transaction_.head().minor;
  if (head.interim()) {
    if (minor == 0 || head.status == 100) return;  // ours has been sent
    std::string text;
    http::WriteResponse(head, {.minor = minor}, text);
    return connection_.Write(text);
  }
  response_begun_ = true;
  if (head.status == 101) {
    phase_ = Phase::kTunnel;
    body_done_ = false;
    keep_alive_ = false;
  } else if (!body_done_) {
    // The rest of the body would have to be read before the next request.
    keep_alive_ = false;
  }
  const std::string& via = snapshot_->routes->via;
  sent_ = http::WriteResponse(
      head, {.minor = minor, .keep_alive = keep_alive_, .via = via, .date = services_.Date()},
      head_text_);
  keep_alive_ = sent_.keep_alive;
  transaction_.Status(head.status);
  flush_.Schedule();
  if (phase_ == Phase::kTunnel) {
    WriteHead();
    ReadTunnel();
  }
}

void H1Session::WriteHead() {
  flush_.Cancel();
  if (head_text_.empty()) return;
  connection_.Write(head_text_);
  head_text_.clear();
}

void H1Session::OnBody(std::string_view payload) {
  transaction_.ResponseBytes(payload.size());
  std::array<iovec, 4> pieces;
  size_t n = 0;
  std::string chunk;
  if (!head_text_.empty()) pieces[n++] = Piece(head_text_);
  const bool chunked = sent_.framing == http::Framing::kChunked && phase_ != Phase::kTunnel;
  if (chunked) {
    http::WriteChunkHead(payload.size(), chunk);
    pieces[n++] = Piece(chunk);
  }
  pieces[n++] = Piece(payload);
  if (chunked) pieces[n++] = Piece(http::kChunkEnd);
  flush_.Cancel();
  connection_.Write(std::span(pieces.data(), n));
  head_text_.clear();
  if (!exchange_ || paused_) return;
  if (connection_.queued() > snapshot_->config.limits.buffer_bytes) {
    paused_ = true;
    exchange_->Pause(true);
  }
}

void H1Session::OnOutput() {
  if (!paused_ || connection_.queued() > snapshot_->config.limits.buffer_bytes / 2) return;
  paused_ = false;
  if (exchange_) exchange_->Pause(false);
}

void H1Session::OnEnd(std::span<const http::Field> trailers) {
  exchange_ = nullptr;
  if (sent_.framing == http::Framing::kChunked && phase_ != Phase::kTunnel) {
    const bool wanted = transaction_.head().te_trailers;
    http::WriteLastChunk(wanted ? trailers : std::span<const http::Field>(), head_text_);
  }
  WriteHead();
  Done();
}

void H1Session::OnFailure(http::Refusal refusal) {
  exchange_ = nullptr;
  if (!response_begun_) return Refuse(refusal);
  transaction_.Refused(Cause::kCut);
  // What is missing is told by the end of the connection.
  connection_.Abort(End::kBroken);
}

// A response of our own. The connection is used on when the request was understood to its end.
void H1Session::Refuse(http::Refusal refusal) {
  const bool understood = transaction_.begun();
  keep_alive_ = keep_alive_ && understood && body_done_ && !draining_;
  const OwnResponse own = Answer(refusal, transaction_);
  std::string text = "HTTP/1.1 " + std::to_string(refusal.status);
  text.append(" ").append(ReasonPhrase(refusal.status)).append("\r\n");
  for (const auto& [name, value] : own.fields) {
    text.append(name).append(": ").append(value).append("\r\n");
  }
  text.append("Date: ").append(services_.Date());
  text.append("\r\nContent-Length: ").append(std::to_string(own.body.size()));
  const bool old = understood && transaction_.head().minor == 0;
  if (!keep_alive_) {
    text.append("\r\nConnection: close");
  } else if (old) {
    text.append("\r\nConnection: keep-alive");
  }
  text.append("\r\n\r\n");
  if (!understood || transaction_.head().method != "HEAD") text.append(own.body);
  connection_.Write(text);
  transaction_.Status(refusal.status);
  if (understood) return Done();
  services_.counters.unrouted.Add();
  connection_.Finish(End::kRefused);
}

void H1Session::Done() {
  transaction_.End();
  if (!keep_alive_) return connection_.Finish(draining_ ? End::kDrained : End::kDone);
  parser_.Reset();
  body_.reset();
  phase_ = Phase::kHead;
  if (next_ == end_) next_ = end_ = 0;
  if (!ahead_.empty()) {
    if (in_.size() - end_ < ahead_.size()) in_.resize(end_ + ahead_.size());
    std::memcpy(in_.data() + end_, ahead_.data(), ahead_.size());
    end_ += ahead_.size();
    ahead_.clear();
  }
  if (end_ == 0 && in_.size() > kFirstBytes) std::vector<char>(kFirstBytes).swap(in_);
  connection_.SetDeadline(snapshot_->config.timeouts.idle);
  // Not at once: we may be within a call of the link that has carried the last one.
  if (end_ > next_ || connection_.readable()) again_.Schedule();
}

void H1Session::OnDeadline() {
  if (phase_ == Phase::kHeld) return Refuse(held_);
  if (phase_ == Phase::kHead && end_ == next_) return connection_.Finish(End::kTimeout);
  CancelExchange();
  if (response_begun_ && phase_ != Phase::kHead) return connection_.Abort(End::kTimeout);
  keep_alive_ = false;
  Refuse(kSlow);
}

void H1Session::OnDrain() {
  draining_ = true;
  const bool idle = phase_ == Phase::kHead && end_ == next_ && !connection_.readable();
  if (idle && !services_.patient) {
    return connection_.Finish(End::kDrained);
  }
  if (!response_begun_) keep_alive_ = false;
}

void H1Session::CancelExchange() {
  if (link::Exchange* exchange = std::exchange(exchange_, nullptr)) exchange->Cancel();
}

// The client is gone.
void H1Session::GiveUp(End why) {
  CancelExchange();
  connection_.Abort(why);
}

}  // namespace wb::front
