// SPDX-License-Identifier: Apache-2.0
// Timelines of the splice (ARCHITECTURE.md, "The splice"), each from several starting points, the wrap of the sequence
// numbers at 2^32 among them.
#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

// Where the numbers of both sides begin.
struct Start {
  uint32_t us0, peer0;
};

class SpliceTest : public BpfTest, public testing::WithParamInterface<Start> {
 protected:
  ConnOptions Conn() const {
    ConnOptions o;
    o.us0 = GetParam().us0;
    o.peer0 = GetParam().peer0;
    return o;
  }
};

INSTANTIATE_TEST_SUITE_P(Starts, SpliceTest,
                         testing::Values(Start{1000000, 5000000}, Start{0xffffffc0, 0xfffffff0},
                                         Start{0x7fffff80, 0x7fffffd0}, Start{0xfffffc00, 10}));

TEST_P(SpliceTest, HitIsAnsweredWithTheCachedBytes) {
  const Object o = h.Publish("/a", {.body = 3000});
  Timeline t(h, Conn());
  const std::string r = Get("/a");
  t.In(0, 0, r).Answered(0, {o.get}, 0, static_cast<uint32_t>(r.size()));
}

}  // namespace
}  // namespace wb::bpf_test
