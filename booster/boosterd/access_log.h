// SPDX-License-Identifier: Apache-2.0
// The access log of the requests of clients: workers gather lines, each by itself, and hand them to
// one thread that writes them. However slow or full the disk is, only lines are lost, and counted.
#ifndef BOOSTER_BOOSTERD_ACCESS_LOG_H_
#define BOOSTER_BOOSTERD_ACCESS_LOG_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "booster/front/services.h"
#include "booster/net/event_loop.h"
#include "ctl/config/config.h"
#include "ctl/observe/log_sink.h"

namespace wb::boosterd {

inline constexpr size_t kMaxQueuedLogBytes = 16 << 20;  // beyond it, lines are lost

// Thread-safe.
class AccessLog {
 public:
  AccessLog();
  ~AccessLog();  // writes what was handed over

  static bool Wanted(const config::AccessLog& config) {
    return !config.file.empty() || config.journal;
  }
  // Lines go there from now on; those that were handed over before, to where it was. Nothing
  // changes when it is the same.
  void Configure(const config::AccessLog& config);
  void SetSink(std::unique_ptr<observe::LogSink> sink);
  // The file is opened anew before the next line.
  void Reopen();
  // Whole lines. Never waits for a disk.
  void HandOver(std::string lines, size_t count);

  uint64_t written() const { return written_; }
  uint64_t failed() const { return failed_; }  // could not be written
  uint64_t lost() const { return lost_; }      // came faster than they could be written

 private:
  struct Batch {
    std::string lines;
    size_t count = 0;
  };
  void Run();
  void Write(observe::LogSink* sink, const std::vector<Batch>& batches);
  void Tell(const absl::Status& status, uint64_t lost);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Batch> queue_;
  size_t queued_bytes_ = 0;
  std::optional<std::unique_ptr<observe::LogSink>> next_sink_;  // another one, or none
  std::optional<config::AccessLog> configured_;
  bool reopen_ = false;
  bool stop_ = false;

  bool failing_ = false;
  uint64_t untold_ = 0;
  net::Clock::time_point quiet_until_;
  std::atomic<uint64_t> written_ = 0, failed_ = 0, lost_ = 0;
  std::thread thread_;
};

// A worker's part of it: belongs to that worker's thread.
class WorkerLog final : public front::AccessLog {
 public:
  WorkerLog(net::EventLoop& loop, boosterd::AccessLog& log);
  ~WorkerLog();

  void Configure(const config::AccessLog& config) { config_ = config; }
  void Write(const front::LogRecord& record) override;

 private:
  void HandOver();

  boosterd::AccessLog& log_;
  config::AccessLog config_;
  uint64_t random_;
  std::string request_;  // the first line, in the making
  std::string lines_;
  size_t count_ = 0;
  int64_t second_ = 0;                  // of the time of day, and
  net::Clock::time_point second_read_;  // when it was read
  net::EventLoop& loop_;
  net::Timer timer_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_ACCESS_LOG_H_
