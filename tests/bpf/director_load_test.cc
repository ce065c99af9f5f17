// SPDX-License-Identifier: Apache-2.0
// What holds of the director's program as such.
#include "tests/bpf/director_fixture.h"
#include "tests/bpf/expect_load.h"
#include "webbooster/abi/control.h"
// Names the structs above.
#include "xdp_director.skel.h"

namespace wb::director {
namespace {

using bpf_test::ExpectBelow;
using bpf_test::ExpectLayout;

class DirectorLoadTest : public DirectorTest {};

INSTANTIATE_TEST_SUITE_P(Once, DirectorLoadTest, testing::Values(false));

TEST_P(DirectorLoadTest, TheVerifiersEffortHasACeiling) {
  EXPECT_EQ(ExpectBelow(director->skeleton()->obj, {{"wb_xdp_director", 60000}}), 1u);
}

TEST_P(DirectorLoadTest, SharedStructsLieTheSameInBothLanguages) {
  const btf* types = bpf_object__btf(director->skeleton()->obj);
  using T = wb_target;
  ExpectLayout(types, "wb_target", sizeof(T),
               {WB_M(T, address_be32), WB_M(T, source_be32), WB_M(T, ifindex), WB_M(T, id),
                WB_M(T, mtu), WB_M(T, mac_destination), WB_M(T, mac_source), WB_M(T, kind),
                WB_M(T, flags), WB_M(T, tunnel), WB_M(T, pad)});
  using K = wb_service_key;
  ExpectLayout(types, "wb_service_key", sizeof(K),
               {WB_M(K, vip_be32), WB_M(K, port_be16), WB_M(K, pad)});
  using A = wb_candidates;
  ExpectLayout(types, "wb_candidates", sizeof(A), {WB_M(A, target), WB_M(A, count)});
  using S = wb_service;
  ExpectLayout(types, "wb_service", sizeof(S), {WB_M(S, domain), WB_M(S, origins)});
  using F = wb_flow;
  ExpectLayout(types, "wb_flow", sizeof(F),
               {WB_M(F, isn), WB_M(F, seen), WB_M(F, target), WB_M(F, domain), WB_M(F, flags)});
  using P = wb_pending;
  ExpectLayout(types, "wb_pending", sizeof(P), {WB_M(P, isn), WB_M(P, target), WB_M(P, domain)});
  using G = wb_fragment_key;
  ExpectLayout(types, "wb_fragment_key", sizeof(G),
               {WB_M(G, source_be32), WB_M(G, destination_be32), WB_M(G, id)});
  using H = wb_fragment;
  ExpectLayout(types, "wb_fragment", sizeof(H), {WB_M(H, seen), WB_M(H, target), WB_M(H, domain)});
  using D = wb_domain_mode;
  ExpectLayout(types, "wb_domain_mode", sizeof(D), {WB_M(D, mode), WB_M(D, pad)});
  using C = wb_director_control;
  ExpectLayout(types, "wb_director_control", sizeof(C),
               {WB_M(C, heartbeat_ns), WB_M(C, lease_ns), WB_M(C, boosters), WB_M(C, seed)});
  using N = wb_director_counts;
  ExpectLayout(types, "wb_director_counts", sizeof(N), {WB_M(N, packets)});
  using E = wb_peer_key;
  ExpectLayout(types, "wb_peer_key", sizeof(E), {WB_M(E, address_be32)});
}

}  // namespace
}  // namespace wb::director
