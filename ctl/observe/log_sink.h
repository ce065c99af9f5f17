// SPDX-License-Identifier: Apache-2.0
// Where lines of the access log go: a file that may be rotated meanwhile, or the journal. One
// thread at a time.
#ifndef WEBBOOSTER_CTL_OBSERVE_LOG_SINK_H_
#define WEBBOOSTER_CTL_OBSERVE_LOG_SINK_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ctl/config/config.h"
#include "webbooster/base/unique_fd.h"

namespace wb::observe {

class LogSink {
 public:
  virtual ~LogSink() = default;
  struct Result {
    size_t lost = 0;      // lines
    absl::Status status;  // why
  };
  // Writes whole lines, each with its line end. What cannot be written is lost, not tried again.
  virtual Result Write(std::string_view lines) = 0;
  // Before the next line: open what has the name now.
  virtual void Reopen() {}
};

// Appends to a file, made with mode 0640. Opened anew after Reopen(), and when the name has come to
// mean another file or none (logrotate); while it cannot be opened, each Write() tries again.
class FileSink : public LogSink {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) {}
  Result Write(std::string_view lines) override;
  void Reopen() override { fd_ = base::UniqueFd(); }

 private:
  absl::Status Open();
  bool Moved() const;

  const std::string path_;
  base::UniqueFd fd_;
  bool cut_ = false;  // the file ends within a line
};

// systemd's journal, by its native protocol: one datagram a line (SYSLOG_IDENTIFIER
// webbooster-access, PRIORITY 6). Waits for a slow journal for up to a second.
inline constexpr char kJournalSocket[] = "/run/systemd/journal/socket";
class JournalSink : public LogSink {
 public:
  explicit JournalSink(std::string socket_path = kJournalSocket) : path_(std::move(socket_path)) {}
  Result Write(std::string_view lines) override;

 private:
  absl::Status Connect();

  const std::string path_;
  base::UniqueFd fd_;
};

// The configuration names one.
std::unique_ptr<LogSink> MakeLogSink(const config::AccessLog& config);

}  // namespace wb::observe

#endif  // WEBBOOSTER_CTL_OBSERVE_LOG_SINK_H_
