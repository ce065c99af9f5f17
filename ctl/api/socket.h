// SPDX-License-Identifier: Apache-2.0
// The place of the control socket in the file system: its directory, what an earlier process left
// there, and the removal of our own at the end. Whom the server answers there is for peer.h to say.
#ifndef CTL_API_SOCKET_H_
#define CTL_API_SOCKET_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wb::api {

inline constexpr size_t kMaxSocketPathChars = 107;  // sockaddr_un::sun_path without its zero.
inline constexpr mode_t kSocketDirMode = 0750;

// Holds the lock of the socket's directory while a server looks, removes and binds, so that two
// that start at once do not both take the place of a third. Move-only; the lock ends with it.
class SocketPlace {
 public:
  // Makes the directory (not its parents) if it is not there; it must belong to root or to us and
  // be writable by its owner only (FailedPrecondition). A socket that nobody answers on is removed;
  // AlreadyExists if somebody does, FailedPrecondition if something else than a socket has the
  // name.
  static absl::StatusOr<SocketPlace> Prepare(const std::string& path);

  SocketPlace(SocketPlace&& other) noexcept;
  SocketPlace& operator=(SocketPlace&&) = delete;
  ~SocketPlace();

 private:
  explicit SocketPlace(int lock_fd) : lock_fd_(lock_fd) {}
  int lock_fd_;
};

// Which file a path named, to recognise it later.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
};
absl::StatusOr<FileId> SetModeAndIdentify(const std::string& path, mode_t mode);
// Only if it is still that file.
void RemoveIfSame(const std::string& path, const FileId& id);

// Connects and hangs up: OK if somebody answers, else why not (NotFound: no such file, Unavailable:
// a socket nobody answers on, PermissionDenied...).
absl::Status ProbeSocket(const std::string& path);

}  // namespace wb::api

#endif  // CTL_API_SOCKET_H_
