// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/docroot.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>

#include "ctl/cache/http_date.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::cache {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's MAXSYMLINKS

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string Join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

bool Below(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path == directory || path.starts_with(directory + "/");
}

// What a walk from "/" to `real` passed.
struct Walk {
  std::string real;
  struct stat stat = {};
  std::vector<std::string> directories;  // in which a name was looked up, real
  std::vector<std::string> links;        // real path of the directory, and the link's name
};

void PushSegments(std::deque<std::string>& todo, std::string_view path) {
  std::vector<std::string> segments;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (end > at) segments.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  todo.insert(todo.begin(), segments.begin(), segments.end());
}

// path_resolution(7) in user space, for it has to be known which links were followed.
absl::StatusOr<Walk> Resolve(const std::string& path) {
  Walk walk;
  std::string at = "/";
  std::deque<std::string> todo;
  PushSegments(todo, path);
  while (!todo.empty()) {
    const std::string name = todo.front();
    todo.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      at = at.substr(0, std::max<size_t>(1, at.rfind('/')));
      continue;
    }
    if (std::ranges::find(walk.directories, at) == walk.directories.end()) {
      walk.directories.push_back(at);
    }
    const std::string next = Join(at, name);
    if (lstat(next.c_str(), &walk.stat) != 0) return base::PosixError("look up", next);
    if (!S_ISLNK(walk.stat.st_mode)) {
      at = next;
      continue;
    }
    walk.links.push_back(next);
    if (walk.links.size() > kMaxLinks) return base::PosixError("look up", path, ELOOP);
    std::array<char, PATH_MAX> target;
    const ssize_t n = readlink(next.c_str(), target.data(), target.size());
    if (n <= 0) return base::PosixError("read link", next);
    if (target[0] == '/') at = "/";
    PushSegments(todo, std::string_view(target.data(), static_cast<size_t>(n)));
  }
  // A path that ends in ".." has the wrong stat by now.
  if (lstat(at.c_str(), &walk.stat) != 0) return base::PosixError("look up", at);
  walk.real = at;
  return walk;
}

void AddWalk(const Walk& walk, const std::string& real_root, Location& location) {
  const auto add = [](auto& list, const auto& item) {
    if (std::ranges::find(list, item) == list.end()) list.push_back(item);
  };
  for (const std::string& directory : walk.directories) {
    add(location.watch, WatchPath{directory, !Below(directory, real_root)});
  }
  add(location.paths, walk.real);
  for (const std::string& link : walk.links) add(location.paths, link);
  // A write through another name is reported to the file's own watch only.
  if (walk.stat.st_nlink > 1) add(location.watch, WatchPath{walk.real, false});
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t expected, struct stat& st) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return base::PosixError("open", path);
  if (fstat(fd.get(), &st) != 0) return base::PosixError("stat", path);
  if (!S_ISREG(st.st_mode) || static_cast<uint64_t>(st.st_size) != expected) {
    return absl::FailedPreconditionError("another size");
  }
  std::string content(expected + 1, '\0');  // one more, to see a file that grows meanwhile
  size_t have = 0;
  while (have < content.size()) {
    const ssize_t n = read(fd.get(), content.data() + have, content.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::PosixError("read", path);
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  content.resize(have);
  return content;
}

}  // namespace

const std::vector<std::string>& EncodingSuffixes() {
  static const auto* suffixes = new std::vector<std::string>{".gz", ".br", ".zst"};
  return *suffixes;
}

absl::StatusOr<std::string> TargetPath(std::string_view target) {
  target = target.substr(0, target.find('?'));
  if (target.find('#') != std::string_view::npos) return absl::InvalidArgumentError("fragment");
  std::string path;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] != '%') {
      path += target[i];
      continue;
    }
    const int high = i + 2 < target.size() ? HexDigit(target[i + 1]) : -1;
    const int low = i + 2 < target.size() ? HexDigit(target[i + 2]) : -1;
    if (high < 0 || low < 0) return absl::InvalidArgumentError("malformed percent-encoding");
    path += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (path.empty() || path[0] != '/') return absl::InvalidArgumentError("no path");
  if (path.find('\0') != std::string::npos) return absl::InvalidArgumentError("NUL in the path");
  const std::string closed = path.back() == '/' ? path : path + "/";
  for (const char* odd : {"//", "/./", "/../"}) {
    if (closed.find(odd) != std::string::npos) {
      return absl::InvalidArgumentError("empty or dot segment in the path");
    }
  }
  if (path.back() == '/') path += "index.html";
  return path;
}

absl::StatusOr<Location> DocumentRoot::Locate(std::string_view target) const {
  WB_ASSIGN_OR_RETURN(const std::string below, TargetPath(target));
  WB_ASSIGN_OR_RETURN(const Walk root, Resolve(path_));
  Location location;
  location.path = path_ + below;
  WB_ASSIGN_OR_RETURN(const Walk file, Resolve(location.path));
  if (!Below(file.real, root.real)) {
    return absl::PermissionDeniedError("outside of the document root: " + file.real);
  }
  if (!S_ISREG(file.stat.st_mode)) return absl::InvalidArgumentError("no file: " + file.real);
  AddWalk(file, root.real, location);
  // A web server may prefer another file of that kind, once there is one.
  if (target.substr(0, target.find('?')).back() == '/') {
    const std::string folder = location.path.substr(0, location.path.rfind('/'));
    WB_ASSIGN_OR_RETURN(const Walk walk, Resolve(folder));
    location.paths.push_back(Join(walk.real, "index.*"));
  }
  for (const std::string& suffix : EncodingSuffixes()) {
    const absl::StatusOr<Walk> sibling = Resolve(location.path + suffix);
    if (!sibling.ok() || !S_ISREG(sibling->stat.st_mode)) continue;
    if (!Below(sibling->real, root.real)) {
      return absl::PermissionDeniedError("outside of the document root: " + sibling->real);
    }
    AddWalk(*sibling, root.real, location);
  }
  return location;
}

absl::Status DocumentRoot::Verify(std::string_view target, const Location& location,
                                  std::string_view content_encoding, std::string_view body,
                                  std::string_view last_modified) const {
  const absl::Status none = absl::FailedPreconditionError("no_document");
  std::string path = location.path;
  if (content_encoding == "gzip") path += ".gz";
  if (content_encoding == "br") path += ".br";
  if (content_encoding == "zstd") path += ".zst";
  if (path == location.path && !content_encoding.empty() && content_encoding != "identity") {
    return none;
  }
  struct stat st = {};
  const absl::StatusOr<std::string> content = ReadFile(path, body.size(), st);
  if (!content.ok() || *content != body) return none;
  const std::optional<int64_t> modified = ParseHttpDate(last_modified);
  if (!modified || st.st_mtim.tv_sec != *modified) return none;
  const absl::StatusOr<Location> now = Locate(target);
  return now.ok() && *now == location ? absl::OkStatus() : none;
}

}  // namespace wb::cache
