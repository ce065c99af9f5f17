// SPDX-License-Identifier: Apache-2.0
// The director's program, one packet at a time (BPF_PROG_TEST_RUN), in a network namespace of the
// test program's own whose neighbours are entered by hand. Nothing is attached. Each test over IPv4
// and over IPv6.
#ifndef WEBBOOSTER_TESTS_BPF_DIRECTOR_FIXTURE_H_
#define WEBBOOSTER_TESTS_BPF_DIRECTOR_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "booster/director/director.h"
#include "tests/support/packet.h"

namespace wb::director {

using support::Bytes;
using support::Segment;

inline constexpr uint32_t kDomain = 7;
inline constexpr uint16_t kPort = 80;
inline constexpr uint16_t kClientPort = 40000;
inline constexpr uint32_t kIsn = 0xfffffff0;  // soon beyond 2^32
inline constexpr uint32_t kMtu = 1500;
inline constexpr uint32_t kFlows = 1024;
inline constexpr uint32_t kPending = 512;

class DirectorTest : public testing::TestWithParam<bool> {
 protected:
  static void SetUpTestSuite();
  DirectorTest();
  ~DirectorTest() override;

  bool v6() const { return GetParam(); }
  // 198.18.0.x or fd00::x. Neighbours: 11 to 26, of MAC address 02:00:00:00:00:x.
  std::string Host(int x, bool v6) const;
  std::string Host(int x) const { return Host(x, v6()); }
  SocketAddress At(int x, bool v6) const;
  SocketAddress At(int x) const { return At(x, v6()); }
  Target Origin(int n, Encapsulation e = Encapsulation::kL2) const;  // n from 1
  Target Booster(int n) const;                                       // by tunnel; n from 1
  Service TheService(std::vector<Target> origins) const;
  // Replaces the process: the director is destroyed and loaded again.
  void Restart(std::chrono::nanoseconds lease = std::chrono::hours(1), uint32_t seed = 5);
  void Boost() { director->SetMode(kDomain, Mode::kBoosted); }
  void Calm() { director->SetMode(kDomain, Mode::kCalm); }

  // Of the client at kClientPort to the service.
  Segment Syn(uint32_t isn = kIsn, uint16_t port = kClientPort) const;
  Segment Ack(uint32_t isn = kIsn, uint16_t port = kClientPort) const;
  Segment With(uint8_t flags, uint32_t isn = kIsn, uint16_t port = kClientPort) const;

  // Where the frame went, and what was counted: "origin1: new_origin". Whether the frame that
  // leaves is right to the last byte is part of it. "passed" leaves it as it was.
  std::string Send(const Bytes& frame);
  std::string Send(const Segment& segment);
  // The same for the inner packet of a tunnel from the neighbour x.
  std::string SendTunnelled(int x, const Segment& segment, uint8_t outer_class = 0);
  Bytes Tunnelled(int x, const Bytes& inner, uint8_t outer_class = 0) const;
  // SYN and ACK of a new connection; both have to go to the same place, which is returned.
  std::string Connect(uint16_t port, uint32_t isn = kIsn);

  struct Ran {
    uint32_t verdict = 0;
    Bytes frame;
  };
  Ran Run(const Bytes& frame);
  std::string Counted();  // since the last call
  std::string Whither(const Bytes& before, const Ran& ran) const;
  int Map(const char* name) const;
  size_t Entries(const char* name) const;
  // What is written to the entry of a flow behind the program's back.
  void Alter(const Segment& of, const std::function<void(wb_flow&)>& change);

  std::string pin_dir_;
  std::unique_ptr<Director> director;
  std::vector<Counts> counted_;
};

}  // namespace wb::director

#endif  // WEBBOOSTER_TESTS_BPF_DIRECTOR_FIXTURE_H_
