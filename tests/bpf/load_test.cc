// SPDX-License-Identifier: Apache-2.0
// What holds of the loaded programs as such: the verifier's effort stays below a ceiling (PITFALLS
// 32), the names fit the kernel, and the structs of include/webbooster/abi lie in BPF as they do
// here.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <cstddef>

#include "booster/link/ack_thinning.h"
#include "tests/bpf/harness.h"
#include "webbooster.skel.h"
#include "webbooster/abi/bulk.h"
// Names the structs above.
#include "tc_ackthin.skel.h"

namespace wb::bpf_test {
namespace {

class LoadTest : public BpfTest {};

// Returns how many programs the object has.
size_t ExpectBelow(bpf_object* object, const std::map<std::string, uint32_t>& ceilings) {
  size_t programs = 0;
  bpf_program* p = nullptr;
  bpf_object__for_each_program(p, object) {
    const std::string name = bpf_program__name(p);
    SCOPED_TRACE(name);
    ++programs;
    EXPECT_TRUE(ceilings.contains(name)) << "a new program needs a ceiling";
    if (!ceilings.contains(name)) continue;
    bpf_prog_info info = {};
    uint32_t len = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
    testing::Test::RecordProperty(name, static_cast<int>(info.verified_insns));
    EXPECT_GT(info.verified_insns, 0u);
    EXPECT_LT(info.verified_insns, ceilings.at(name));
    EXPECT_EQ(name, info.name) << "truncated by the kernel";
  }
  return programs;
}

TEST_F(LoadTest, VerifierProcessesFewerInstructionsThanTheCeiling) {
  const std::map<std::string, uint32_t> ceilings = {
      {"wb_xdp_ingress", 280000}, {"wb_tc_egress", 200000}, {"wb_tc_ingress", 20000},
      {"wb_xdp_segment", 4000},   {"wb_xdp_prove", 4000},   {"wb_xdp_admit", 8000},
      {"wb_xdp_timer", 60000},    {"wb_sockops", 10000}};
  EXPECT_EQ(ExpectBelow(h.programs().skeleton()->obj, ceilings), ceilings.size());
}

struct Member {
  const char* name;
  size_t offset, size;
};

void ExpectLayout(const btf* types, const char* name, size_t size,
                  const std::vector<Member>& members) {
  SCOPED_TRACE(name);
  const int id = btf__find_by_name_kind(types, name, BTF_KIND_STRUCT);
  ASSERT_GT(id, 0);
  const btf_type* type = btf__type_by_id(types, static_cast<uint32_t>(id));
  EXPECT_EQ(type->size, size);
  ASSERT_EQ(btf_vlen(type), members.size()) << "every member is compared";
  const btf_member* m = btf_members(type);
  for (size_t i = 0; i < members.size(); ++i) {
    EXPECT_STREQ(btf__name_by_offset(types, m[i].name_off), members[i].name);
    EXPECT_EQ(btf_member_bit_offset(type, static_cast<uint32_t>(i)), members[i].offset * 8)
        << members[i].name;
    EXPECT_EQ(btf__resolve_size(types, m[i].type), static_cast<int64_t>(members[i].size))
        << members[i].name;
  }
}

#define M(s, m) \
  Member { #m, offsetof(s, m), sizeof(s::m) }

// wb_order and wb_tap_packet are no map's value and so not in the object's BTF; RepairTest and
// ObserveTest see them.
TEST_F(LoadTest, SharedStructsLieTheSameInBothLanguages) {
  const btf* types = bpf_object__btf(h.programs().skeleton()->obj);
  ASSERT_NE(types, nullptr);
  using K = wb_conn_key;
  ExpectLayout(
      types, "wb_conn_key", sizeof(K),
      {M(K, remote_be32), M(K, local_be32), M(K, remote_port_be16), M(K, local_port_be16)});
  using F = wb_flight;
  ExpectLayout(types, "wb_flight", sizeof(F),
               {M(F, wire_seq), M(F, len), M(F, variant), M(F, variant_gen), M(F, req_end),
                M(F, second), M(F, req_len), M(F, kind), M(F, pad)});
  using S = wb_conn_state;
  ExpectLayout(types, "wb_conn_state", sizeof(S),
               {M(S, id),           M(S, key),          M(S, flags),          M(S, opened_ns),
                M(S, closed_ns),    M(S, last_send_ns), M(S, last_kernel_ns), M(S, d_in),
                M(S, d_out),        M(S, k_snd_nxt),    M(S, k_snd_una),      M(S, k_rcv_nxt),
                M(S, k_passed_end), M(S, k_floor),      M(S, snd_una),        M(S, peer_wnd),
                M(S, cwnd),         M(S, rtx_high),     M(S, ts_recent),      M(S, ts_offset),
                M(S, srtt_us),      M(S, rtx_ns),       M(S, rtt_seq),        M(S, resp_left),
                M(S, rtt_ns),       M(S, hits),         M(S, hit_bytes),      M(S, ifindex),
                M(S, req_left),     M(S, resp_cut),     M(S, window_be16),    M(S, mss),
                M(S, snd_wscale),   M(S, rcv_wscale),   M(S, seg_class),      M(S, family),
                M(S, resp_state),   M(S, resp_pending), M(S, dup_acks),       M(S, flight_count),
                M(S, flight_head),  M(S, if_slot),      M(S, resp_head_mask), M(S, mac_peer),
                M(S, mac_self),     M(S, pad),          M(S, bulk),           M(S, bulk_sent),
                M(S, flights)});
  using G = wb_settings;
  ExpectLayout(types, "wb_settings", sizeof(G),
               {M(G, netns_cookie), M(G, banks), M(G, variants), M(G, max_connections),
                M(G, initial_window), M(G, max_cwnd_bytes), M(G, seg_size)});
  using C = wb_control;
  ExpectLayout(
      types, "wb_control", sizeof(C),
      {M(C, heartbeat_ns), M(C, second_start_ns), M(C, second), M(C, mode), M(C, lease_ns),
       M(C, keepalive_refresh_ns), M(C, drain), M(C, partial_checksums), M(C, shadow), M(C, bulk),
       M(C, bulk_heartbeat_ns), M(C, bulk_awake), M(C, log_sample), M(C, tap)});
  using B = wb_bulk;
  ExpectLayout(types, "wb_bulk", sizeof(B),
               {M(B, serial), M(B, start), M(B, end), M(B, variant), M(B, variant_gen),
                M(B, second), M(B, first), M(B, bytes)});
  using Event = wb_bulk_event;
  ExpectLayout(types, "wb_bulk_event", sizeof(Event),
               {M(Event, id), M(Event, slot), M(Event, serial), M(Event, ack), M(Event, seq),
                M(Event, ts_echo), M(Event, sack), M(Event, window), M(Event, kind),
                M(Event, flags), M(Event, sack_n), M(Event, pad)});
  using Tap = wb_tap_filter;
  ExpectLayout(types, "wb_tap_filter", sizeof(Tap),
               {M(Tap, until_ns), M(Tap, snaplen), M(Tap, domain), M(Tap, peer_be32),
                M(Tap, port_be16), M(Tap, pad)});
  using Hit = wb_hit;
  ExpectLayout(types, "wb_hit", sizeof(Hit),
               {M(Hit, key), M(Hit, second), M(Hit, parts), M(Hit, chosen), M(Hit, text_len),
                M(Hit, part), M(Hit, text)});
  using Part = wb_hit_part;
  ExpectLayout(types, "wb_hit_part", sizeof(Part),
               {M(Part, bytes), M(Part, header_len), M(Part, kind), M(Part, pad)});
  using D = wb_date;
  ExpectLayout(types, "wb_date", sizeof(D),
               {M(D, second), M(D, sum_even), M(D, sum_odd), M(D, text)});
  using L = wb_ledger;
  ExpectLayout(
      types, "wb_ledger", sizeof(L),
      {M(L, seal), M(L, proof), M(L, admitted_ns), M(L, bank), M(L, off), M(L, len), M(L, bytes)});
  using E = wb_domain;
  ExpectLayout(types, "wb_domain", sizeof(E), {M(E, gen), M(E, flags)});
  using N = wb_domain_stats;
  ExpectLayout(
      types, "wb_domain_stats", sizeof(N),
      {M(N, hits), M(N, hits_keyed), M(N, hits_not_modified), M(N, hits_head), M(N, bytes),
       M(N, segments), M(N, misses), M(N, shadow_hits), M(N, shadow_bytes), M(N, shadow_segments)});
  using P = wb_path_key;
  ExpectLayout(types, "wb_path_key", sizeof(P), {M(P, domain), M(P, len), M(P, target)});
  using Q = wb_path;
  ExpectLayout(types, "wb_path", sizeof(Q), {M(Q, variant), M(Q, flags), M(Q, retry_ns)});
  using R = wb_part;
  ExpectLayout(types, "wb_part", sizeof(R),
               {M(R, bank), M(R, off), M(R, len), M(R, date_off), M(R, header_len), M(R, nseg),
                M(R, sum_index)});
  using V = wb_variant;
  ExpectLayout(types, "wb_variant", sizeof(V),
               {M(V, gen), M(V, flags), M(V, domain), M(V, domain_gen), M(V, expires_ns),
                M(V, hits), M(V, fresh_ns), M(V, generation_n), M(V, pad0), M(V, generation),
                M(V, part), M(V, etag_len), M(V, last_modified_len), M(V, etag),
                M(V, last_modified), M(V, range_header_len), M(V, pad)});
  using X = wb_miss;
  ExpectLayout(types, "wb_miss", sizeof(X),
               {M(X, domain), M(X, target_len), M(X, target), M(X, encoding), M(X, pad)});
  using H = wb_host_key;
  ExpectLayout(types, "wb_host_key", sizeof(H), {M(H, host), M(H, port_be16), M(H, pad)});
  using A = wb_encoding_key;
  ExpectLayout(types, "wb_encoding_key", sizeof(A), {M(A, value)});
}

TEST_F(LoadTest, TheBoostersProgramThatThinsAcks) {
  auto thinning = link::AckThinning::Load();
  ASSERT_TRUE(thinning.ok()) << thinning.status();
  EXPECT_EQ(ExpectBelow((*thinning)->skeleton().obj, {{"wb_tc_ackthin", 4000}}), 1u);
  const btf* types = bpf_object__btf((*thinning)->skeleton().obj);
  using T = wb_thin;
  ExpectLayout(types, "wb_thin", sizeof(T),
               {M(T, lock), M(T, flags), M(T, ack), M(T, seen), M(T, slow_left), M(T, window),
                M(T, rcv_wscale), M(T, frame_len), M(T, ack_ns), M(T, held_ns), M(T, ifindex),
                M(T, l4_off), M(T, frame)});
  using C = wb_thin_settings;
  ExpectLayout(types, "wb_thin_settings", sizeof(C),
               {M(C, hold_ns), M(C, slow_start_bytes), M(C, most_bytes)});
}

#undef M

}  // namespace
}  // namespace wb::bpf_test
