// SPDX-License-Identifier: Apache-2.0
// Run time of processes and kernel threads, as the scheduler counts it: /proc/PID/task/*/schedstat.
// A thread that runs at this moment may be a tick behind. Not thread-safe.
#ifndef BENCH_CPU_TIME_H_
#define BENCH_CPU_TIME_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace wb::bench {

// Nanoseconds that each of the processes has run so far, by pid. One that is gone has 0, which
// makes its growth negative and so betrays it.
std::map<std::string, int64_t> RunTimes(const std::vector<int>& pids);

// Growth since `before`.
std::map<std::string, int64_t> RunTimesSince(const std::map<std::string, int64_t>& before,
                                             const std::vector<int>& pids);

}  // namespace wb::bench

#endif  // BENCH_CPU_TIME_H_
