// SPDX-License-Identifier: Apache-2.0
// The channel between an origin's accelerd and a boosterd, which connects to it: what its bytes
// mean. Both ends share this. Below it is TLS (channel_tls.h), above it a connection with its times
// (channel_connection.h).
//
// A stream of frames each way. Numbers are in network byte order.
//
//     frame            type (2 bytes), length of the payload (2 bytes, at most kMaxPayload),
//     payload 1  hello         version (2); more may follow in a later version. The first frame of
//     each end 2  heartbeat     empty. When nothing else was sent for kHeartbeat 16 begin empty.
//     accelerd's: the catalogue is empty; what is held follows 17 put           one or more of: key
//     (16), bytes of the reply, head and body (4) 18 remove        one or more of: key (16) 19 end
//     empty. All that was held at some time since `begin` has been put; what has
//                      changed since then comes next, and then each change as it happens
//
// Whoever meets a type that it does not know skips the frame: later versions add types (reports of
// the origin's load, commands). Whoever meets another version in hello, a length beyond its bound,
// or a payload that is no whole number of entries, closes the connection.
#ifndef BOOSTER_LINK_CHANNEL_H_
#define BOOSTER_LINK_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "booster/link/link_key.h"

namespace wb::link {

inline constexpr uint16_t kChannelVersion = 1;
inline constexpr size_t kFrameHeader = 4;
inline constexpr size_t kMaxPayload = 16380;  // with its header a TLS record

enum class FrameType : uint16_t {
  kHello = 1,
  kHeartbeat = 2,
  kCatalogueBegin = 16,
  kCataloguePut = 17,
  kCatalogueRemove = 18,
  kCatalogueEnd = 19,
};

struct Frame {
  FrameType type;  // any number
  std::span<const uint8_t> payload;
};

// A key that is held.
struct Held {
  Key key;
  uint32_t bytes;  // of the reply to GET, head and body
};
inline constexpr size_t kHeldBytes = sizeof(Key) + 4;
inline constexpr size_t kMaxHeld = kMaxPayload / kHeldBytes;   // in a frame
inline constexpr size_t kMaxKeys = kMaxPayload / sizeof(Key);  // in a frame

// Writers append to `out`.
void AppendFrame(FrameType type, std::string* out);  // without a payload
void AppendHello(std::string* out);
// Of any number, in as many frames as they take.
void AppendPut(std::span<const Held> held, std::string* out);
void AppendRemove(std::span<const Key> keys, std::string* out);

// Readers. InvalidArgument: not what the frame's type says.
[[nodiscard]] absl::Status ReadHello(const Frame& frame);
[[nodiscard]] absl::Status ReadPut(const Frame& frame, absl::FunctionRef<void(const Held&)> take);
[[nodiscard]] absl::Status ReadRemove(const Frame& frame, absl::FunctionRef<void(const Key&)> take);

// Finds the frames in a stream, however it is cut. Keeps at most one frame.
class FrameReader {
 public:
  // Calls `take` for each frame that is whole now; its error ends the reading and is returned.
  // InvalidArgument: a length beyond kMaxPayload. After an error the stream is of no use.
  [[nodiscard]] absl::Status Feed(std::span<const uint8_t> bytes,
                                  absl::FunctionRef<absl::Status(const Frame&)> take);

 private:
  std::string part_;  // the beginning of a frame
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHANNEL_H_
