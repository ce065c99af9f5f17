// SPDX-License-Identifier: Apache-2.0
#include "ctl/observe/log_sink.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::observe {
namespace {

using base::PosixError;
using base::UniqueFd;

constexpr mode_t kFileMode = 0640;
constexpr timeval kJournalPatience = {1, 0};
constexpr char kJournalFields[] = "PRIORITY=6\nSYSLOG_IDENTIFIER=webbooster-access\nMESSAGE=";

size_t CountLines(std::string_view lines) {
  return static_cast<size_t>(std::count(lines.begin(), lines.end(), '\n'));
}

bool Send(int fd, const std::string& datagram) {
  ssize_t sent;
  do {
    sent = send(fd, datagram.data(), datagram.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

}  // namespace

absl::Status FileSink::Open() {
  // Without blocking: a FIFO without a reader must not hold us.
  fd_ = UniqueFd(open(
      path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, kFileMode));
  if (!fd_) return PosixError("open", path_);
  cut_ = false;
  return absl::OkStatus();
}

bool FileSink::Moved() const {
  struct stat named, open_file;
  return stat(path_.c_str(), &named) != 0 || fstat(fd_.get(), &open_file) != 0 ||
         named.st_ino != open_file.st_ino || named.st_dev != open_file.st_dev;
}

LogSink::Result FileSink::Write(std::string_view lines) {
  if (!fd_ || Moved())
    if (absl::Status opened = Open(); !opened.ok()) return {CountLines(lines), opened};
  std::string mended;
  if (cut_) {
    mended = "\n";
    mended += lines;
    lines = mended;
  }
  while (!lines.empty()) {
    const ssize_t n = write(fd_.get(), lines.data(), lines.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const absl::Status status = PosixError("write to", path_);
      // The line end that mends the line before is none of these.
      return {CountLines(lines.substr(lines.starts_with('\n') ? 1 : 0)), status};
    }
    cut_ = lines[static_cast<size_t>(n) - 1] != '\n';
    lines.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

absl::Status JournalSink::Connect() {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof(address.sun_path))
    return absl::InvalidArgumentError(absl::StrCat(path_, " is too long for a socket"));
  memcpy(address.sun_path, path_.data(), path_.size());
  fd_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd_) return PosixError("open", "a socket");
  (void)setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &kJournalPatience, sizeof(kJournalPatience));
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    absl::Status status = PosixError("connect to the journal at", path_);
    fd_ = UniqueFd();
    return status;
  }
  return absl::OkStatus();
}

LogSink::Result JournalSink::Write(std::string_view lines) {
  while (!lines.empty()) {
    if (!fd_)
      if (absl::Status connected = Connect(); !connected.ok())
        return {CountLines(lines), connected};
    const size_t end = lines.find('\n');
    std::string datagram = kJournalFields;
    datagram += lines.substr(0, end);
    datagram += '\n';
    // A journal that was started anew has another socket: once more. What fails then is lost, and
    // the rest with it, for each try may take a while.
    bool sent = Send(fd_.get(), datagram);
    if (!sent && errno != EAGAIN && Connect().ok()) sent = Send(fd_.get(), datagram);
    if (!sent) return {CountLines(lines), PosixError("write to the journal at", path_)};
    lines.remove_prefix(end == lines.npos ? lines.size() : end + 1);
  }
  return {};
}

std::unique_ptr<LogSink> MakeLogSink(const config::AccessLog& config) {
  if (config.journal) return std::make_unique<JournalSink>();
  return std::make_unique<FileSink>(config.file);
}

}  // namespace wb::observe
