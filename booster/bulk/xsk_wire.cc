// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/xsk_wire.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bulk {
namespace {

constexpr uint64_t kBetweenOpenings = kSecond;
constexpr uint64_t kWhileBusy = 10 * kMs;  // the kernel closes sockets in its own time
constexpr uint64_t kGiveUpStalled = 30 * kSecond;
constexpr int kMostBusyOpenings = 300;

// Best first.
std::vector<XskMode> Modes() {
  return {{true, XskLayout::kGather}, {true, XskLayout::kCopied}, {false, XskLayout::kCopied}};
}

bool IsBusy(const absl::Status& status) { return absl::IsFailedPrecondition(status); }  // EBUSY

struct Interface {
  std::string name;
  uint32_t queues = 1;
  bool running = false;  // up, and has a carrier
};

absl::StatusOr<Interface> ReadInterface(uint32_t ifindex) {
  ifreq request = {};
  if (if_indextoname(ifindex, request.ifr_name) == nullptr) {
    return base::PosixError("find", "interface");
  }
  Interface interface;
  interface.name = request.ifr_name;
  const base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return base::PosixError("open", "socket");
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0) return base::PosixError("read", interface.name);
  interface.running = (request.ifr_flags & IFF_UP) != 0 && (request.ifr_flags & IFF_RUNNING) != 0;
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (ioctl(fd.get(), SIOCETHTOOL, &request) == 0) {  // else it has one
    interface.queues = std::max(channels.combined_count + channels.tx_count, 1u);
  }
  return interface;
}

size_t CountOf(const Segments& s) {
  if (s.bytes == 0 || s.segment_bytes == 0) return 1;
  return (s.bytes + s.segment_bytes - 1) / s.segment_bytes;
}

// Each segment fits a frame, and the response has what they say.
bool Valid(const Segments& s) {
  if (s.bytes == 0) return true;
  return s.response != nullptr && s.segment_bytes > 0 && s.bytes <= s.response->bytes() &&
         s.offset <= s.response->bytes() - s.bytes &&
         std::min<size_t>(s.bytes, s.segment_bytes) <= kBlockBytes - kMaxHeaderBytes;
}

}  // namespace

bool XskWire::Frames::Take(size_t blocks) {
  if (blocks_ == blocks) return true;
  Reset();
  first_ = store_.Take(blocks);
  blocks_ = first_ == nullptr ? 0 : blocks;
  return first_ != nullptr;
}

void XskWire::Frames::Reset() {
  if (first_ != nullptr) store_.Free(first_, blocks_);
  first_ = nullptr;
  blocks_ = 0;
}

absl::StatusOr<std::unique_ptr<XskWire>> XskWire::Create(Store& store, uint32_t ifindex,
                                                         const XskOptions& options) {
  std::unique_ptr<XskWire> wire(new XskWire(store, ifindex, options));
  absl::Status status;
  for (const XskMode& mode : options.mode ? std::vector{*options.mode} : Modes()) {
    status = wire->Open(mode);
    for (int i = 0; i < kMostBusyOpenings && IsBusy(status); ++i) {
      absl::SleepFor(absl::Milliseconds(1));
      status = wire->Open(mode);
    }
    if (status.ok()) return wire;
    if (IsBusy(status)) break;
  }
  return status;
}

XskWire::~XskWire() { Close(); }

absl::Status XskWire::Open(const XskMode& mode) {
  WB_ASSIGN_OR_RETURN(const Interface interface, ReadInterface(ifindex_));
  const size_t blocks = XskQueue::Blocks(mode, options_.segments);
  if (!frames_.Take(blocks * interface.queues)) {
    return absl::ResourceExhaustedError("no memory for frames is left in the store");
  }
  const bool gather = mode.layout == XskLayout::kGather;
  const std::span<uint8_t> region(gather ? store_.base() : frames_.first(),
                                  gather ? store_.capacity() : frames_.bytes());
  WB_ASSIGN_OR_RETURN(umem_, XskUmem::Register(region));
  for (uint32_t i = 0; i < interface.queues; ++i) {
    auto socket = XskSocket::Open(
        *umem_, {interface.name, i, mode, XskQueue::Descriptors(mode, options_.segments),
                 options_.send_buffer_bytes});
    if (!socket.ok()) {
      queues_.clear();
      umem_.reset();
      return socket.status();
    }
    const auto at = static_cast<uint64_t>(frames_.first() - region.data());
    queues_.push_back(std::make_unique<XskQueue>(
        *umem_, *std::move(socket), at + i * blocks * kBlockBytes, mode,
        XskQueue::Options{options_.segments, options_.batch, options_.stall_ns}, stats_));
  }
  mode_ = mode;
  return absl::OkStatus();
}

void XskWire::Close() {
  abandoned_.clear();
  for (const auto& queue : queues_) {
    for (auto& object : queue->Abandon()) abandoned_.push_back(std::move(object));
  }
  queues_.clear();
  umem_.reset();
}

size_t XskWire::QueueOf(const Ends& ends) const {
  uint64_t words[2];
  std::memcpy(words, ends.remote.data(), sizeof(words));
  uint64_t hash = words[0] ^ (words[1] * 0x9e3779b97f4a7c15);
  hash ^= uint64_t{ends.remote_port} << 16 | ends.local_port;
  hash *= 0x9e3779b97f4a7c15;
  return (hash >> 32) * queues_.size() >> 32;
}

void XskWire::Send(const Segments& segments) {
  if (queues_.empty() || !Valid(segments)) {
    stats_.dropped += CountOf(segments);
    return;
  }
  queues_[QueueOf(*segments.ends)]->Send(segments);
}

void XskWire::Flush() {
  for (const auto& queue : queues_) queue->Flush();
}

size_t XskWire::Room() const {
  size_t room = SIZE_MAX;
  for (const auto& queue : queues_) room = std::min(room, queue->Room());
  return queues_.empty() ? 0 : room;
}

bool XskWire::waiting() const {
  return std::any_of(queues_.begin(), queues_.end(),
                     [](const auto& queue) { return !queue->broken() && queue->waiting(); });
}

bool XskWire::healthy() const {
  return !queues_.empty() && std::none_of(queues_.begin(), queues_.end(), [](const auto& queue) {
    return queue->broken() || queue->stalled();
  });
}

bool XskWire::Revive(uint64_t now) {
  Flush();
  if (now < next_opening_) return healthy();
  next_opening_ = now + kBetweenOpenings;
  const auto interface = ReadInterface(ifindex_);
  if (!interface.ok()) return false;
  const bool useless = interface->queues != queues_.size() ||
                       std::any_of(queues_.begin(), queues_.end(), [](const auto& queue) {
                         return queue->broken() || queue->stalled_for_ns() >= kGiveUpStalled;
                       });
  if (useless && !queues_.empty()) Close();
  if (queues_.empty() && interface->running) {
    if (IsBusy(Open(mode_))) next_opening_ = now + kWhileBusy;
  }
  return healthy();
}

}  // namespace wb::bulk
