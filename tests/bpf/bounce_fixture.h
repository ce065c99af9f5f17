// SPDX-License-Identifier: Apache-2.0
// The bounce's program, one packet at a time (BPF_PROG_TEST_RUN). Nothing is attached; the booster
// is reached by the loopback device, so that what is sent to it is XDP_TX (needs root). Each test
// over IPv4 and over IPv6.
#ifndef WEBBOOSTER_TESTS_BPF_BOUNCE_FIXTURE_H_
#define WEBBOOSTER_TESTS_BPF_BOUNCE_FIXTURE_H_

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <array>
#include <map>
#include <memory>
#include <string>

#include "ctl/kern/bounce.h"
#include "tests/support/packet.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {

using support::Bytes;
using support::Segment;

inline constexpr uint32_t kMtu = 1500;
inline constexpr uint32_t kOn = XDP_PASS;

IpAddress Ip(const support::Address& a);
support::Address Vip(bool v6);
support::Address Origin(bool v6);

class BounceTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override;
  void TearDown() override;
  // a.test at the ports 80 and 443 of the VIP, b.test at 8080.
  Bounce::Options Options();
  void Load() { Load(Options()); }
  void Load(const Bounce::Options& options);
  absl::Status Say(link::BounceMode a, link::BounceMode b = link::BounceMode::kCalm);

  // Of the client to a.test.
  Segment From(uint8_t flags, uint32_t seq = 1000);
  struct Ran {
    uint32_t verdict;
    Bytes frame;
  };
  Ran Run(const Bytes& frame);
  Ran Run(const Segment& s);
  // What was counted since the last call.
  std::map<std::string, uint64_t> Counted();
  // To XDP ingress, untouched. Without a reason nothing is counted.
  void ExpectOn(const Bytes& frame, const char* reason);
  void ExpectOn(const Segment& s, const char* reason);
  // To the booster, whole, in a tunnel.
  void ExpectBounced(const Bytes& frame, const char* reason);
  void ExpectBounced(const Segment& s, const char* reason);

  const std::string dir_ = "/sys/fs/bpf/wb-bounce-test-" + std::to_string(getpid());
  const base::UniqueFd next_;
  absl::StatusOr<NextHop> hop_;
  std::unique_ptr<Bounce> bounce_;
  std::array<uint64_t, WB_B_COUNT> before_ = {};

  BounceTest();
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_TESTS_BPF_BOUNCE_FIXTURE_H_
