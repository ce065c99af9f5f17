// SPDX-License-Identifier: Apache-2.0
#include "booster/link/channel_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

// Reads before others have their turn.
constexpr int kReads = 4;

}  // namespace

absl::StatusOr<std::unique_ptr<ChannelConnection>> ChannelConnection::Make(
    const TlsContext& context, base::UniqueFd fd, ChannelClock::time_point now) {
  WB_ASSIGN_OR_RETURN(TlsSocket socket, TlsSocket::Make(context, std::move(fd)));
  return std::unique_ptr<ChannelConnection>(new ChannelConnection(std::move(socket), now));
}

ChannelConnection::ChannelConnection(TlsSocket socket, ChannelClock::time_point now)
    : socket_(std::move(socket)), now_(now), begun_(now), heard_(now), sent_(now) {}

ChannelClock::time_point ChannelConnection::due() const {
  if (more_) return now_;
  if (!open()) return begun_ + kHandshake;
  return std::min(heard_ + kDead, sent_ + kHeartbeat);
}

absl::Status ChannelConnection::Run(ChannelClock::time_point now,
                                    absl::FunctionRef<absl::Status(const Frame&)> take) {
  now_ = now;
  wants_ = 0;
  if (state_ == State::kTls) {
    WB_ASSIGN_OR_RETURN(const bool done, socket_.Handshake(&wants_));
    if (done) {
      state_ = State::kHello;
      AppendHello(&out_);
    }
  }
  if (state_ != State::kTls) WB_RETURN_IF_ERROR(Read(take));
  if (!open() && now >= begun_ + kHandshake)
    return absl::DeadlineExceededError(state_ == State::kTls ? "no TLS within 2 s"
                                                             : "no hello within 2 s");
  if (open() && now >= heard_ + kDead)
    return absl::DeadlineExceededError("nothing was heard for 3 s");
  return absl::OkStatus();
}

absl::Status ChannelConnection::Read(absl::FunctionRef<absl::Status(const Frame&)> take) {
  std::array<uint8_t, kFrameHeader + kMaxPayload> bytes;
  more_ = false;
  for (int reads = 0; reads < kReads; reads++) {
    WB_ASSIGN_OR_RETURN(const size_t n, socket_.Read(bytes, &wants_));
    if (n == 0) return absl::OkStatus();
    WB_RETURN_IF_ERROR(reader_.Feed(std::span(bytes).first(n),
                                    [&](const Frame& frame) { return Take(frame, take); }));
  }
  more_ = true;
  return absl::OkStatus();
}

absl::Status ChannelConnection::Take(const Frame& frame,
                                     absl::FunctionRef<absl::Status(const Frame&)> take) {
  heard_ = now_;
  if (state_ == State::kHello) {
    WB_RETURN_IF_ERROR(ReadHello(frame));
    state_ = State::kOpen;
    return absl::OkStatus();
  }
  return frame.type == FrameType::kHeartbeat ? absl::OkStatus() : take(frame);
}

absl::Status ChannelConnection::Flush(ChannelClock::time_point now) {
  if (state_ == State::kTls) return absl::OkStatus();
  // To a peer that takes nothing there is enough to be sent.
  if (open() && now >= sent_ + kHeartbeat) {
    if (out_.empty()) AppendFrame(FrameType::kHeartbeat, &out_);
    sent_ = now;
  }
  while (out_from_ < out_.size()) {
    const std::span<const uint8_t> rest(reinterpret_cast<const uint8_t*>(out_.data()) + out_from_,
                                        out_.size() - out_from_);
    WB_ASSIGN_OR_RETURN(const size_t n, socket_.Write(rest, &wants_));
    if (n == 0) break;
    out_from_ += n;
    sent_bytes_ += n;
    sent_ = now;
  }
  out_.erase(0, out_from_);
  out_from_ = 0;
  return absl::OkStatus();
}

}  // namespace wb::link
