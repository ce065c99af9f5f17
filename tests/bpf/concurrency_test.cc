// SPDX-License-Identifier: Apache-2.0
// Two CPUs on one connection (ARCHITECTURE.md, invariant 7): the lock and what is asked first thing
// under it.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

class ConcurrencyTest : public BpfTest {
 protected:
  // Runs wb_xdp_ingress on the frame, on any other CPU than the test's, until `stop`.
  void Send(const Bytes& frame, const std::atomic<bool>& stop) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu)
      if (cpu != here_) CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    while (!stop) {
      xdp_md context = {};
      context.data_end = static_cast<uint32_t>(frame.size());
      context.ingress_ifindex = kLoopback;
      DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data(),
                          .data_size_in = static_cast<uint32_t>(frame.size()), .ctx_in = &context,
                          .ctx_size_in = sizeof(context), .repeat = 500);
      EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(h.Program("wb_xdp_ingress")), &opts), 0);
    }
  }
  const size_t here_ = static_cast<size_t>(sched_getcpu());
};

// A packet has found the connection; before it has the lock, the slot becomes another connection's.
TEST_F(ConcurrencyTest, PacketUnderWayNeverChangesAnotherConnectionsState) {
  if (std::thread::hardware_concurrency() < 2) FAIL() << "needs two CPUs";
  Timeline t(h, {});
  wb_conn_state& s = t.state();
  struct {
    uint32_t lock, slot;
    uint64_t id;
  } ours = {0, static_cast<uint32_t>(&s - &h.programs().states[0]), s.id}, others = ours;
  ++others.id;
  const wb_conn_key key = s.key;
  const int conns = bpf_map__fd(h.Map("wb_conns"));
  std::atomic_ref window(s.peer_wnd);
  std::atomic<bool> stop = false;
  // With ECE, as a bare acknowledgment may be none of the program's business.
  const support::Segment ack =
      t.FromPeer(0, 0, "", {.flags = support::kAck | support::kEce, .window = 77});
  const Bytes frame = support::PacketBuilder(ack).Build();
  std::thread peer([&] { Send(frame, stop); });
  int changed = 0, came = 0;
  for (int i = 0; i < 20000 && changed == 0; ++i) {
    ASSERT_EQ(bpf_map_update_elem(conns, &key, &others, BPF_EXIST | BPF_F_LOCK), 0);
    window = 5;
    for (int spin = 0; spin < 2000 && window == 5; ++spin) continue;
    changed += window != 5;
    ASSERT_EQ(bpf_map_update_elem(conns, &key, &ours, BPF_EXIST | BPF_F_LOCK), 0);
    for (int spin = 0; spin < 100000 && window == 5; ++spin) continue;
    came += window == 77u << t.options().window_scale;
  }
  stop = true;
  peer.join();
  EXPECT_EQ(changed, 0);
  EXPECT_GT(came, 100) << "packets that count did not come";
}

}  // namespace
}  // namespace wb::bpf_test
