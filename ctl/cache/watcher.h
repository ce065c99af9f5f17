// SPDX-License-Identifier: Apache-2.0
// Watches directories (and files with several hard links) for changes, by inotify(7). Paths are
// real paths (see docroot.h), and watches are counted, so that objects may share them. Once the
// name of a watched directory, or of one above it, has changed, its watch is gone for good: Alive()
// says so, and a new Watch() begins anew. Not thread-safe. The caller polls fd() and calls Drain().
#ifndef CTL_CACHE_WATCHER_H_
#define CTL_CACHE_WATCHER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/cache/docroot.h"
#include "webbooster/base/unique_fd.h"

namespace wb::cache {

struct WatchEvent {
  enum class Kind {
    kChanged,        // `path` was written, made, removed, renamed, or its metadata changed
    kDirectoryGone,  // the same of a directory: everything below `path` may be something else now
    kOverflow,       // events were lost and all watches are dropped: distrust everything; `path` is
                     // empty
  };
  Kind kind = Kind::kChanged;
  std::string path;
};

class Watcher {
 public:
  // ResourceExhausted: fs.inotify.max_user_instances.
  [[nodiscard]] static absl::StatusOr<Watcher> Create();

  // Watches all of `paths`, parents first, or none. Give the handle back with Release().
  // ResourceExhausted: fs.inotify.max_user_watches. NotFound and others: the path is not what it
  // was.
  using Handle = std::vector<uint64_t>;
  [[nodiscard]] absl::StatusOr<Handle> Watch(std::span<const WatchPath> paths);

  // False when one of the watches is gone. Drain() first.
  [[nodiscard]] bool Alive(const Handle& handle) const;

  void Release(const Handle& handle);

  // Reads all events that have come and reports them in order. `callback` may call Watch() and
  // Release().
  absl::Status Drain(const std::function<void(const WatchEvent&)>& callback);

  int fd() const { return fd_.get(); }
  size_t watches() const { return by_id_.size(); }

 private:
  struct Entry {
    std::string path;
    int wd = -1;
    uint32_t users = 0;
  };
  explicit Watcher(base::UniqueFd fd) : fd_(std::move(fd)) {}

  absl::Status ReadEvents(std::vector<char>& events, bool& more);
  absl::StatusOr<uint64_t> Acquire(const WatchPath& path);
  void Drop(uint64_t id);
  void DropBelow(const std::string& path);
  void DropAll();
  void Report(int wd, uint32_t mask, std::string_view name,
              const std::function<void(const WatchEvent&)>& callback);

  base::UniqueFd fd_;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, Entry> by_id_;
  std::map<std::string, uint64_t, std::less<>> by_path_;
  // One inode may be known by several paths (bind mounts), but has one watch descriptor.
  std::unordered_map<int, std::vector<uint64_t>> by_wd_;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_WATCHER_H_
