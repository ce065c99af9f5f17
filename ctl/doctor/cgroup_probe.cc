// SPDX-License-Identifier: Apache-2.0
//
// sockops programs of a cgroup and of those above it, as the kernel's rules of attaching look at
// them (kernel/bpf/cgroup.c, hierarchy_allows_attach).
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <array>
#include <filesystem>

#include "ctl/doctor/kernel_readings.h"
#include "webbooster/base/unique_fd.h"

namespace wb::doctor {
namespace {

bool IsCgroup2(const std::string& path) {
  struct statfs status;
  return statfs(path.c_str(), &status) == 0 &&
         static_cast<long>(status.f_type) == CGROUP2_SUPER_MAGIC;
}

}  // namespace

std::vector<SockopsFacts> ReadSockops(const std::string& cgroup) {
  std::vector<SockopsFacts> found;
  bool first = true;
  for (std::filesystem::path path = cgroup; IsCgroup2(path.string()); path = path.parent_path()) {
    const base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::array<uint32_t, 64> ids = {};
    uint32_t count = ids.size(), flags = 0;
    if (!fd.valid() ||
        bpf_prog_query(fd.get(), BPF_CGROUP_SOCK_OPS, 0, &flags, ids.data(), &count) != 0) {
      return found;
    }
    // On the cgroup itself all must be for several programs; one above may also allow to override.
    const bool shares =
        (flags & BPF_F_ALLOW_MULTI) != 0 || (!first && (flags & BPF_F_ALLOW_OVERRIDE) != 0);
    for (uint32_t i = 0; i < count && i < ids.size(); ++i) {
      found.push_back({path.string(), ids[i], ProgramName(ids[i]), !shares});
    }
    // What lies above one that is for several programs does not matter.
    if (count > 0 && !first && shares) return found;
    first = false;
  }
  return found;
}

}  // namespace wb::doctor
