// SPDX-License-Identifier: Apache-2.0
// How busy this machine is, sampled for the load reports that boosters get
// (booster/link/channel.h): the CPUs since the sample before, the listening sockets and the domains
// now. Nothing here waits. Not thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_LOAD_SAMPLER_H_
#define WEBBOOSTER_CTL_ACCELERD_LOAD_SAMPLER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/link/channel.h"
#include "webbooster/base/unique_fd.h"

namespace wb::accelerd {

class LoadSampler {
 public:
  struct Sources {
    std::string proc = "/proc";
    std::function<absl::StatusOr<uint16_t>()> listen_queue;  // permille
    std::function<std::map<std::string, link::DomainLoad>()> domains;
  };
  // Errors: `proc` has not what is needed.
  [[nodiscard]] static absl::StatusOr<LoadSampler> Open(Sources sources);

  // `cpu` is the share of the time that the hypervisor gave us (what it gave to others, steal, is
  // neither busy nor idle: a machine that is never idle is full, however little it gets). What
  // cannot be read is as it was.
  link::LoadReport Sample();

 private:
  // Of all CPUs since boot, in ticks.
  struct Times {
    uint64_t busy = 0;  // softirq included
    uint64_t softirq = 0;
    uint64_t idle = 0;
  };
  explicit LoadSampler(Sources sources) : sources_(std::move(sources)) {}
  absl::StatusOr<std::string_view> Read(int fd, const char* name);
  absl::StatusOr<Times> ReadTimes();
  absl::StatusOr<uint64_t> ReadOverflows();

  Sources sources_;
  base::UniqueFd stat_;
  base::UniqueFd netstat_;
  std::vector<char> buffer_ = std::vector<char>(64 << 10);
  Times times_;
  link::LoadReport last_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_LOAD_SAMPLER_H_
