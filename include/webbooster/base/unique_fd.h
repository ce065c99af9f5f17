// SPDX-License-Identifier: Apache-2.0
// The owner of a file descriptor: closes it at the end of its life. Move-only, like
// std::unique_ptr; -1 is "none". Not thread-safe. Descriptors are opened with O_CLOEXEC by whoever
// makes them.
#ifndef WEBBOOSTER_BASE_UNIQUE_FD_H_
#define WEBBOOSTER_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace wb::base {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }

  // Gives the descriptor away; the caller closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  void reset(int fd = -1) {
    // Linux frees the descriptor even when close() fails: never try again.
    if (fd_ >= 0 && fd_ != fd) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace wb::base

#endif  // WEBBOOSTER_BASE_UNIQUE_FD_H_
