// SPDX-License-Identifier: Apache-2.0
// The access log of requests that XDP answers: a thread that takes the data path's records from
// their ring buffer, a batch at a time, and writes them. However slow or full the disk is, only
// records are lost, and counted.
#ifndef WEBBOOSTER_CTL_ACCELERD_ACCESS_LOG_H_
#define WEBBOOSTER_CTL_ACCELERD_ACCESS_LOG_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "ctl/config/config.h"
#include "ctl/kern/programs.h"
#include "ctl/observe/log_sink.h"
#include "webbooster/base/unique_fd.h"

struct ring_buffer;

namespace wb::accelerd {

class AccessLog {
 public:
  // SIGUSR1 opens the log's file anew, and must end no process that has no log. To be called before
  // any thread begins.
  static absl::Status BlockReopenSignal();

  // Switches the data path's records on and writes them; or off, and null, when none are
  // configured.
  static absl::StatusOr<std::unique_ptr<AccessLog>> Start(const config::AccessLog& config,
                                                          kern::Programs& programs);
  // The same with another place to write to.
  static absl::StatusOr<std::unique_ptr<AccessLog>> Start(const config::AccessLog& config,
                                                          kern::Programs& programs,
                                                          std::unique_ptr<observe::LogSink> sink);
  // Switches the records off and writes those that are there.
  ~AccessLog();

  uint64_t written() const { return written_; }
  uint64_t failed() const { return failed_; }  // could not be written

 private:
  AccessLog(const config::AccessLog& config, kern::Programs& programs,
            std::unique_ptr<observe::LogSink> sink);
  static int OnRecord(void* self, void* data, size_t size);
  absl::Status Open();
  void Run();
  void Drain();
  void Flush();
  void Tell(const absl::Status& status, uint64_t lost);

  const config::AccessLog config_;
  kern::Programs& programs_;
  const std::unique_ptr<observe::LogSink> sink_;
  std::unique_ptr<ring_buffer, void (*)(ring_buffer*)> ring_;
  base::UniqueFd signals_, stop_;
  std::string lines_;  // to be written
  size_t count_ = 0;   // of these
  bool more_ = false;  // records are left
  bool failing_ = false;
  uint64_t quiet_until_ns_ = 0, untold_ = 0;
  std::atomic<uint64_t> written_ = 0, failed_ = 0;
  std::thread thread_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_ACCESS_LOG_H_
