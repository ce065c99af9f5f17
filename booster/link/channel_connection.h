// SPDX-License-Identifier: Apache-2.0
// One connection of the channel (channel.h), of either end: TLS, hello, heartbeats, and the times
// within which something must come. For poll(2): whoever owns it calls Run() and Flush() when one
// of events() is there, when due() has come, and when something was appended to out(). Not
// thread-safe.
#ifndef BOOSTER_LINK_CHANNEL_CONNECTION_H_
#define BOOSTER_LINK_CHANNEL_CONNECTION_H_

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/link/channel.h"
#include "booster/link/channel_tls.h"

namespace wb::link {

using ChannelClock = std::chrono::steady_clock;

inline constexpr std::chrono::milliseconds kHeartbeat{1000};
inline constexpr std::chrono::milliseconds kDead{3000};  // without a frame
// For the connection, TLS and hello together: nobody unknown stays longer.
inline constexpr std::chrono::milliseconds kHandshake{2000};

class ChannelConnection {
 public:
  // As TlsSocket::Make().
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ChannelConnection>> Make(
      const TlsContext& context, base::UniqueFd fd, ChannelClock::time_point now);

  // Shakes hands and reads what has come; frames but hello and heartbeats go to `take`, whose error
  // ends the connection. An error: it is over. Unauthenticated: the peer has not the secret;
  // DeadlineExceeded: it is silent; InvalidArgument: it does not speak this protocol.
  [[nodiscard]] absl::Status Run(ChannelClock::time_point now,
                                 absl::FunctionRef<absl::Status(const Frame&)> take);
  // Frames to be sent are appended here once it is open(). What is there is sent by Flush() as far
  // as the peer takes it; who appends without end looks at its size first.
  std::string& out() { return out_; }
  [[nodiscard]] absl::Status Flush(ChannelClock::time_point now);

  // The peer has the secret and speaks this version.
  bool open() const { return state_ == State::kOpen; }
  int fd() const { return socket_.fd(); }
  short events() const { return wants_; }
  ChannelClock::time_point due() const;
  uint64_t sent_bytes() const { return sent_bytes_; }  // of frames

 private:
  enum class State { kTls, kHello, kOpen };
  ChannelConnection(TlsSocket socket, ChannelClock::time_point now);
  absl::Status Take(const Frame& frame, absl::FunctionRef<absl::Status(const Frame&)> take);
  absl::Status Read(absl::FunctionRef<absl::Status(const Frame&)> take);

  TlsSocket socket_;
  FrameReader reader_;
  std::string out_;
  size_t out_from_ = 0;  // what is before has been sent
  State state_ = State::kTls;
  short wants_ = POLLIN | POLLOUT;
  bool more_ = false;  // there may be more to read at once
  ChannelClock::time_point now_;
  const ChannelClock::time_point begun_;
  ChannelClock::time_point heard_;
  ChannelClock::time_point sent_;
  uint64_t sent_bytes_ = 0;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHANNEL_CONNECTION_H_
