// SPDX-License-Identifier: Apache-2.0
// The screen of a command that redraws itself. Where standard output is no terminal, or `plain` is
// asked for, pictures are just printed one below the other. A terminal is given back as it was
// however the command ends, but for SIGKILL: signals that end or stop it are blocked, and seen by
// Wait(). One at a time.
#ifndef CTL_WBCTL_TERMINAL_H_
#define CTL_WBCTL_TERMINAL_H_

#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <vector>

namespace wb::wbctl {

class Terminal {
 public:
  explicit Terminal(bool plain);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool live() const { return live_; }
  // Of the terminal now; as many as are good to read where there is none.
  size_t rows() const;

  // Lines are cut to the terminal's width. False: nobody reads any more.
  bool Draw(const std::vector<std::string>& lines) const;

  enum class Event { kTimeout, kRedraw, kEnd };
  Event Wait(std::chrono::milliseconds time) const;

 private:
  void Enter() const;
  void Leave() const;

  const bool live_;
  sigset_t signals_{};
  sigset_t before_{};
};

}  // namespace wb::wbctl

#endif  // CTL_WBCTL_TERMINAL_H_
