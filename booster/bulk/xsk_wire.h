// SPDX-License-Identifier: Apache-2.0
// Segments by AF_XDP: one sending socket per queue of one interface. Nothing is received by it, and
// the interface's XDP program stays as it is. Objects lie in the Store that the wire was made for.
// Best mode first: zero-copy with descriptors into the store (gather), zero-copy of frames of its
// own, the kernel's copy of such frames. What the device does not take stays in its ring and leaves
// with the next Flush(). Not thread-safe; all calls from threads of one network namespace.
//
// Costs: the kernel keeps some 150 bytes per block of a UMEM for each queue. Of the gather layout
// the whole Store is the UMEM, otherwise the frames are. Zero-copy mode makes the driver receive
// all of the interface's traffic in frames of the UMEM and copy what goes to the stack.
#ifndef BOOSTER_BULK_XSK_WIRE_H_
#define BOOSTER_BULK_XSK_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/bulk/store.h"
#include "booster/bulk/time.h"
#include "booster/bulk/wire.h"
#include "booster/bulk/xsk_queue.h"
#include "booster/bulk/xsk_socket.h"

namespace wb::bulk {

struct XskOptions {
  std::optional<XskMode> mode;  // none: probed
  uint32_t segments = 1024;     // under way per queue, a power of two up to 2048
  uint32_t batch = 32;          // segments between two system calls
  // Of copy mode: some 220 segments under way per queue. A veth's ring takes 256 frames, and drops
  // the rest.
  uint32_t send_buffer_bytes = 512 << 10;
  uint64_t stall_ns = 200 * kMs;
};

class XskWire : public Wire {
 public:
  // `store` outlives it. Errors: the kernel's; ResourceExhausted: no blocks for frames.
  static absl::StatusOr<std::unique_ptr<XskWire>> Create(Store& store, uint32_t ifindex,
                                                         const XskOptions& options);
  ~XskWire() override;
  XskWire(const XskWire&) = delete;
  XskWire& operator=(const XskWire&) = delete;

  void Send(const Segments& segments) override;
  void Flush() override;
  size_t Room() const override;

  const XskMode& mode() const { return mode_; }
  size_t queues() const { return queues_.size(); }
  // Whether something waits for another Flush().
  uint32_t MostSegmentBytes() const override { return kBlockBytes - kMaxHeaderBytes; }
  bool waiting() const override;
  // False while the device is down or gone, or a ring does not move.
  bool healthy() const override;
  // For a wire that is not healthy, or whose number of queues may have changed: looks whether it
  // moves again, and opens new sockets where that helps, once a second at the most. Returns
  // healthy().
  bool Revive(uint64_t now) override;

 private:
  // Raw blocks of the store.
  class Frames {
   public:
    explicit Frames(Store& store) : store_(store) {}
    ~Frames() { Reset(); }
    Frames(const Frames&) = delete;
    Frames& operator=(const Frames&) = delete;
    bool Take(size_t blocks);  // instead of those that it has
    void Reset();
    uint8_t* first() const { return first_; }
    size_t bytes() const { return blocks_ * kBlockBytes; }

   private:
    Store& store_;
    uint8_t* first_ = nullptr;
    size_t blocks_ = 0;
  };

  XskWire(Store& store, uint32_t ifindex, const XskOptions& options)
      : store_(store), ifindex_(ifindex), options_(options), frames_(store) {}

  absl::Status Open(const XskMode& mode);
  void Close();
  size_t QueueOf(const Ends& ends) const;

  Store& store_;
  const uint32_t ifindex_;
  const XskOptions options_;
  XskMode mode_;
  Frames frames_;
  std::unique_ptr<XskUmem> umem_;
  std::vector<std::unique_ptr<XskQueue>> queues_;
  // Which the device may have read when the last sockets were closed, which it ends later.
  std::vector<std::shared_ptr<const Object>> abandoned_;
  uint64_t next_opening_ = 0;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_XSK_WIRE_H_
