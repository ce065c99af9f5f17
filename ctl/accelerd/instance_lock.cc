// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/instance_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

using base::PosixError;
using base::UniqueFd;

constexpr int kTries = 25;
constexpr absl::Duration kPause = absl::Milliseconds(20);

// Who holds the lock, of the processes that we may know of: "process 123", or "another process".
std::string Holder(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return "another process";
  const std::string inode = absl::StrCat(":", info.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // 1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int pid = 0;
    if (words.size() > 5 && words[1] == "FLOCK" && words[5].ends_with(inode) &&
        absl::SimpleAtoi(words[4], &pid) && pid > 0)
      return absl::StrCat("process ", pid);
  }
  return "another process";
}

absl::Status Lock(int fd, const std::string& path) {
  for (int i = 0; i < kTries; i++) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
    if (errno != EWOULDBLOCK && errno != EINTR) return PosixError("lock", path);
    absl::SleepFor(kPause);
  }
  return absl::AlreadyExistsError(absl::StrCat(
      Holder(fd), " runs with ", path,
      " already: stop it first, or give this accelerd a runtime_dir and a pin_dir of its own"));
}

absl::Status MakeDir(const std::string& dir, mode_t mode) {
  if (mkdir(dir.c_str(), mode) != 0 && errno != EEXIST) return PosixError("make", dir);
  return absl::OkStatus();
}

// Is the path still what was opened? Who held the lock before may have removed it at its end.
bool IsAt(int fd, const std::string& path) {
  struct stat opened, there;
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &there) == 0 &&
         opened.st_ino == there.st_ino && opened.st_dev == there.st_dev;
}

absl::StatusOr<UniqueFd> LockDirectory(const std::string& dir) {
  while (true) {
    WB_RETURN_IF_ERROR(MakeDir(dir, 0700));
    UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && errno == ENOENT) continue;
    if (!fd) return PosixError("open", dir);
    WB_RETURN_IF_ERROR(Lock(fd.get(), dir));
    if (IsAt(fd.get(), dir)) return fd;
  }
}

}  // namespace

absl::StatusOr<InstanceLock> InstanceLock::Take(const std::string& runtime_dir,
                                                const std::string& pin_dir) {
  InstanceLock lock;
  const std::string path = absl::StrCat(runtime_dir, "/accelerd.lock");
  WB_RETURN_IF_ERROR(MakeDir(runtime_dir, 0750));
  // Stays behind: removing it would let two processes lock two files of one name.
  lock.file_ = UniqueFd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!lock.file_) return PosixError("open", path);
  WB_RETURN_IF_ERROR(Lock(lock.file_.get(), path));
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.file_.get(), 0) != 0 ||
      pwrite(lock.file_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return PosixError("write", path);
  WB_ASSIGN_OR_RETURN(lock.pins_, LockDirectory(pin_dir));
  return lock;
}

}  // namespace wb::accelerd
