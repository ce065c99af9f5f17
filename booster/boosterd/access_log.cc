// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/access_log.h"

#include <ctime>
#include <utility>

#include "ctl/observe/log_line.h"
#include "spdlog/spdlog.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kBatchTime(100);
constexpr size_t kBatchBytes = 64 << 10;
constexpr std::chrono::seconds kQuiet(10);             // between two complaints
constexpr std::chrono::milliseconds kSecondRead(100);  // how old the time of day may be

std::optional<std::string_view> IfThere(std::string_view text) {
  return text.data() == nullptr ? std::nullopt : std::optional(text);
}

std::optional<uint16_t> IfPort(uint16_t port) {
  return port == 0 ? std::nullopt : std::optional(port);
}

}  // namespace

AccessLog::AccessLog() : thread_([this] { Run(); }) {}

AccessLog::~AccessLog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void AccessLog::Configure(const config::AccessLog& config) {
  if (configured_ == config) return;
  configured_ = config;
  SetSink(Wanted(config) ? observe::MakeLogSink(config) : nullptr);
}

void AccessLog::SetSink(std::unique_ptr<observe::LogSink> sink) {
  {
    const std::lock_guard lock(mutex_);
    next_sink_ = std::move(sink);
  }
  wake_.notify_one();
}

void AccessLog::Reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
  }
  wake_.notify_one();
}

void AccessLog::HandOver(std::string lines, size_t count) {
  {
    const std::lock_guard lock(mutex_);
    if (queued_bytes_ + lines.size() > kMaxQueuedLogBytes) {
      lost_ += count;
      return;
    }
    queued_bytes_ += lines.size();
    queue_.push_back({std::move(lines), count});
  }
  wake_.notify_one();
}

void AccessLog::Run() {
  std::unique_ptr<observe::LogSink> sink;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || reopen_ || next_sink_ || !queue_.empty(); });
    const std::vector<Batch> batches = std::exchange(queue_, {});
    const bool reopen = std::exchange(reopen_, false);
    auto next = std::exchange(next_sink_, std::nullopt);
    const bool stop = stop_;
    lock.unlock();
    if (reopen && sink) {
      sink->Reopen();
      spdlog::info("access log: opened anew");
    }
    // The first lines of a new log may have come before it was told of here.
    if (next && !sink) sink = *std::exchange(next, std::nullopt);
    Write(sink.get(), batches);
    if (next) sink = *std::move(next);
    if (stop) return;
    lock.lock();
    // Counted as queued while they were written: the bound holds for both together.
    for (const Batch& batch : batches) queued_bytes_ -= batch.lines.size();
  }
}

void AccessLog::Write(observe::LogSink* sink, const std::vector<Batch>& batches) {
  for (const Batch& batch : batches) {
    if (sink == nullptr) {  // switched off meanwhile
      lost_ += batch.count;
      continue;
    }
    const observe::LogSink::Result result = sink->Write(batch.lines);
    written_ += batch.count - result.lost;
    failed_ += result.lost;
    Tell(result.status, result.lost);
  }
}

void AccessLog::Tell(const absl::Status& status, uint64_t lost) {
  if (status.ok() && failing_) spdlog::info("access log: written again");
  failing_ = !status.ok();
  untold_ += lost;
  const auto now = net::Clock::now();
  if (status.ok() || now < quiet_until_) return;
  spdlog::error("access log: {} ({} lines lost)", status.ToString(), untold_);
  quiet_until_ = now + kQuiet;
  untold_ = 0;
}

WorkerLog::WorkerLog(net::EventLoop& loop, boosterd::AccessLog& log)
    : log_(log),
      random_(reinterpret_cast<uintptr_t>(this) | 1),
      loop_(loop),
      timer_(loop, [this] { HandOver(); }) {}

WorkerLog::~WorkerLog() { HandOver(); }

void WorkerLog::Write(const front::LogRecord& record) {
  if (config_.sample > 1) {
    // Marsaglia's xorshift: by chance, so that no order of requests hides some of them.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    if (random_ % config_.sample != 0) return;
  }
  if (second_ == 0 || loop_.now() - second_read_ >= kSecondRead) {
    second_ = time(nullptr);
    second_read_ = loop_.now();
  }
  request_.assign(record.method).append(" ").append(record.target).append(" ");
  request_.append(record.protocol);
  observe::AppendLogLine(
      {.second = second_,
       .remote_addr = record.client,
       .remote_port = IfPort(record.client_port),
       .server_addr =
           record.server.empty() ? std::nullopt : std::optional<std::string_view>(record.server),
       .server_port = IfPort(record.server_port),
       .host = IfThere(record.host),
       .request = request_,
       .status = record.status,
       .body_bytes = record.body_bytes,
       .referer = IfThere(record.referer),
       .user_agent = IfThere(record.user_agent),
       .refused = record.cause.empty() ? std::nullopt : std::optional(record.cause),
       .request_seconds = std::chrono::duration<double>(record.took).count()},
      config_.format, &lines_);
  ++count_;
  if (lines_.size() >= kBatchBytes) return HandOver();
  if (count_ == 1) timer_.ArmIn(kBatchTime);
}

void WorkerLog::HandOver() {
  timer_.Disarm();
  if (count_ == 0) return;
  const size_t before = lines_.size();
  log_.HandOver(std::exchange(lines_, {}), std::exchange(count_, 0));
  lines_.reserve(before);
}

}  // namespace wb::boosterd
