// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace wb::api {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSlice(100);  // How soon a wait sees that the server stops.
constexpr size_t kLingerBytes = 64 << 20;

}  // namespace

BoundedStream::BoundedStream(int fd, const Limits& limits, const absl::Notification& stop)
    : fd_(fd),
      limits_(limits),
      stop_(stop),
      read_deadline_(Clock::now() + limits.read_time),
      bytes_left_(limits.request_bytes) {}

bool BoundedStream::Wait(short events, Clock::time_point deadline) const {
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    if (left <= milliseconds::zero()) return false;
    pollfd entry{fd_, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::min(left, kSlice).count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
    if (stop_.HasBeenNotified()) return false;
  }
}

bool BoundedStream::is_readable() const { return begin_ < end_ || Wait(POLLIN, read_deadline_); }

bool BoundedStream::is_writable() const { return Wait(POLLOUT, Clock::now() + limits_.write_time); }

ssize_t BoundedStream::read(char* data, size_t size) {
  if (begin_ == end_) {
    if (bytes_left_ == 0 || !Wait(POLLIN, read_deadline_)) return -1;
    const ssize_t got =
        recv(fd_, buffer_.data(), std::min(buffer_.size(), bytes_left_), MSG_DONTWAIT);
    if (got <= 0) return got;
    begin_ = 0;
    end_ = static_cast<size_t>(got);
    bytes_left_ -= end_;
  }
  const size_t n = std::min(size, end_ - begin_);
  std::memcpy(data, buffer_.data() + begin_, n);
  begin_ += n;
  return static_cast<ssize_t>(n);
}

ssize_t BoundedStream::write(const char* data, size_t size) {
  const Clock::time_point deadline = Clock::now() + limits_.write_time;
  for (;;) {
    const ssize_t sent = send(fd_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno != EAGAIN && errno != EINTR) return -1;
    if (!Wait(POLLOUT, deadline)) return -1;
  }
}

// Neither address nor port on a UNIX socket.
void BoundedStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

void BoundedStream::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

void BoundedStream::Linger(milliseconds time) {
  if (shutdown(fd_, SHUT_WR) != 0) return;
  const Clock::time_point deadline = Clock::now() + time;
  size_t left = kLingerBytes;
  while (left > 0 && Wait(POLLIN, deadline)) {
    const ssize_t got = recv(fd_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    left -= std::min(left, static_cast<size_t>(got));
  }
}

}  // namespace wb::api
