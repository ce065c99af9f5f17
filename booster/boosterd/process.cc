// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

bool SameFile(int a, int b) {
  struct stat x, y;
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

}  // namespace

absl::StatusOr<base::UniqueFd> LockDirectory(const std::string& runtime_dir,
                                             base::UniqueFd inherited) {
  if (mkdir(runtime_dir.c_str(), 0750) != 0 && errno != EEXIST) {
    return base::PosixError("make", runtime_dir);
  }
  const std::string path = runtime_dir + "/boosterd.lock";
  base::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return base::PosixError("open", path);
  if (inherited && SameFile(fd.get(), inherited.get())) fd = std::move(inherited);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("a boosterd runs already, see ", path));
  }
  return fd;
}

uint32_t UsableCpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<uint32_t>(CPU_COUNT(&set)) : 1;
}

void RaiseFileLimit(uint32_t connections) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = 2 * static_cast<rlim_t>(connections) + 1024;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  spdlog::warn("only {} files may be open, {} are wanted for limits.connections", limit.rlim_max,
               wanted);
}

}  // namespace wb::boosterd
