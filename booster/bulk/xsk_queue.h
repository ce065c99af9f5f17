// SPDX-License-Identifier: Apache-2.0
// Segments on one AF_XDP socket: what lies in its frames and rings, what is under way, and whether
// the device moves. Two layouts. Copied: headers and payload in one frame. Gather: headers, and
// what lies in a response's header, in one frame; descriptors for the payload where it lies in the
// store (XDP_PKT_CONTD), so that the object is held until the kernel is done with it. Not
// thread-safe.
//
// The kernel writes the completions of one frame's descriptors in a row, in their order (copy mode
// when the skb is freed, zero-copy mode in the order of the ring), so that the completion of a
// header tells which object's payload the next ones are.
#ifndef BOOSTER_BULK_XSK_QUEUE_H_
#define BOOSTER_BULK_XSK_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "booster/bulk/frame_pool.h"
#include "booster/bulk/wire.h"
#include "booster/bulk/xsk_socket.h"

namespace wb::bulk {

class XskQueue {
 public:
  struct Options {
    uint32_t segments = 1024;  // under way at the most
    uint32_t batch = 32;       // segments between two system calls
    uint64_t stall_ns = 0;
  };

  // Blocks that it needs.
  static size_t Blocks(const XskMode& mode, uint32_t segments);
  static uint32_t Descriptors(const XskMode& mode, uint32_t segments);

  // `blocks`: address of its blocks in `umem`.
  XskQueue(const XskUmem& umem, std::unique_ptr<XskSocket> socket, uint64_t blocks,
           const XskMode& mode, const Options& options, WireStats& stats);

  // Of valid segments.
  void Send(const Segments& segments);
  // Gives the kernel what waits, as far as it takes it.
  void Flush();
  // Takes completions. Flush() does it as well.
  void Drain();
  // For the last time: what waits is dropped; the objects that the device may still read.
  std::vector<std::shared_ptr<const Object>> Abandon();

  size_t Room();
  bool waiting() { return socket_->waiting() > 0; }
  bool idle() const { return small_.free() == small_.frames() && large_.free() == large_.frames(); }
  bool broken() const { return broken_; }    // device down or gone: open another one
  bool stalled() const { return stalled_; }  // it does not move, but may again
  uint64_t stalled_for_ns() const;

 private:
  struct Payload {  // what a segment's headers are followed by
    uint32_t hold;
    uint8_t descriptors;
  };
  struct Hold {
    std::shared_ptr<const Object> object;
    uint32_t segments = 0;  // that need it, and the call that makes them
  };
  struct Piece {
    const Segments& of;
    size_t offset;
    size_t payload;
    bool first;
    bool last;
  };

  bool MakeRoom();
  void PutCopied(const Piece& piece);
  void PutGather(const Piece& piece, uint32_t hold);
  void Put(std::span<const xdp_desc> descriptors);
  size_t WriteHead(uint64_t address, const Piece& piece, size_t copied);
  void Submit();
  bool Kick();
  void Broke();
  void Complete(uint64_t address);
  void CompleteFrame(FramePool& pool, uint64_t address, uint32_t base);
  uint32_t NewHold(std::shared_ptr<const Object> object);
  void Release(uint32_t hold);
  void Observe();

  uint8_t* const base_;
  const std::unique_ptr<XskSocket> socket_;
  const XskMode mode_;
  const Options options_;
  WireStats& stats_;

  FramePool small_;  // headers only; none in the copied layout
  FramePool large_;
  std::vector<Payload> payloads_;  // by index in small_, then in large_
  std::vector<Hold> holds_;
  std::vector<uint32_t> free_holds_;
  Payload completing_ = {};

  uint32_t unsubmitted_ = 0;  // descriptors
  bool moved_ = false;        // since the last Observe()
  bool completed_ = false;
  bool refused_ = false;
  bool broken_ = false;
  bool stalled_ = false;
  uint64_t stuck_since_ns_ = 0;  // 0: it is not
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_XSK_QUEUE_H_
