// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/last_will.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "booster/bulk/packet_wire.h"
#include "ctl/accelerd/bulk_ends.h"
#include "ctl/kern/mapped.h"
#include "ctl/kern/programs.h"
#include "ctl/kern/sock_destroy.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

using base::UniqueFd;

constexpr char kArmed = 'a', kVoid = 'v';
// Requests that were taken before the switch was seen.
constexpr absl::Duration kRounds[] = {absl::ZeroDuration(), absl::Milliseconds(50),
                                      absl::Milliseconds(300)};

template <typename T>
absl::StatusOr<kern::Mapped<T>> Open(const std::string& pin) {
  UniqueFd fd(bpf_obj_get(pin.c_str()));
  if (!fd) return base::PosixError("open", pin);
  bpf_map_info info = {};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return base::PosixError("ask", pin);
  return kern::Mapped<T>::Create(fd.get(), info.max_entries, pin.c_str());
}

class Executor {
 public:
  Executor(kern::Mapped<wb_conn_state> states, kern::Mapped<wb_control> control)
      : states_(std::move(states)), control_(std::move(control)) {}

  // Returns how many connections were reset.
  size_t Execute() {
    for (uint8_t& use : control_[0].bulk) std::atomic_ref(use).store(0, std::memory_order_release);
    // What is begun from now on is another process's.
    const uint64_t until = kern::MonotonicNs();
    size_t n = 0;
    for (const absl::Duration wait : kRounds) {
      absl::SleepFor(wait);
      for (const wb_conn_state& s : states_.span()) n += Reset(s, until);
    }
    return n;
  }

 private:
  size_t Reset(const wb_conn_state& s, uint64_t until) {
    constexpr uint64_t kSlackNs = 2000000;
    const uint64_t id = __atomic_load_n(&s.id, __ATOMIC_ACQUIRE);
    const bool again = mine_.contains(id);  // it may have got more meanwhile
    if (id == 0 || !(s.flags & WB_CF_BULK) || ((s.flags & WB_CF_RST) && !again) ||
        s.last_send_ns > until + kSlackNs)
      return 0;
    if (bulk::Wire* const wire = WireOf(s.ifindex)) {
      const bulk::Ends ends = EndsOf(s);
      bulk::Segments segments;
      segments.ends = &ends;
      segments.ack = s.k_rcv_nxt + s.d_in;
      segments.rst = true;
      const auto sent = static_cast<uint32_t>(s.bulk_sent);
      const bool told = s.bulk_sent >> 32 == s.bulk.serial;
      segments.seq = s.snd_una;
      wire->Send(segments);
      segments.seq = told ? sent : s.bulk.start;
      if (segments.seq != s.snd_una) wire->Send(segments);
      wire->Flush();
    }
    if (absl::Status status = kern::DestroySocket(s.key, s.ifindex, s.id); !status.ok())
      spdlog::warn("{}", status.ToString());
    mine_.insert(id);
    return again ? 0 : 1;
  }

  bulk::Wire* WireOf(uint32_t ifindex) {
    auto [it, fresh] = wires_.try_emplace(ifindex);
    if (fresh) {
      auto wire = bulk::PacketWire::Create(ifindex, WB_SKB_MARK, SIZE_MAX);
      if (wire.ok()) it->second = *std::move(wire);
    }
    return it->second.get();
  }

  kern::Mapped<wb_conn_state> states_;
  kern::Mapped<wb_control> control_;
  std::set<uint64_t> mine_;  // connections that were reset
  std::map<uint32_t, std::unique_ptr<bulk::Wire>> wires_;
};

[[noreturn]] void Wait(int pipe, const std::string& pins) {
  prctl(PR_SET_NAME, "accelerd-will");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  bool armed = false;
  while (true) {
    char word = 0;
    const ssize_t n = read(pipe, &word, 1);
    if (n < 0 && errno == EINTR) continue;
    if (word == kVoid || (n <= 0 && !armed)) _exit(0);
    if (n <= 0) break;
    armed = true;
  }
  auto states = Open<wb_conn_state>(absl::StrCat(pins, "/wb_conn_states"));
  auto control = Open<wb_control>(absl::StrCat(pins, "/wb_control"));
  if (!states.ok() || !control.ok()) _exit(0);  // died before there was anything
  const size_t n = Executor(*std::move(states), *std::move(control)).Execute();
  spdlog::error("accelerd has died: {} connections with bulk replies under way were reset", n);
  _exit(0);
}

}  // namespace

absl::StatusOr<LastWill> LastWill::Leave(const std::string& pin_dir) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return base::PosixError("make", "a pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return base::PosixError("fork", "the executor of the last will");
  if (pid == 0) {
    write_end.reset();
    const pid_t inner = fork();  // nobody's child: nobody has to wait for it
    if (inner != 0) _exit(inner < 0 ? 1 : 0);
    Wait(read_end.get(), absl::StrCat(pin_dir, "/v", WB_LAYOUT_VERSION));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return absl::ResourceExhaustedError("cannot fork the executor of the last will");
  return LastWill(std::move(write_end));
}

void LastWill::Arm() { (void)!write(pipe_.get(), &kArmed, 1); }

LastWill::~LastWill() {
  if (pipe_) (void)!write(pipe_.get(), &kVoid, 1);
}

}  // namespace wb::accelerd
