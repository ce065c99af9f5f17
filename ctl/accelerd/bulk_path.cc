// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/bulk_path.h"

#include <bpf/libbpf.h>
#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ctl/accelerd/bulk_ends.h"
#include "ctl/kern/sock_destroy.h"
#include "spdlog/spdlog.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kLeastPollNs = 5000;
constexpr uint64_t kBeatNs = 20 * kMs;  // at least so often the heartbeat is renewed
constexpr uint32_t kRecordsAtOnce = 4096;
constexpr uint32_t kQuietRounds = 4;         // then it sleeps until it is woken
constexpr uint32_t kMostOutstanding = 4096;  // segments of one reply
constexpr uint32_t kBurst = 44;              // segments of 1,448 bytes in a frame of 64 KiB

bulk::TransferOptions OptionsOf(const config::Bulk& config) {
  bulk::TransferOptions options;
  options.algorithm = config.congestion_control == config::CongestionControl::kNewReno
                          ? bulk::Algorithm::kNewReno
                          : bulk::Algorithm::kCubic;
  options.max_outstanding = kMostOutstanding;
  options.burst_segments = kBurst;
  return options;
}

bulk::Connection ConnectionOf(const wb_conn_state& s) {
  bulk::Connection c;
  c.snd_nxt = c.snd_una = s.bulk.start;
  c.peer_seq = s.k_rcv_nxt + s.d_in;
  c.window_bytes = s.peer_wnd;
  c.window_shift = s.snd_wscale;
  c.segment_bytes = s.mss;
  c.sack = s.flags & WB_CF_SACK;
  c.timestamps = s.flags & WB_CF_TS;
  c.ecn = s.flags & WB_CF_ECN;
  c.ts_offset = s.ts_offset;
  c.rtt_ns = uint64_t{s.srtt_us} * 1000;
  c.cwnd = s.mss != 0 ? s.cwnd / s.mss : 0;
  return c;
}

bulk::AckSegment AckOf(const wb_bulk_event& event) {
  bulk::AckSegment ack;
  ack.ack = event.ack;
  ack.seq = event.seq;
  ack.window = event.window;
  ack.ece = event.flags & WB_BE_ECE;
  ack.data = event.flags & WB_BE_DATA;
  if (event.flags & WB_BE_TS) ack.ts_echo = event.ts_echo;
  ack.sack_count = std::min<uint8_t>(event.sack_n, bulk::kMostSackBlocks);
  for (size_t i = 0; i < ack.sack_count; i++) ack.sacks[i] = {event.sack[i][0], event.sack[i][1]};
  return ack;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BulkPath>> BulkPath::Start(const config::Bulk& config,
                                                          kern::Programs& programs,
                                                          BulkObjects& objects) {
  std::unique_ptr<BulkPath> path(new BulkPath(config, programs, objects));
  path->ring_ = ring_buffer__new(bpf_map__fd(programs.skeleton()->maps.wb_bulk_events), OnRecord,
                                 path.get(), nullptr);
  if (path->ring_ == nullptr) return base::PosixError("read", "the ring of bulk events");
  for (uint8_t& use : programs.control[0].bulk) std::atomic_ref(use).store(0);
  path->thread_ = std::thread([p = path.get()] { p->Run(); });
  (void)pthread_getcpuclockid(path->thread_.native_handle(), &path->clock_);
  return path;
}

BulkPath::BulkPath(const config::Bulk& config, kern::Programs& programs, BulkObjects& objects)
    : config_(config), programs_(programs), objects_(objects) {
  absl::MutexLock lock(&mu_);
  // What was taken must be begun: as many as there are connections.
  const bulk::SchedulerOptions options{.max_transfers = programs.connections(),
                                       .quantum_bytes = 1u << 16};
  sender_ =
      std::make_unique<bulk::Sender>(options, OptionsOf(config), static_cast<bulk::Peers&>(*this));
}

BulkPath::~BulkPath() {
  Stop(std::chrono::milliseconds(0));
  ring_buffer__free(ring_);
}

void BulkPath::Stop(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  for (uint8_t& use : programs_.control[0].bulk) std::atomic_ref(use).store(0);
  const uint64_t until = kern::MonotonicNs() + static_cast<uint64_t>(patience.count()) * kMs;
  while (!List().empty() && kern::MonotonicNs() < until) absl::SleepFor(absl::Milliseconds(10));
  stop_ = true;
  thread_.join();
  absl::MutexLock lock(&mu_);
  for (const bulk::Progress& left : sender_->List()) {
    Destroy(left.id);
    sender_->Abort(left.id, kern::MonotonicNs());
  }
}

bulk::SenderStats BulkPath::Stats() const {
  absl::MutexLock lock(&mu_);
  return sender_->stats();
}

std::vector<bulk::Progress> BulkPath::List() const {
  absl::MutexLock lock(&mu_);
  return sender_->List();
}

double BulkPath::CpuSeconds() const {
  timespec t = {};
  (void)clock_gettime(clock_, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

bulk::Now BulkPath::Look(const bulk::ReplyId& reply) const {
  const wb_conn_state& s = programs_.states[reply.slot];
  bulk::Now now;
  if (__atomic_load_n(&s.id, __ATOMIC_ACQUIRE) != reply.id) return now;
  const uint32_t flags = __atomic_load_n(&s.flags, __ATOMIC_ACQUIRE);
  now.reset = flags & WB_CF_RST;
  now.awaited = (flags & (WB_CF_BULK | WB_CF_GONE)) == WB_CF_BULK && !now.reset &&
                s.bulk.serial == reply.serial;
  now.fin = (flags & WB_CF_FIN) && s.k_snd_nxt + s.d_out == s.bulk.end + 1;
  now.ack = s.k_rcv_nxt + s.d_in;
  now.window = be16toh(s.window_be16);
  now.ts_echo = s.ts_recent;
  now.segment_bytes = s.mss;
  return now;
}

void BulkPath::Sent(const bulk::ReplyId& reply, uint32_t end) {
  wb_conn_state& s = programs_.states[reply.slot];
  if (s.id == reply.id)
    std::atomic_ref(s.bulk_sent).store(static_cast<__u64>(reply.serial) << 32 | end);
}

void BulkPath::Destroy(const bulk::ReplyId& reply) {
  const wb_conn_state& s = programs_.states[reply.slot];
  if (s.id != reply.id) return;
  if (absl::Status status = kern::DestroySocket(s.key, s.ifindex, s.id); !status.ok())
    spdlog::warn("{}", status.ToString());
}

int BulkPath::OnRecord(void* self, void* data, size_t size) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  wb_bulk_event event;
  if (size < sizeof(event)) return 0;
  memcpy(&event, data, sizeof(event));
  auto* path = static_cast<BulkPath*>(self);
  if (event.slot < path->programs_.states.size()) path->OnEvent(event);
  return ++path->records_ >= kRecordsAtOnce ? -EINTR : 0;
}

void BulkPath::OnEvent(const wb_bulk_event& event) {
  const bulk::ReplyId reply{event.slot, event.id, event.serial};
  quiet_ = 0;
  // Of one that is not known its beginning was lost, or it is an earlier process's.
  if (!sender_->Has(reply)) {
    const wb_conn_state& s = programs_.states[event.slot];
    const bulk::Now now = Look(reply);
    if (now.awaited)
      Begin(s, reply, event.ack);
    else if (now.reset && event.kind == WB_BULK_HEARD && s.bulk.serial == event.serial)
      // RFC 5961, 3.2: the peer asks whether the reset was meant.
      sender_->SendReset(EndsOf(s), s.if_slot, event.ack, now.ack);
    if (event.kind == WB_BULK_BEGIN) return;
  }
  if (event.kind == WB_BULK_RESET)
    sender_->OnReset(reply, now_);
  else if (event.kind == WB_BULK_HEARD)
    sender_->OnAck(reply, AckOf(event), now_);
}

// `acked`: the peer expects that number next.
void BulkPath::Begin(const wb_conn_state& s, const bulk::ReplyId& reply, uint32_t acked) {
  // XDP notes where the request came from right after it has taken it.
  if (std::ranges::all_of(s.mac_peer, [](uint8_t byte) { return byte == 0; })) return;
  const wb_bulk promised = s.bulk;  // the memory is the programs', too
  const auto object = objects_.Find(promised.variant, promised.variant_gen);
  auto response =
      object != nullptr && promised.serial == reply.serial ? object->Reply(promised) : std::nullopt;
  if (!response) {
    sender_->SendReset(EndsOf(s), s.if_slot, acked, s.k_rcv_nxt + s.d_in);
    Destroy(reply);
    return;
  }
  bulk::Connection connection = ConnectionOf(s);
  for (const auto* wire : {&ports_[s.if_slot].wire, &ports_[s.if_slot].spare})
    if (*wire != nullptr)
      connection.segment_bytes = std::min(connection.segment_bytes, (*wire)->MostSegmentBytes());
  sender_->Begin({reply, EndsOf(s), connection, *std::move(response), s.if_slot}, now_);
}

void BulkPath::Run() {
  prctl(PR_SET_NAME, "bulk");
  prctl(PR_SET_TIMERSLACK, 1000);  // ns
  if (config_.cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(*config_.cpu, &cpus);
    if (const int error = pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus); error != 0)
      spdlog::warn("{}",
                   base::PosixError("pin the bulk sender to CPU", absl::StrCat(*config_.cpu), error)
                       .ToString());
  }
  while (!stop_) {
    bool heard;
    uint64_t now;
    {
      absl::MutexLock lock(&mu_);
      now = kern::MonotonicNs();
      std::atomic_ref(programs_.control[0].bulk_heartbeat_ns).store(now);
      now_ = now;
      records_ = 0;
      (void)ring_buffer__consume(ring_);
      heard = records_ > 0;
      heard |= sender_->Work(now) > 0;
      LookAfterWires();
    }
    Sleep(now, heard);
  }
}

// Awake: until the next poll. Else until an event wakes it, a timer is due, or the heartbeat is.
void BulkPath::Sleep(uint64_t now, bool heard) {
  quiet_ = heard ? 0 : quiet_ + 1;
  uint64_t next;
  {
    absl::MutexLock lock(&mu_);
    next = std::min(sender_->NextWork(), now + kBeatNs);
  }
  // A device that takes nothing is asked again, but not all the time.
  const uint64_t poll = now + std::max(uint64_t{config_.poll_us} * 1000, kLeastPollNs);
  if (!heard && next <= now) next = poll;
  const std::atomic_ref awake(programs_.control[0].bulk_awake);
  if (quiet_ < kQuietRounds) {
    awake.store(1);
    const uint64_t at = std::max(std::min(next, poll), now);
    const timespec until = {static_cast<time_t>(at / 1000000000),
                            static_cast<long>(at % 1000000000)};
    if (config_.poll_us != 0) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    return;
  }
  awake.store(0);
  // What was written before the flag was seen woke nobody.
  {
    absl::MutexLock lock(&mu_);
    records_ = 0;
    (void)ring_buffer__consume(ring_);
    if (records_ > 0) {
      quiet_ = 0;
      return;
    }
  }
  const uint64_t at = kern::MonotonicNs();
  const uint64_t left = next > at ? next - at : 0;
  const timespec wait = {0, static_cast<long>(std::min<uint64_t>(left, kBeatNs))};
  pollfd ring = {ring_buffer__epoll_fd(ring_), POLLIN, 0};
  (void)ppoll(&ring, 1, &wait, nullptr);
}

}  // namespace wb::accelerd
