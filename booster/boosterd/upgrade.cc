// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/upgrade.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

// In the grandchild of a process with threads: only what is async-signal-safe.
[[noreturn]] void Exec(int socket, char* const* argv) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  fcntl(socket, F_SETFD, 0);
  execv(argv[0], argv);
  // Allocates only when it fails: then the old boosterd waits in vain, and says so.
  (void)SendHandover(socket, HandoverKind::kFailed, "the program cannot be executed");
  _exit(127);
}

// By way of a child that ends at once. Returns the pid of the successor.
absl::StatusOr<pid_t> Spawn(std::string program, std::string config, int socket) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return base::PosixError("make", "a pipe");
  const base::UniqueFd in(ends[0]);
  base::UniqueFd out(ends[1]);
  std::string number = std::to_string(socket);
  std::array<char, 9> config_option = {"--config"};
  std::array<char, 11> takeover_option = {"--takeover"};
  const std::array<char*, 6> argv = {program.data(),         config_option.data(), config.data(),
                                     takeover_option.data(), number.data(),        nullptr};
  const pid_t child = fork();
  if (child < 0) return base::PosixError("fork", "for the new boosterd");
  if (child == 0) {
    const pid_t successor = fork();
    if (successor == 0) Exec(socket, argv.data());
    _exit(write(out.get(), &successor, sizeof(successor)) == sizeof(successor) ? 0 : 1);
  }
  out.reset();
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  pid_t successor = -1;
  if (read(in.get(), &successor, sizeof(successor)) != sizeof(successor) || successor < 0)
    return absl::ResourceExhaustedError("cannot fork for the new boosterd");
  return successor;
}

// Why the message is not the one that is due.
absl::Status Unexpected(const HandoverMessage& message) {
  return message.kind == HandoverKind::kFailed
             ? absl::FailedPreconditionError(message.text)
             : absl::FailedPreconditionError("it speaks out of turn");
}

absl::StatusOr<std::string> Await(int socket, HandoverKind kind, net::Clock::time_point until,
                                  const std::atomic<bool>& abandon) {
  WB_ASSIGN_OR_RETURN(HandoverMessage message, ReceiveHandover(socket, until, &abandon));
  if (message.kind != kind) return Unexpected(message);
  return std::move(message.text);
}

absl::StatusOr<std::string> Converse(int socket, const Estate& estate,
                                     const std::atomic<bool>& abandon) {
  const auto until = net::Clock::now() + kUpgradeTime;
  WB_ASSIGN_OR_RETURN(std::string version, Await(socket, HandoverKind::kPrepared, until, abandon));
  WB_RETURN_IF_ERROR(Bequeath(socket, estate));
  WB_RETURN_IF_ERROR(Await(socket, HandoverKind::kServing, until, abandon).status());
  return version;
}

bool Ended(int socket) {
  pollfd entry = {socket, 0, 0};
  return poll(&entry, 1, 0) > 0 && (entry.revents & POLLHUP);
}

void AwaitEnd(int socket) {
  const auto until = net::Clock::now() + std::chrono::seconds(1);
  while (ReceiveHandover(socket, until).ok()) continue;
}

}  // namespace

bool Successor::LetGo() {
  shutdown(socket.get(), SHUT_WR);
  const auto last = ReceiveHandover(socket.get(), net::Clock::now() + std::chrono::seconds(1));
  socket.reset();
  return last.ok() ? last->kind == HandoverKind::kDone : absl::IsDeadlineExceeded(last.status());
}

absl::StatusOr<Successor> HandOver(const std::string& program, const std::string& config,
                                   const Estate& estate, const std::atomic<bool>& abandon) {
  std::array<int, 2> ends;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return base::PosixError("make", "a pair of sockets");
  base::UniqueFd ours(ends[0]);
  base::UniqueFd theirs(ends[1]);
  const timeval patience = {.tv_sec = 5, .tv_usec = 0};  // a successor that takes nothing
  setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  WB_ASSIGN_OR_RETURN(const pid_t pid, Spawn(program, config, theirs.get()));
  theirs.reset();
  absl::StatusOr<std::string> version = Converse(ours.get(), estate, abandon);
  if (version.ok()) return Successor{std::move(ours), pid, *std::move(version)};
  const absl::Status& why = version.status();
  if (absl::IsFailedPrecondition(why)) AwaitEnd(ours.get());  // by itself, having said why
  // While it has its end of the pair, the pid is its own.
  if (!Ended(ours.get())) {
    kill(pid, SIGKILL);
    AwaitEnd(ours.get());
  }
  const absl::string_view text =
      absl::IsUnavailable(why) ? "it ended without a word, see the log" : why.message();
  return absl::Status(
      absl::IsUnavailable(why) ? absl::StatusCode::kFailedPrecondition : why.code(),
      absl::StrCat("the new boosterd (", program, ", pid ", pid, ") does not take over: ", text));
}

}  // namespace wb::boosterd
