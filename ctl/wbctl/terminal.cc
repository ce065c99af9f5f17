// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <iostream>

namespace wb::wbctl {
namespace {

// ECMA-48 and xterm: the alternate screen, without cursor and without wrapping; and back.
constexpr char kEnter[] = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr char kLeave[] = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr char kHome[] = "\x1b[H";
constexpr char kClearLine[] = "\x1b[K";
constexpr char kClearBelow[] = "\x1b[J";
constexpr size_t kPlainRows = 60;

winsize Size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    size.ws_row = 24;
    size.ws_col = 80;
  }
  return size;
}

// Not within a character of UTF-8.
std::string Cut(const std::string& line, size_t columns) {
  if (line.size() <= columns) return line;
  size_t end = columns;
  while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;
  return line.substr(0, end);
}

}  // namespace

Terminal::Terminal(bool plain) : live_(!plain && isatty(STDOUT_FILENO) == 1) {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&signals_, signal);
  if (live_) {
    sigaddset(&signals_, SIGTSTP);
    sigaddset(&signals_, SIGWINCH);
  }
  sigprocmask(SIG_BLOCK, &signals_, &before_);
  if (live_) Enter();
}

Terminal::~Terminal() {
  if (live_) Leave();
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

void Terminal::Enter() const { std::cout << kEnter << std::flush; }
void Terminal::Leave() const { std::cout << kLeave << std::flush; }

size_t Terminal::rows() const { return live_ ? Size().ws_row : kPlainRows; }

bool Terminal::Draw(const std::vector<std::string>& lines) const {
  const winsize size = Size();
  if (live_) std::cout << kHome;
  size_t row = 0;
  for (const std::string& line : lines) {
    if (!live_) {
      std::cout << line << "\n";
    } else if (row++ < size.ws_row) {
      // No line end behind the last row: it would scroll.
      std::cout << (row == 1 ? "" : "\r\n") << Cut(line, size.ws_col) << kClearLine;
    }
  }
  std::cout << (live_ ? kClearBelow : "\n") << std::flush;
  return static_cast<bool>(std::cout);
}

Terminal::Event Terminal::Wait(std::chrono::milliseconds time) const {
  const timespec left = {time.count() / 1000, time.count() % 1000 * 1000000};
  switch (sigtimedwait(&signals_, nullptr, &left)) {
    case SIGWINCH:
      return Event::kRedraw;
    case SIGTSTP:
      Leave();
      raise(SIGSTOP);
      Enter();
      return Event::kRedraw;
    case -1:
      return errno == EINTR ? Event::kRedraw : Event::kTimeout;
    default:
      return Event::kEnd;
  }
}

}  // namespace wb::wbctl
