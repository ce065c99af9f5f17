// SPDX-License-Identifier: Apache-2.0
#include "booster/front/h2_session.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace wb::front {
namespace {

constexpr int kReadsPerTurn = 4;
constexpr size_t kBytesPerTurn = 256 << 10;
constexpr auto kNever = net::Clock::time_point::max();
constexpr size_t kLeastShare = 16 << 10;
constexpr size_t kFramesWaiting = 400;  // and one for each stream
// For a request that was sent before our GOAWAY arrived (RFC 9113, 6.8): when the client does not
// answer our PING sooner.
constexpr std::chrono::seconds kDrainTime(1);

}  // namespace

H2Session::H2Session(Connection& connection)
    : connection_(connection),
      services_(connection.services()),
      snapshot_(services_.snapshot),
      guard_(now()),
      h2_(MakeH2(*this)),
      look_(kNever),
      idle_since_(now()),
      data_sent_(now()),
      flush_(services_.loop, [this] { Flush(); }),
      again_(services_.loop, [this] { OnInput(); }) {
  flush_.Schedule();
  LookBy(now() + ShortestWait());
}

H2Session::~H2Session() { streams_.clear(); }

// What begins to wait later has at least so long, so nothing is set anew with each frame.
std::chrono::milliseconds H2Session::ShortestWait() const {
  const Timeouts& timeouts = snapshot_->config.timeouts;
  return std::min({timeouts.head, timeouts.idle, timeouts.body, timeouts.write});
}

void H2Session::LookBy(net::Clock::time_point when) {
  if (when >= look_) return;
  look_ = when;
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(when - now());
  connection_.SetDeadline(std::max(delay, std::chrono::milliseconds(1)));
}

size_t H2Session::Share() const {
  const size_t all = snapshot_->config.limits.buffer_bytes;
  return buffered_ > all ? std::min(kLeastShare, all) : all;
}

void H2Session::Buffered(size_t more) {
  buffered_ += more;
  services_.counters.buffered.Add(more);
}

void H2Session::Unbuffered(size_t less) {
  buffered_ -= less;
  services_.counters.buffered.Subtract(less);
}

H2Stream* H2Session::Find(int32_t id) {
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : at->second.get();
}

void H2Session::Open(int32_t id) {
  asked_ = true;
  streams_[id] = std::make_unique<H2Stream>(*this, id);
}

void H2Session::StreamClosed(int32_t id) {
  if (streams_.erase(id) > 0 && streams_.empty()) idle_since_ = now();
}

// What we have to say is not taken by the client: what it asks for would only be more.
bool H2Session::Held() const {
  return connection_.queued() > 0 && nghttp2_session_get_outbound_queue_size(h2_.get()) >
                                         kFramesWaiting + snapshot_->config.limits.h2_streams;
}

void H2Session::OnInput() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (ending_ || over_ || connection_.over() || !connection_.readable()) return;
    if ((held_ = Held())) return;
    const std::span<char> space = services_.scratch;
    const ssize_t n = connection_.Read(space.data(), space.size());
    if (n == -EAGAIN) return;
    if (n <= 0) return GiveUp(n == 0 ? front::End::kClient : front::End::kBroken);
    if (!Receive({space.data(), static_cast<size_t>(n)})) return;
  }
  if (connection_.readable()) again_.Schedule();
}

bool H2Session::Receive(std::string_view input) {
  const ssize_t used = nghttp2_session_mem_recv(
      h2_.get(), reinterpret_cast<const uint8_t*>(input.data()), input.size());
  flush_.Schedule();
  if (ending_) return false;
  if (used < 0) {
    // Too many frames of a kind, or no HTTP/2 at all. Errors that have a code of their own were
    // told by nghttp2.
    const bool magic = used == NGHTTP2_ERR_BAD_CLIENT_MAGIC;
    End(front::End::kRefused, magic ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
    return false;
  }
  // Not with each frame: one write to an origin for all that has come.
  for (size_t i = 0; i < uploads_.size(); ++i) {
    if (H2Stream* stream = Find(uploads_[i])) stream->Upload();
  }
  uploads_.clear();
  return true;
}

void H2Session::OnOutput() {
  if (!over_) flush_.Schedule();
}

void H2Session::Emit(const uint8_t* data, size_t size) {
  if (size > services_.scratch.size() - filled_) WriteOut();
  std::memcpy(services_.scratch.data() + filled_, data, size);
  filled_ += size;
  turn_bytes_ += size;
}

void H2Session::WriteOut() {
  const size_t size = std::exchange(filled_, 0);
  if (size > 0) connection_.Write({services_.scratch.data(), size});
}

bool H2Session::DataSent(size_t size) {
  data_sent_ = now();
  guard_.DataSent(size);
  return connection_.queued() == 0 && turn_bytes_ < kBytesPerTurn;
}

void H2Session::Flush() {
  if (over_ || connection_.over()) return;
  turn_bytes_ = 0;
  while (connection_.queued() == 0 && turn_bytes_ < kBytesPerTurn) {
    const uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(h2_.get(), &data);
    if (n < 0) return GiveUp(front::End::kBroken);
    if (n == 0) break;
    Emit(data, static_cast<size_t>(n));
  }
  WriteOut();
  if (connection_.over()) return;
  if (!nghttp2_session_want_write(h2_.get()) && !nghttp2_session_want_read(h2_.get())) {
    over_ = true;
    streams_.clear();
    return connection_.Finish(draining_ && !ending_ ? front::End::kDrained : why_);
  }
  if (connection_.queued() > 0) return;
  if (turn_bytes_ >= kBytesPerTurn) flush_.Schedule();
  if (std::exchange(held_, false)) again_.Schedule();
}

void H2Session::WentAway(uint32_t code) {
  if (!ending_ && code != NGHTTP2_NO_ERROR) why_ = front::End::kRefused;
}

void H2Session::End(front::End why, uint32_t code) {
  if (std::exchange(ending_, true)) return;
  why_ = why;
  nghttp2_session_terminate_session(h2_.get(), code);
  streams_.clear();
  flush_.Schedule();
}

// The client is gone.
void H2Session::GiveUp(front::End why) {
  over_ = true;
  const bool idle = streams_.empty();
  streams_.clear();
  if (idle) return connection_.Finish(why);
  connection_.Abort(why);
}

void H2Session::OnDrain() {
  if (std::exchange(draining_, true) || ending_ || over_) return;
  // First that there will be an end, then, when the client must have heard it, which stream was the
  // last one (RFC 9113, 6.8).
  nghttp2_submit_shutdown_notice(h2_.get());
  nghttp2_submit_ping(h2_.get(), NGHTTP2_FLAG_NONE, nullptr);
  flush_.Schedule();
  drain_until_ = now() + kDrainTime;
  LookBy(drain_until_);
}

void H2Session::Ponged() {
  if (draining_) GoAway();
}

void H2Session::GoAway() {
  if (std::exchange(going_, true)) return;
  nghttp2_submit_goaway(h2_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(h2_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  flush_.Schedule();
}

void H2Session::OnDeadline() {
  look_ = kNever;
  if (over_ || ending_) return;
  const Timeouts& timeouts = snapshot_->config.timeouts;
  const auto time = now();
  auto next = time + ShortestWait();
  const auto due = [&](net::Clock::time_point when) {
    next = std::min(next, when);
    return when <= time;
  };
  if (streams_.empty() && due(idle_since_ + (asked_ ? timeouts.idle : timeouts.head))) {
    return End(front::End::kTimeout, NGHTTP2_NO_ERROR);
  }
  for (const auto& [id, stream] : streams_) {
    if (!due(stream->Due())) continue;
    // Nothing else can come before the rest of a head.
    if (!stream->head_done()) return End(front::End::kTimeout, NGHTTP2_NO_ERROR);
    stream->Late();
  }
  if (draining_ && !going_ && due(drain_until_)) GoAway();
  LookBy(next);
}

}  // namespace wb::front
