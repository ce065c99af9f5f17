// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace wb::api {
namespace {

constexpr int kLockTries = 40;
constexpr auto kLockPause = std::chrono::milliseconds(50);

absl::Status CheckDirectory(int fd, const std::string& directory) {
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("stat ", directory));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 || (info.st_uid != 0 && info.st_uid != geteuid())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "directory ", directory,
        " of the control socket must belong to root or to our own user and be writable by its "
        "owner only"));
  }
  return absl::OkStatus();
}

// mkdir obeys the umask, so a new directory never has more than kSocketDirMode.
absl::StatusOr<int> OpenDirectory(const std::string& directory) {
  const bool made = mkdir(directory.c_str(), kSocketDirMode) == 0;
  if (!made && errno != EEXIST)
    return absl::ErrnoToStatus(errno, absl::StrCat("mkdir ", directory));
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open directory ", directory));
  absl::Status status;
  if (made && fchmod(fd, kSocketDirMode) != 0) {
    status = absl::ErrnoToStatus(errno, absl::StrCat("chmod ", directory));
  }
  if (status.ok()) status = CheckDirectory(fd, directory);
  if (status.ok()) return fd;
  close(fd);
  return status;
}

// Never waits without end: who may read the directory may hold its lock.
absl::Status Lock(int fd, const std::string& directory) {
  for (int i = 0; i < kLockTries; ++i) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
    if (errno != EWOULDBLOCK && errno != EINTR) break;
    std::this_thread::sleep_for(kLockPause);
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("lock directory ", directory));
}

absl::Status ClearPath(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is there and is not a socket"));
  }
  const absl::Status probe = ProbeSocket(path);
  if (probe.ok()) {
    return absl::AlreadyExistsError(absl::StrCat("another process answers on ", path));
  }
  if (!absl::IsUnavailable(probe)) return probe;
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove stale socket ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SocketPlace> SocketPlace::Prepare(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (path.empty() || path.front() != '/' || slash + 1 == path.size() ||
      path.size() > kMaxSocketPathChars) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket path must be absolute, name a file and have at most ",
                     kMaxSocketPathChars, " characters: ", path));
  }
  const std::string directory = slash == 0 ? "/" : path.substr(0, slash);
  const absl::StatusOr<int> fd = OpenDirectory(directory);
  if (!fd.ok()) return fd.status();
  SocketPlace place(*fd);
  if (absl::Status locked = Lock(*fd, directory); !locked.ok()) return locked;
  if (absl::Status cleared = ClearPath(path); !cleared.ok()) return cleared;
  return place;
}

SocketPlace::SocketPlace(SocketPlace&& other) noexcept
    : lock_fd_(std::exchange(other.lock_fd_, -1)) {}

SocketPlace::~SocketPlace() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

absl::StatusOr<FileId> SetModeAndIdentify(const std::string& path, mode_t mode) {
  struct stat info;
  if (chmod(path.c_str(), mode) != 0 || lstat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("set the mode of ", path));
  }
  return FileId{info.st_dev, info.st_ino};
}

void RemoveIfSame(const std::string& path, const FileId& id) {
  struct stat info;
  if (lstat(path.c_str(), &info) == 0 && info.st_dev == id.device && info.st_ino == id.inode) {
    unlink(path.c_str());
  }
}

absl::Status ProbeSocket(const std::string& path) {
  if (path.empty() || path.size() > kMaxSocketPathChars) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket path must have 1 to ", kMaxSocketPathChars, " characters"));
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open a socket");
  absl::Cleanup closer = [fd] { close(fd); };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN) {
    return absl::OkStatus();  // EAGAIN: there is a listener, and its queue is full.
  }
  if (errno == ECONNREFUSED) {
    return absl::UnavailableError(absl::StrCat("nobody answers on ", path));
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("connect to ", path));
}

}  // namespace wb::api
