// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/access_log.h"

#include <bpf/libbpf.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

#include "ctl/observe/hit_line.h"
#include "spdlog/spdlog.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

using base::PosixError;
using base::UniqueFd;

constexpr int kBatchMs = 100;  // the data path wakes us before only when much has gathered
constexpr size_t kBatchBytes = 256 << 10;
constexpr uint64_t kQuietNs = 10000000000;  // between two complaints
constexpr int kStopRound = -1;              // any negative number ends a round of libbpf's

sigset_t ReopenSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return set;
}

}  // namespace

absl::Status AccessLog::BlockReopenSignal() {
  const sigset_t set = ReopenSignal();
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return PosixError("block", "SIGUSR1");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<AccessLog>> AccessLog::Start(const config::AccessLog& config,
                                                            kern::Programs& programs) {
  if (config.file.empty() && !config.journal) {
    std::atomic_ref(programs.control[0].log_sample).store(0);
    return nullptr;
  }
  return Start(config, programs, observe::MakeLogSink(config));
}

absl::StatusOr<std::unique_ptr<AccessLog>> AccessLog::Start(
    const config::AccessLog& config, kern::Programs& programs,
    std::unique_ptr<observe::LogSink> sink) {
  std::unique_ptr<AccessLog> log(new AccessLog(config, programs, std::move(sink)));
  if (absl::Status opened = log->Open(); !opened.ok()) return opened;
  return log;
}

AccessLog::AccessLog(const config::AccessLog& config, kern::Programs& programs,
                     std::unique_ptr<observe::LogSink> sink)
    : config_(config),
      programs_(programs),
      sink_(std::move(sink)),
      ring_(nullptr, ring_buffer__free) {}

absl::Status AccessLog::Open() {
  const sigset_t set = ReopenSignal();
  signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!signals_ || !stop_) return PosixError("make", "the access log's events");
  ring_.reset(
      ring_buffer__new(bpf_map__fd(programs_.skeleton()->maps.wb_hits), OnRecord, this, nullptr));
  if (ring_ == nullptr) return PosixError("read", "the ring of hits");
  thread_ = std::thread([this] { Run(); });
  std::atomic_ref(programs_.control[0].log_sample).store(config_.sample);
  return absl::OkStatus();
}

AccessLog::~AccessLog() {
  if (!thread_.joinable()) return;
  std::atomic_ref(programs_.control[0].log_sample).store(0);
  (void)eventfd_write(stop_.get(), 1);
  thread_.join();
}

void AccessLog::Run() {
  pollfd events[] = {{ring_buffer__epoll_fd(ring_.get()), POLLIN, 0},
                     {signals_.get(), POLLIN, 0},
                     {stop_.get(), POLLIN, 0}};
  while (events[2].revents == 0) {
    (void)poll(events, std::size(events), more_ ? 0 : kBatchMs);
    Drain();
    signalfd_siginfo signal;
    if (read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
      sink_->Reopen();
      spdlog::info("access log: opened anew");
    }
  }
  do {
    Drain();
  } while (more_);
}

void AccessLog::Drain() {
  // Ends with the records, or when many were read: signals must not wait behind them.
  more_ = ring_buffer__consume(ring_.get()) < 0;
  Flush();
}

int AccessLog::OnRecord(void* self, void* data, size_t size) {
  AccessLog& log = *static_cast<AccessLog*>(self);
  log.count_ += observe::AppendHitLines(data, size, log.config_.format, &log.lines_);
  return log.lines_.size() < kBatchBytes ? 0 : kStopRound;
}

void AccessLog::Flush() {
  if (count_ == 0) return;
  const observe::LogSink::Result result = sink_->Write(lines_);
  written_ += count_ - result.lost;
  failed_ += result.lost;
  Tell(result.status, result.lost);
  lines_.clear();
  count_ = 0;
}

void AccessLog::Tell(const absl::Status& status, uint64_t lost) {
  if (status.ok() && failing_) spdlog::info("access log: written again");
  failing_ = !status.ok();
  untold_ += lost;
  const uint64_t now = kern::MonotonicNs();
  if (status.ok() || now < quiet_until_ns_) return;
  spdlog::error("access log: {} ({} lines lost)", status.ToString(), untold_);
  quiet_until_ns_ = now + kQuietNs;
  untold_ = 0;
}

}  // namespace wb::accelerd
