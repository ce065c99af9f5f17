// SPDX-License-Identifier: Apache-2.0
// The client of the floor program (bpf/bench_floor.bpf.c): marked datagrams in a closed loop. The
// answers are the datagram itself, padded to the size of a reply's packets and as many. Not
// thread-safe.
#ifndef BENCH_FLOOR_SENDER_H_
#define BENCH_FLOOR_SENDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace wb::bench {

struct FloorSendOptions {
  std::string host;
  int payload_bytes = 80;  // of UDP
  int segments = 1;        // packets to expect for each datagram
  int outstanding = 64;    // datagrams
  double warm_s = 0.2;
  double window_s = 1.5;
  std::vector<int> cpu_pids;
};

struct FloorSendResult {
  std::string error;
  double requests = 0;  // answered in the window
  uint64_t lost = 0;    // packets given up for lost, in all
  double seconds = 0;
  std::map<std::string, int64_t> cpu_ns;
};

FloorSendResult SendToFloor(const FloorSendOptions& options);

}  // namespace wb::bench

#endif  // BENCH_FLOOR_SENDER_H_
