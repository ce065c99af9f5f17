// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "webbooster/base/posix_error.h"

namespace wb::cache {
namespace {

constexpr uint32_t kNames = IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                            IN_DELETE_SELF | IN_MOVE_SELF;  // IN_UNMOUNT comes unasked for
constexpr uint32_t kContents = kNames | IN_MODIFY | IN_CLOSE_WRITE;
constexpr uint32_t kSelfGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED;
constexpr size_t kReadBytes = 65536;
// Of events before they are reported: all that the kernel queues by default, with usual names.
constexpr size_t kBatchBytes = 16 * kReadBytes;

template <typename Visit>
void ForEach(const std::vector<char>& events, Visit visit) {
  for (size_t at = 0; at < events.size();) {
    inotify_event event;
    std::memcpy(&event, &events[at], sizeof(event));
    const char* name = events.data() + at + sizeof(event);
    visit(event, std::string_view(name, event.len == 0 ? 0 : strnlen(name, event.len)));
    at += sizeof(event) + event.len;
  }
}

}  // namespace

absl::StatusOr<Watcher> Watcher::Create() {
  base::UniqueFd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd && errno == EMFILE) {
    return absl::ResourceExhaustedError(
        "cannot watch files: raise sysctl fs.inotify.max_user_instances or the limit of open "
        "files");
  }
  if (!fd) return base::PosixError("open", "inotify");
  return Watcher(std::move(fd));
}

absl::StatusOr<Watcher::Handle> Watcher::Watch(std::span<const WatchPath> paths) {
  Handle handle;
  for (const WatchPath& path : paths) {
    absl::StatusOr<uint64_t> id = Acquire(path);
    if (!id.ok()) {
      Release(handle);
      return id.status();
    }
    handle.push_back(*id);
  }
  return handle;
}

absl::StatusOr<uint64_t> Watcher::Acquire(const WatchPath& path) {
  // Asked for again even when known: the path may name another inode by now, its events still
  // unread.
  const int wd = inotify_add_watch(
      fd_.get(), path.path.c_str(),
      (path.names_only ? kNames : kContents) | IN_MASK_ADD | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
  if (wd < 0 && errno == ENOSPC) {
    return absl::ResourceExhaustedError(
        "no more files can be watched: raise sysctl fs.inotify.max_user_watches");
  }
  if (wd < 0) return base::PosixError("watch", path.path);
  const auto known = by_path_.find(path.path);
  if (known != by_path_.end()) {
    Entry& entry = by_id_.at(known->second);
    if (entry.wd == wd) {
      ++entry.users;
      return known->second;
    }
    Drop(known->second);
  }
  const uint64_t id = next_id_++;
  by_id_[id] = Entry{path.path, wd, 1};
  by_path_[path.path] = id;
  by_wd_[wd].push_back(id);
  return id;
}

bool Watcher::Alive(const Handle& handle) const {
  return std::ranges::all_of(handle, [this](uint64_t id) { return by_id_.contains(id); });
}

void Watcher::Release(const Handle& handle) {
  for (uint64_t id : handle) {
    const auto it = by_id_.find(id);
    if (it != by_id_.end() && --it->second.users == 0) Drop(id);
  }
}

void Watcher::Drop(uint64_t id) {
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return;
  const int wd = it->second.wd;
  by_path_.erase(it->second.path);
  by_id_.erase(it);
  std::vector<uint64_t>& ids = by_wd_.at(wd);
  std::erase(ids, id);
  if (!ids.empty()) return;
  by_wd_.erase(wd);
  inotify_rm_watch(fd_.get(), wd);  // EINVAL: the kernel has removed it already
}

void Watcher::DropBelow(const std::string& path) {
  std::vector<uint64_t> gone;
  if (const auto it = by_path_.find(path); it != by_path_.end()) gone.push_back(it->second);
  const std::string prefix = path + "/";
  for (auto it = by_path_.lower_bound(prefix);
       it != by_path_.end() && it->first.starts_with(prefix); ++it) {
    gone.push_back(it->second);
  }
  for (uint64_t id : gone) Drop(id);
}

void Watcher::DropAll() {
  while (!by_id_.empty()) Drop(by_id_.begin()->first);
}

void Watcher::Report(int wd, uint32_t mask, std::string_view name,
                     const std::function<void(const WatchEvent&)>& callback) {
  if (mask & IN_Q_OVERFLOW) {
    DropAll();  // a lost rename may have made any of them watch another path than it says
    callback({WatchEvent::Kind::kOverflow, ""});
    return;
  }
  const auto it = by_wd_.find(wd);
  if (it == by_wd_.end()) return;  // an event from before it was dropped
  std::vector<WatchEvent> events;
  for (uint64_t id : it->second) {
    WatchEvent event{WatchEvent::Kind::kChanged, by_id_.at(id).path};
    if (!name.empty()) event.path += (event.path == "/" ? "" : "/") + std::string(name);
    if ((mask & kSelfGone) || ((mask & IN_ISDIR) && !name.empty())) {
      event.kind = WatchEvent::Kind::kDirectoryGone;
    }
    events.push_back(std::move(event));
  }
  for (const WatchEvent& event : events) {
    // Metadata of a directory (its permissions, say) concern what is below, yet the watches stay
    // true.
    const bool renamed = mask & ~(IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_ISDIR);
    if (renamed) DropBelow(event.path);
    callback(event);
  }
}

absl::Status Watcher::Drain(const std::function<void(const WatchEvent&)>& callback) {
  std::vector<char> events;
  absl::Status status = absl::OkStatus();
  bool more = true;
  while (more && status.ok()) {
    status = ReadEvents(events, more);
    // Where some were lost, all is in doubt: those before, as many as the kernel keeps, tell
    // nothing on top, and would hold up the reader for as long as they take.
    bool lost = false;
    ForEach(events, [&](const inotify_event& event, std::string_view) {
      lost = lost || (event.mask & IN_Q_OVERFLOW) != 0;
    });
    if (lost) {
      Report(-1, IN_Q_OVERFLOW, "", callback);
      continue;
    }
    ForEach(events, [&](const inotify_event& event, std::string_view name) {
      Report(event.wd, event.mask, name, callback);
    });
  }
  return status;
}

// What has come, up to kBatchBytes; `more`: there may be more.
absl::Status Watcher::ReadEvents(std::vector<char>& events, bool& more) {
  events.clear();
  more = false;
  char part[kReadBytes];  // not set to zero each time, for a file that is written again and again
  while (events.size() < kBatchBytes) {
    const ssize_t n = read(fd_.get(), part, sizeof(part));
    if (n > 0) events.insert(events.end(), part, part + n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return absl::OkStatus();
    if (n <= 0) return base::PosixError("read", "inotify events");
  }
  more = true;
  return absl::OkStatus();
}

}  // namespace wb::cache
