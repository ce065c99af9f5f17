// SPDX-License-Identifier: Apache-2.0
#include "bench/cpu_time.h"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace wb::bench {

std::map<std::string, int64_t> RunTimes(const std::vector<int>& pids) {
  std::map<std::string, int64_t> times;
  for (const int pid : pids) {
    int64_t sum = 0;
    std::error_code error;
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
      std::ifstream file(task.path() / "schedstat");
      int64_t ns = 0;
      if (file >> ns) sum += ns;
    }
    times[std::to_string(pid)] = sum;
  }
  return times;
}

std::map<std::string, int64_t> RunTimesSince(const std::map<std::string, int64_t>& before,
                                             const std::vector<int>& pids) {
  std::map<std::string, int64_t> grown = RunTimes(pids);
  for (auto& [pid, ns] : grown) ns -= before.at(pid);
  return grown;
}

}  // namespace wb::bench
