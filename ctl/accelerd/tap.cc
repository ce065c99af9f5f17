// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/tap.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ctl/accelerd/service.h"
#include "ctl/kern/counters.h"
#include "ctl/kern/interface.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr uint64_t kMs = 1000000;
// Longer than a reader may keep us waiting; so long the data path goes on when we die.
constexpr uint64_t kLeaseNs = 10000 * kMs;
constexpr uint64_t kTellNs = 400 * kMs;  // between two statistics
constexpr uint64_t kSettleNs = 2 * kMs;  // in which another CPU may still write an earlier packet
constexpr int kPollMs = 100;
constexpr size_t kBufferBytes = 32u << 20;            // of all CPUs together
constexpr size_t kMostPages = 256, kLeastPages = 16;  // of one
constexpr uint32_t kLeastSnaplen = 1;

// Pages of each CPU's buffer, a power of two.
size_t Pages() {
  const auto cpus = static_cast<size_t>(std::max(1, libbpf_num_possible_cpus()));
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return std::clamp(std::bit_floor(kBufferBytes / cpus / page), kLeastPages, kMostPages);
}

}  // namespace

absl::StatusOr<TapOptions> TapOptionsOf(const api::TapRequest& request, uint32_t domain) {
  TapOptions o;
  o.count = request.count;
  o.duration_s = request.duration_s;
  o.filter.domain = domain;
  o.filter.snaplen = std::max(kLeastSnaplen, static_cast<uint32_t>(request.snaplen));
  o.filter.port_be16 = htons(static_cast<uint16_t>(request.port));
  if (request.peer.empty()) return o;
  __u32* const to = o.filter.peer_be32;
  if (inet_pton(AF_INET, request.peer.c_str(), &to[3]) == 1) {
    to[2] = htonl(0xffff);
  } else if (inet_pton(AF_INET6, request.peer.c_str(), to) != 1) {
    return absl::InvalidArgumentError("peer: no IP address");
  }
  return o;
}

absl::StatusOr<std::unique_ptr<api::TapStream>> AccelService::OpenTap(
    const api::TapRequest& request) {
  uint32_t domain = WB_DOMAINS_MAX;
  if (!request.domain.empty()) {
    const auto found = content_.FindDomain(request.domain);
    if (!found) return absl::NotFoundError(absl::StrCat("there is no domain ", request.domain));
    domain = *found;
  }
  WB_ASSIGN_OR_RETURN(const TapOptions options, TapOptionsOf(request, domain));
  // That a reader has left is noticed with the next statistics.
  const uint64_t until = kern::MonotonicNs() + 3 * kTellNs;
  while (tapped_.exchange(true)) {
    if (kern::MonotonicNs() > until)
      return absl::ResourceExhaustedError("another tap is open; there is one at a time");
    absl::SleepFor(absl::Milliseconds(20));
  }
  auto tap = Tap::Open(programs_, options, [this] { tapped_ = false; });
  if (!tap.ok()) return tap.status();
  return *std::move(tap);
}

Tap::Tap(kern::Programs& programs, const TapOptions& options, std::function<void()> release)
    : programs_(programs),
      options_(options),
      release_(std::move(release)),
      buffer_(nullptr, perf_buffer__free) {}

Tap::~Tap() {
  std::atomic_ref(programs_.control[0].tap.until_ns).store(0);
  buffer_.reset();
  release_();
}

absl::StatusOr<std::unique_ptr<Tap>> Tap::Open(kern::Programs& programs, const TapOptions& options,
                                               std::function<void()> release) {
  std::unique_ptr<Tap> tap(new Tap(programs, options, std::move(release)));
  if (absl::Status started = tap->Start(); !started.ok()) return started;
  return tap;
}

absl::Status Tap::Start() {
  head_ = observe::SectionHeader();
  for (const auto& [ifindex, slot] : kern::SlotsByInterface(programs_)) {
    char name[IF_NAMESIZE];
    if (if_indextoname(ifindex, name) == nullptr) continue;
    interfaces_.emplace(ifindex, interfaces_.size());
    head_ += observe::InterfaceBlock(name, options_.filter.snaplen);
  }
  if (interfaces_.empty())
    return absl::FailedPreconditionError("attached to no interface: `wbctl attach IF` first");
  buffer_.reset(perf_buffer__new(bpf_map__fd(programs_.skeleton()->maps.wb_tap), Pages(), OnSample,
                                 nullptr, this, nullptr));
  if (buffer_ == nullptr) return base::PosixError("make", "the buffers of a tap");
  WB_ASSIGN_OR_RETURN(const auto reasons, kern::ReadReasons(programs_));
  lost_before_ = reasons[WB_R_TAP_LOST];
  timespec real;
  clock_gettime(CLOCK_REALTIME, &real);
  const uint64_t now = kern::MonotonicNs();
  unix_offset_ns_ =
      static_cast<uint64_t>(real.tv_sec) * 1000 * kMs + static_cast<uint64_t>(real.tv_nsec) - now;
  ends_ns_ = options_.duration_s == 0 ? UINT64_MAX : now + options_.duration_s * 1000 * kMs;
  wb_tap_filter& tap = programs_.control[0].tap;
  std::atomic_ref(tap.until_ns).store(0);
  tap.snaplen = options_.filter.snaplen;
  tap.domain = options_.filter.domain;
  memcpy(tap.peer_be32, options_.filter.peer_be32, sizeof(tap.peer_be32));
  tap.port_be16 = options_.filter.port_be16;
  std::atomic_ref(tap.until_ns).store(std::min(ends_ns_, now + kLeaseNs));
  return absl::OkStatus();
}

void Tap::OnSample(void* self, int, void* data, uint32_t size) {
  Copy copy;
  if (size < sizeof(copy.head)) return;
  memcpy(&copy.head, data, sizeof(copy.head));
  if (copy.head.captured > size - sizeof(copy.head)) return;
  copy.data.assign(static_cast<const char*>(data) + sizeof(copy.head), copy.head.captured);
  static_cast<Tap*>(self)->pending_.push_back(std::move(copy));
}

absl::StatusOr<uint64_t> Tap::Lost() const {
  WB_ASSIGN_OR_RETURN(const auto reasons, kern::ReadReasons(programs_));
  return reasons[WB_R_TAP_LOST] - lost_before_;
}

absl::Status Tap::Renew(uint64_t now) {
  const std::atomic_ref until(programs_.control[0].tap.until_ns);
  if (now > until.load() && now < ends_ns_)
    return absl::DeadlineExceededError("the reader of the tap was too slow");
  until.store(std::min(ends_ns_, now + kLeaseNs));
  return absl::OkStatus();
}

// In the order of time; of what is as old as that.
std::string Tap::TakeUntil(uint64_t ns) {
  std::stable_sort(pending_.begin(), pending_.end(),
                   [](const Copy& a, const Copy& b) { return a.head.ns < b.head.ns; });
  std::string blocks;
  size_t n = 0;
  for (; n < pending_.size() && pending_[n].head.ns < ns; n++) {
    if (options_.count != 0 && taken_ == options_.count) break;
    const wb_tap_packet& head = pending_[n].head;
    const auto interface = interfaces_.find(head.ifindex);
    if (interface == interfaces_.end()) {
      char name[IF_NAMESIZE];  // attached meanwhile
      interfaces_.emplace(head.ifindex, interfaces_.size());
      blocks += observe::InterfaceBlock(if_indextoname(head.ifindex, name) == nullptr ? "?" : name,
                                        options_.filter.snaplen);
    }
    observe::CapturedPacket packet;
    packet.interface = interfaces_[head.ifindex];
    packet.unix_ns = UnixNs(head.ns);
    packet.direction = static_cast<observe::Direction>(head.direction);
    packet.frame_bytes = head.frame_len;
    packet.data = pending_[n].data;
    blocks += observe::PacketBlock(packet);
    taken_++;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<long>(n));
  return blocks;
}

absl::StatusOr<std::string> Tap::Next() {
  std::string blocks = std::exchange(head_, "");
  while (blocks.empty() && !ended_) {
    const uint64_t begin = kern::MonotonicNs();
    WB_RETURN_IF_ERROR(Renew(begin));
    if (perf_buffer__poll(buffer_.get(), kPollMs) < 0 && errno != EINTR)
      return base::PosixError("read", "the buffers of a tap");
    const uint64_t now = kern::MonotonicNs();
    (void)perf_buffer__consume(buffer_.get());  // all of them: what was written before `now`
    const bool over = now >= ends_ns_;
    blocks = TakeUntil(over ? UINT64_MAX : now - kSettleNs);
    ended_ = over || (options_.count != 0 && taken_ == options_.count);
    if (!ended_ && now - told_ns_ < kTellNs) continue;
    told_ns_ = now;
    WB_ASSIGN_OR_RETURN(const uint64_t lost, Lost());
    blocks += observe::StatisticsBlock(UnixNs(now), {.received = taken_ + lost, .lost = lost});
  }
  return blocks;
}

}  // namespace wb::accelerd
