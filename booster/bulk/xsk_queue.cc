// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/xsk_queue.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace wb::bulk {
namespace {

constexpr uint32_t kSmallBytes = 128;
constexpr uint32_t kLargeFrames = 256;  // of the gather layout, for what lies in responses' headers
constexpr uint32_t kMostDescriptors = 3;  // headers, and a payload in two blocks
constexpr uint32_t kNoHold = UINT32_MAX;
constexpr uint32_t kMostIdleKicks = 8;
constexpr uint32_t kContinued = 1 << 0;  // XDP_PKT_CONTD, Linux 6.6

static_assert(kSmallBytes >= kMaxHeaderBytes && kBlockBytes % kSmallBytes == 0);

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

size_t SmallBlocks(uint32_t segments) {
  return (size_t{segments} * kSmallBytes + kBlockBytes - 1) / kBlockBytes;
}

}  // namespace

size_t XskQueue::Blocks(const XskMode& mode, uint32_t segments) {
  const size_t fill = mode.zero_copy ? kFillFrames : 0;
  if (mode.layout == XskLayout::kCopied) return fill + segments;
  return fill + SmallBlocks(segments) + kLargeFrames;
}

uint32_t XskQueue::Descriptors(const XskMode& mode, uint32_t segments) {
  return mode.layout == XskLayout::kCopied ? segments : 2 * segments;
}

XskQueue::XskQueue(const XskUmem& umem, std::unique_ptr<XskSocket> socket, uint64_t blocks,
                   const XskMode& mode, const Options& options, WireStats& stats)
    : base_(umem.base()),
      socket_(std::move(socket)),
      mode_(mode),
      options_(options),
      stats_(stats) {
  if (mode.zero_copy) {
    socket_->Fill(blocks, kFillFrames);
    blocks += uint64_t{kFillFrames} * kBlockBytes;
  }
  if (mode.layout == XskLayout::kCopied) {
    large_ = FramePool(blocks, kBlockBytes, options.segments);
  } else {
    small_ = FramePool(blocks, kSmallBytes, options.segments);
    large_ =
        FramePool(blocks + SmallBlocks(options.segments) * kBlockBytes, kBlockBytes, kLargeFrames);
  }
  payloads_.resize(small_.frames() + large_.frames());
}

size_t XskQueue::Room() {
  if (broken_) return 0;
  const size_t free = socket_->descriptors() - socket_->waiting();
  if (mode_.layout == XskLayout::kCopied) return std::min<size_t>(free, large_.free());
  return large_.free() == 0 ? 0 : std::min(free / kMostDescriptors, small_.free());
}

// For one segment.
bool XskQueue::MakeRoom() {
  if (Room() > 0) return true;
  Drain();
  if (Room() > 0) return true;
  Submit();
  Kick();
  Drain();
  if (Room() > 0) return true;
  ++stats_.stalls;
  return false;
}

void XskQueue::Send(const Segments& s) {
  const bool gather = mode_.layout == XskLayout::kGather;
  uint32_t hold = kNoHold;
  if (gather && s.response != nullptr && s.response->object() != nullptr) {
    hold = NewHold(s.response->shared_object());
  }
  uint32_t batch = 0;
  for (size_t done = 0; done < s.bytes || done == 0;) {
    const size_t payload = std::min<size_t>(s.bytes - done, s.segment_bytes);
    if (!MakeRoom()) {
      stats_.dropped += s.bytes == 0 ? 1 : (s.bytes - done + s.segment_bytes - 1) / s.segment_bytes;
      break;
    }
    const Piece piece = {s, s.offset + done, payload, done == 0, done + payload == s.bytes};
    if (gather) {
      PutGather(piece, hold);
    } else {
      PutCopied(piece);
    }
    ++stats_.frames;
    done += payload;
    if (++batch == options_.batch) {  // while it is in the cache
      batch = 0;
      Submit();
      Kick();
    }
    if (payload == 0) break;
  }
  if (hold != kNoHold) Release(hold);
  Submit();
}

// Headers and the first `copied` bytes of the payload; their length.
size_t XskQueue::WriteHead(uint64_t address, const Piece& piece, size_t copied) {
  uint8_t* const to = base_ + address;
  const Segments& s = piece.of;
  const uint16_t sum = piece.payload == 0 ? 0 : s.response->Sum(piece.offset, piece.payload);
  size_t length = WriteHeaders(std::span<uint8_t, kMaxHeaderBytes>(to, kMaxHeaderBytes), s,
                               s.seq + static_cast<uint32_t>(piece.offset - s.offset),
                               piece.payload, piece.first, piece.last, sum);
  for (size_t at = 0; at < copied;) {
    const auto from = s.response->Piece(piece.offset + at, copied - at);
    std::memcpy(to + length, from.data(), from.size());
    length += from.size();
    at += from.size();
  }
  return length;
}

void XskQueue::PutCopied(const Piece& piece) {
  const uint64_t address = large_.AddressOf(large_.Take());
  const size_t length = WriteHead(address, piece, piece.payload);
  const xdp_desc descriptor = {address, static_cast<uint32_t>(length), 0};
  Put({&descriptor, 1});
}

void XskQueue::PutGather(const Piece& piece, uint32_t hold) {
  size_t copied = 0;
  while (copied < piece.payload && piece.of.response->InHeader(piece.offset + copied)) {
    copied += piece.of.response->Piece(piece.offset + copied, piece.payload - copied).size();
  }
  FramePool& pool = copied == 0 ? small_ : large_;
  const uint32_t index = pool.Take();
  const uint64_t head = pool.AddressOf(index);
  xdp_desc descriptors[kMostDescriptors];
  descriptors[0] = {head, static_cast<uint32_t>(WriteHead(head, piece, copied)), 0};
  uint32_t n = 1;
  while (copied < piece.payload) {
    const auto from = piece.of.response->Piece(piece.offset + copied, piece.payload - copied);
    const auto address = static_cast<uint64_t>(from.data() - base_);
    const size_t bytes = std::min(from.size(), kBlockBytes - address % kBlockBytes);
    descriptors[n - 1].options = kContinued;
    descriptors[n++] = {address, static_cast<uint32_t>(bytes), 0};
    copied += bytes;
  }
  payloads_[index + (&pool == &large_ ? small_.frames() : 0)] = {hold, static_cast<uint8_t>(n - 1)};
  if (n > 1) ++holds_[hold].segments;
  Put({descriptors, n});
}

// Room() has seen to it that there is room.
void XskQueue::Put(std::span<const xdp_desc> descriptors) {
  const auto n = static_cast<uint32_t>(descriptors.size());
  uint32_t at = 0;
  xsk_ring_prod__reserve(&socket_->tx(), n, &at);
  for (const xdp_desc& descriptor : descriptors) {
    *xsk_ring_prod__tx_desc(&socket_->tx(), at++) = descriptor;
  }
  unsubmitted_ += n;
}

void XskQueue::Submit() {
  if (unsubmitted_ > 0) xsk_ring_prod__submit(&socket_->tx(), unsubmitted_);
  unsubmitted_ = 0;
}

// False: something waits that the kernel would not take.
bool XskQueue::Kick() {
  if (broken_) return false;
  uint32_t waiting = socket_->waiting();
  for (uint32_t idle = 0; waiting > 0; Drain()) {
    if (!xsk_ring_prod__needs_wakeup(&socket_->tx())) return true;  // the device looks by itself
    const int error = socket_->Wake();
    const uint32_t before = std::exchange(waiting, socket_->waiting());
    const bool moved = waiting != before && error != EBUSY;
    moved_ = moved_ || moved;
    if (error == 0) return waiting == 0 || mode_.zero_copy;
    // At the end of its budget, of the send buffer, or of the completion ring.
    if (error != EAGAIN && error != ENOBUFS && error != EBUSY && error != EINTR) {
      Broke();
      return false;
    }
    if (error == EBUSY) {  // it took a frame and dropped it: the link is down, or the peer full
      refused_ = true;
      ++stats_.dropped;
    }
    idle = moved ? 0 : idle + 1;
    if (idle == kMostIdleKicks) return false;
  }
  return true;
}

void XskQueue::Flush() {
  Drain();
  Submit();
  if (!Kick() && !broken_) ++stats_.stalls;
  Drain();
  Observe();
}

void XskQueue::Observe() {
  const bool moved = moved_ || (completed_ && !refused_);
  const bool stuck = !moved && (refused_ || !idle());
  moved_ = completed_ = refused_ = false;
  if (!stuck) {
    stuck_since_ns_ = 0;
    stalled_ = false;
    return;
  }
  const uint64_t now = NowNs();
  if (stuck_since_ns_ == 0) stuck_since_ns_ = now;
  stalled_ = now - stuck_since_ns_ >= options_.stall_ns;
}

uint64_t XskQueue::stalled_for_ns() const {
  return stuck_since_ns_ == 0 ? 0 : NowNs() - stuck_since_ns_;
}

// ENETDOWN, ENXIO, or what nobody knows.
void XskQueue::Broke() {
  broken_ = true;
  // What waits is never sent: a segment ends where a descriptor is not continued.
  xsk_ring_prod& tx = socket_->tx();
  const uint32_t waiting = socket_->waiting();
  for (uint32_t i = 0; i < waiting; ++i) {
    if ((xsk_ring_prod__tx_desc(&tx, tx.cached_prod - waiting + i)->options & kContinued) != 0) {
      continue;
    }
    --stats_.frames;
    ++stats_.dropped;
  }
}

std::vector<std::shared_ptr<const Object>> XskQueue::Abandon() {
  Drain();
  if (!broken_) Broke();
  std::vector<std::shared_ptr<const Object>> objects;
  for (Hold& hold : holds_) {
    if (hold.object != nullptr) objects.push_back(std::move(hold.object));
  }
  return objects;
}

void XskQueue::Drain() {
  uint32_t at;
  xsk_ring_cons& ring = socket_->completion();
  const uint32_t n = xsk_ring_cons__peek(&ring, ring.size, &at);
  if (n == 0) return;
  for (uint32_t i = 0; i < n; ++i) Complete(*xsk_ring_cons__comp_addr(&ring, at + i));
  xsk_ring_cons__release(&ring, n);
  completed_ = true;
}

void XskQueue::Complete(uint64_t address) {
  if (small_.Contains(address)) {
    CompleteFrame(small_, address, 0);
  } else if (large_.Contains(address)) {
    CompleteFrame(large_, address, small_.frames());
  } else if (completing_.descriptors > 0 && --completing_.descriptors == 0) {
    Release(completing_.hold);
  }
}

void XskQueue::CompleteFrame(FramePool& pool, uint64_t address, uint32_t base) {
  if (completing_.descriptors > 0) Release(completing_.hold);  // never seen
  const uint32_t index = pool.IndexOf(address);
  completing_ = payloads_[base + index];
  pool.Put(index);
}

uint32_t XskQueue::NewHold(std::shared_ptr<const Object> object) {
  if (free_holds_.empty()) {
    free_holds_.push_back(static_cast<uint32_t>(holds_.size()));
    holds_.emplace_back();
  }
  const uint32_t hold = free_holds_.back();
  free_holds_.pop_back();
  holds_[hold] = {std::move(object), 1};
  return hold;
}

void XskQueue::Release(uint32_t hold) {
  if (--holds_[hold].segments > 0) return;
  holds_[hold].object.reset();
  free_holds_.push_back(hold);
}

}  // namespace wb::bulk
