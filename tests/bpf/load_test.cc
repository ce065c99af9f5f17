// SPDX-License-Identifier: Apache-2.0
// What holds of the loaded programs as such: the verifier's effort stays below a ceiling (PITFALLS
// 32), the names fit the kernel, and the structs of include/webbooster/abi lie in BPF as they do
// here.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <cstddef>

#include "booster/link/ack_thinning.h"
#include "tests/bpf/expect_load.h"
#include "tests/bpf/harness.h"
#include "webbooster.skel.h"
#include "webbooster/abi/bulk.h"
// Names the structs above.
#include "tc_ackthin.skel.h"

namespace wb::bpf_test {
namespace {

class LoadTest : public BpfTest {};

TEST_F(LoadTest, VerifierProcessesFewerInstructionsThanTheCeiling) {
  const std::map<std::string, uint32_t> ceilings = {
      {"wb_xdp_ingress", 280000}, {"wb_tc_egress", 200000}, {"wb_tc_ingress", 20000},
      {"wb_xdp_segment", 4000},   {"wb_xdp_prove", 4000},   {"wb_xdp_admit", 8000},
      {"wb_xdp_timer", 60000},    {"wb_sockops", 10000}};
  EXPECT_EQ(ExpectBelow(h.programs().skeleton()->obj, ceilings), ceilings.size());
}

// wb_order and wb_tap_packet are no map's value and so not in the object's BTF; RepairTest and
// ObserveTest see them.
TEST_F(LoadTest, SharedStructsLieTheSameInBothLanguages) {
  const btf* types = bpf_object__btf(h.programs().skeleton()->obj);
  ASSERT_NE(types, nullptr);
  using K = wb_conn_key;
  ExpectLayout(types, "wb_conn_key", sizeof(K),
               {WB_M(K, remote_be32), WB_M(K, local_be32), WB_M(K, remote_port_be16),
                WB_M(K, local_port_be16)});
  using F = wb_flight;
  ExpectLayout(types, "wb_flight", sizeof(F),
               {WB_M(F, wire_seq), WB_M(F, len), WB_M(F, variant), WB_M(F, variant_gen),
                WB_M(F, req_end), WB_M(F, second), WB_M(F, req_len), WB_M(F, kind), WB_M(F, pad)});
  using S = wb_conn_state;
  ExpectLayout(
      types, "wb_conn_state", sizeof(S),
      {WB_M(S, id),           WB_M(S, key),          WB_M(S, flags),          WB_M(S, opened_ns),
       WB_M(S, closed_ns),    WB_M(S, last_send_ns), WB_M(S, last_kernel_ns), WB_M(S, d_in),
       WB_M(S, d_out),        WB_M(S, k_snd_nxt),    WB_M(S, k_snd_una),      WB_M(S, k_rcv_nxt),
       WB_M(S, k_passed_end), WB_M(S, k_floor),      WB_M(S, snd_una),        WB_M(S, peer_wnd),
       WB_M(S, cwnd),         WB_M(S, rtx_high),     WB_M(S, ts_recent),      WB_M(S, ts_offset),
       WB_M(S, srtt_us),      WB_M(S, rtx_ns),       WB_M(S, rtt_seq),        WB_M(S, resp_left),
       WB_M(S, rtt_ns),       WB_M(S, hits),         WB_M(S, hit_bytes),      WB_M(S, ifindex),
       WB_M(S, req_left),     WB_M(S, resp_cut),     WB_M(S, window_be16),    WB_M(S, mss),
       WB_M(S, snd_wscale),   WB_M(S, rcv_wscale),   WB_M(S, seg_class),      WB_M(S, family),
       WB_M(S, resp_state),   WB_M(S, resp_pending), WB_M(S, dup_acks),       WB_M(S, flight_count),
       WB_M(S, flight_head),  WB_M(S, if_slot),      WB_M(S, resp_head_mask), WB_M(S, mac_peer),
       WB_M(S, mac_self),     WB_M(S, pad),          WB_M(S, bulk),           WB_M(S, bulk_sent),
       WB_M(S, flights)});
  using G = wb_settings;
  ExpectLayout(types, "wb_settings", sizeof(G),
               {WB_M(G, netns_cookie), WB_M(G, banks), WB_M(G, variants), WB_M(G, max_connections),
                WB_M(G, initial_window), WB_M(G, max_cwnd_bytes), WB_M(G, seg_size)});
  using C = wb_control;
  ExpectLayout(
      types, "wb_control", sizeof(C),
      {WB_M(C, heartbeat_ns), WB_M(C, second_start_ns), WB_M(C, second), WB_M(C, mode),
       WB_M(C, lease_ns), WB_M(C, keepalive_refresh_ns), WB_M(C, drain), WB_M(C, partial_checksums),
       WB_M(C, shadow), WB_M(C, bulk), WB_M(C, bulk_heartbeat_ns), WB_M(C, bulk_awake),
       WB_M(C, log_sample), WB_M(C, tap)});
  using B = wb_bulk;
  ExpectLayout(types, "wb_bulk", sizeof(B),
               {WB_M(B, serial), WB_M(B, start), WB_M(B, end), WB_M(B, variant),
                WB_M(B, variant_gen), WB_M(B, second), WB_M(B, first), WB_M(B, bytes)});
  using Event = wb_bulk_event;
  ExpectLayout(types, "wb_bulk_event", sizeof(Event),
               {WB_M(Event, id), WB_M(Event, slot), WB_M(Event, serial), WB_M(Event, ack),
                WB_M(Event, seq), WB_M(Event, ts_echo), WB_M(Event, sack), WB_M(Event, window),
                WB_M(Event, kind), WB_M(Event, flags), WB_M(Event, sack_n), WB_M(Event, pad)});
  using Tap = wb_tap_filter;
  ExpectLayout(types, "wb_tap_filter", sizeof(Tap),
               {WB_M(Tap, until_ns), WB_M(Tap, snaplen), WB_M(Tap, domain), WB_M(Tap, peer_be32),
                WB_M(Tap, port_be16), WB_M(Tap, pad)});
  using Hit = wb_hit;
  ExpectLayout(types, "wb_hit", sizeof(Hit),
               {WB_M(Hit, key), WB_M(Hit, second), WB_M(Hit, parts), WB_M(Hit, chosen),
                WB_M(Hit, text_len), WB_M(Hit, part), WB_M(Hit, text)});
  using Part = wb_hit_part;
  ExpectLayout(types, "wb_hit_part", sizeof(Part),
               {WB_M(Part, bytes), WB_M(Part, header_len), WB_M(Part, kind), WB_M(Part, pad)});
  using D = wb_date;
  ExpectLayout(types, "wb_date", sizeof(D),
               {WB_M(D, second), WB_M(D, sum_even), WB_M(D, sum_odd), WB_M(D, text)});
  using L = wb_ledger;
  ExpectLayout(types, "wb_ledger", sizeof(L),
               {WB_M(L, seal), WB_M(L, proof), WB_M(L, admitted_ns), WB_M(L, bank), WB_M(L, off),
                WB_M(L, len), WB_M(L, bytes)});
  using E = wb_domain;
  ExpectLayout(types, "wb_domain", sizeof(E), {WB_M(E, gen), WB_M(E, flags)});
  using N = wb_domain_stats;
  ExpectLayout(types, "wb_domain_stats", sizeof(N),
               {WB_M(N, hits), WB_M(N, hits_keyed), WB_M(N, hits_not_modified), WB_M(N, hits_head),
                WB_M(N, bytes), WB_M(N, segments), WB_M(N, misses), WB_M(N, shadow_hits),
                WB_M(N, shadow_bytes), WB_M(N, shadow_segments)});
  using P = wb_path_key;
  ExpectLayout(types, "wb_path_key", sizeof(P), {WB_M(P, domain), WB_M(P, len), WB_M(P, target)});
  using Q = wb_path;
  ExpectLayout(types, "wb_path", sizeof(Q), {WB_M(Q, variant), WB_M(Q, flags), WB_M(Q, retry_ns)});
  using R = wb_part;
  ExpectLayout(types, "wb_part", sizeof(R),
               {WB_M(R, bank), WB_M(R, off), WB_M(R, len), WB_M(R, date_off), WB_M(R, header_len),
                WB_M(R, nseg), WB_M(R, sum_index)});
  using V = wb_variant;
  ExpectLayout(
      types, "wb_variant", sizeof(V),
      {WB_M(V, gen), WB_M(V, flags), WB_M(V, domain), WB_M(V, domain_gen), WB_M(V, expires_ns),
       WB_M(V, hits), WB_M(V, fresh_ns), WB_M(V, generation_n), WB_M(V, pad0), WB_M(V, generation),
       WB_M(V, part), WB_M(V, etag_len), WB_M(V, last_modified_len), WB_M(V, etag),
       WB_M(V, last_modified), WB_M(V, range_header_len), WB_M(V, pad)});
  using X = wb_miss;
  ExpectLayout(
      types, "wb_miss", sizeof(X),
      {WB_M(X, domain), WB_M(X, target_len), WB_M(X, target), WB_M(X, encoding), WB_M(X, pad)});
  using H = wb_host_key;
  ExpectLayout(types, "wb_host_key", sizeof(H), {WB_M(H, host), WB_M(H, port_be16), WB_M(H, pad)});
  using A = wb_encoding_key;
  ExpectLayout(types, "wb_encoding_key", sizeof(A), {WB_M(A, value)});
}

TEST_F(LoadTest, TheBoostersProgramThatThinsAcks) {
  auto thinning = link::AckThinning::Load();
  ASSERT_TRUE(thinning.ok()) << thinning.status();
  EXPECT_EQ(ExpectBelow((*thinning)->skeleton().obj, {{"wb_tc_ackthin", 4000}}), 1u);
  const btf* types = bpf_object__btf((*thinning)->skeleton().obj);
  using T = wb_thin;
  ExpectLayout(types, "wb_thin", sizeof(T),
               {WB_M(T, lock), WB_M(T, flags), WB_M(T, ack), WB_M(T, seen), WB_M(T, slow_left),
                WB_M(T, window), WB_M(T, rcv_wscale), WB_M(T, frame_len), WB_M(T, ack_ns),
                WB_M(T, held_ns), WB_M(T, ifindex), WB_M(T, l4_off), WB_M(T, frame)});
  using C = wb_thin_settings;
  ExpectLayout(types, "wb_thin_settings", sizeof(C),
               {WB_M(C, hold_ns), WB_M(C, slow_start_bytes), WB_M(C, most_bytes)});
}

}  // namespace
}  // namespace wb::bpf_test
