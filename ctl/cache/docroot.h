// SPDX-License-Identifier: Apache-2.0
// Which file a target is, and what must be watched so that no change of it goes unseen. The path is
// walked as the kernel walks it, symbolic links included, so each directory in which a name is
// looked up is known by its real path. Order of use: Locate(), watch `watch`, fetch, Verify()
// (PITFALLS 28). Thread-safe; does file I/O.
//
// What inotify cannot tell and nothing here can mend: changes through a mapping (mmap), on the
// server's side of a network file system, through a hard link made later in a directory that is not
// watched, and of the web server's own configuration.
#ifndef CTL_CACHE_DOCROOT_H_
#define CTL_CACHE_DOCROOT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace wb::cache {

struct WatchPath {
  std::string path;  // a directory; or a file that has other hard links
  bool names_only =
      false;  // outside of the document root: what files contain there is of no interest
  bool operator==(const WatchPath&) const = default;
};

struct Location {
  std::string path;  // below the document root, as asked for; without the suffix of an encoding
  // Real paths that the object depends on: the file, its precompressed siblings and every symbolic
  // link on the way. An event on one of them, or on a directory above one of them, concerns the
  // object.
  std::vector<std::string> paths;
  std::vector<WatchPath> watch;  // parents before children
  bool operator==(const Location&) const = default;
};

// The path of a target's file, below the root, e.g. "/a b/index.html" for "/a%20b/?q".
// InvalidArgument: malformed percent-encoding, NUL, '//', or a segment '.' or '..'.
[[nodiscard]] absl::StatusOr<std::string> TargetPath(std::string_view target);

class DocumentRoot {
 public:
  explicit DocumentRoot(std::string path) : path_(std::move(path)) {}

  // NotFound (or what else errno says): there is no such file. PermissionDenied: it lies outside of
  // the document root. InvalidArgument: see TargetPath(), or no regular file. In all cases the
  // object is not watched.
  [[nodiscard]] absl::StatusOr<Location> Locate(std::string_view target) const;

  // OK when the fetched representation is the file: its content, and its mtime (seconds) is
  // `last_modified`. For content_encoding "gzip", "br" or "zstd" the file with the suffix .gz, .br
  // or .zst. FailedPrecondition "no_document": it is not, or the way to the file has changed since
  // `location` was made.
  [[nodiscard]] absl::Status Verify(std::string_view target, const Location& location,
                                    std::string_view content_encoding, std::string_view body,
                                    std::string_view last_modified) const;

 private:
  std::string path_;
};

// The suffixes of precompressed files: ".gz", ".br", ".zst".
const std::vector<std::string>& EncodingSuffixes();

}  // namespace wb::cache

#endif  // CTL_CACHE_DOCROOT_H_
