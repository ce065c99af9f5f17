// SPDX-License-Identifier: Apache-2.0
// One accepted connection as httplib sees it. Unlike httplib's own stream it bounds the whole
// request in bytes and time, so that no client holds a server thread for long, and gives up when
// the server stops. One thread at a time.
#ifndef CTL_API_STREAM_H_
#define CTL_API_STREAM_H_

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

#include "absl/synchronization/notification.h"

namespace wb::api {

class BoundedStream final : public httplib::Stream {
 public:
  struct Limits {
    size_t request_bytes;
    std::chrono::milliseconds read_time;   // For the whole request, from the construction on.
    std::chrono::milliseconds write_time;  // For each write.
  };

  // Borrows all three.
  BoundedStream(int fd, const Limits& limits, const absl::Notification& stop);

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return fd_; }

  // Ends our direction and swallows what the client still sends, for a short time: closing a UNIX
  // socket with unread data would break the client's write before it has read why its request was
  // refused.
  void Linger(std::chrono::milliseconds time);

 private:
  using Clock = std::chrono::steady_clock;
  bool Wait(short events, Clock::time_point deadline) const;

  const int fd_;
  const Limits& limits_;
  const absl::Notification& stop_;
  const Clock::time_point read_deadline_;
  size_t bytes_left_;
  std::array<char, 4096> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace wb::api

#endif  // CTL_API_STREAM_H_
