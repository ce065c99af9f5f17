// SPDX-License-Identifier: Apache-2.0
// A veth pair in a namespace of the calling process's own, whose far end takes frames in a kernel
// thread on another processor. Needs root; all of it goes with the process. Not thread-safe.
#ifndef BENCH_WIRE_BENCH_LAB_H_
#define BENCH_WIRE_BENCH_LAB_H_

#include <cstdint>
#include <string>

namespace wb::bench {

// Returns the near end's index. The calling thread is pinned to the first processor. Ends the
// process when it cannot.
uint32_t MakeLab();

// `thread` 0: the calling one.
void PinThread(int thread, int processor);

// Gives a device, "wbb0" or "wbb1" (the far end), a kernel thread of its own on the processor, and
// returns that thread's pid. MakeLab() does it for the far end, on the second processor; to be done
// again after each change of an XDP program.
int PinReceiver(const std::string& device, int processor);

// Frames that the far end has taken so far.
uint64_t Received();

// Run time of the calling thread.
int64_t ThreadCpuNs();

}  // namespace wb::bench

#endif  // BENCH_WIRE_BENCH_LAB_H_
