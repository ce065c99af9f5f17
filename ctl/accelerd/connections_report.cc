// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/connections_report.h"

#include <arpa/inet.h>
#include <endian.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/kern/conn_table.h"

namespace wb::accelerd {
namespace {

constexpr uint64_t kSecond = 1000000000;

struct FlagName {
  uint32_t flag;
  const char* name;
};
constexpr FlagName kFlagNames[] = {{WB_CF_BOOSTER, "booster"}, {WB_CF_TS, "timestamps"},
                                   {WB_CF_SACK, "sack"},       {WB_CF_ARMED, "quiescent"},
                                   {WB_CF_ROUTED, "routed"},   {WB_CF_UNSYNCED, "unsynced"},
                                   {WB_CF_CLOSING, "closing"}, {WB_CF_RST, "reset"},
                                   {WB_CF_GONE, "replaced"},   {WB_CF_PROBE_ACK, "ack_wanted"},
                                   {WB_CF_ABORT, "aborting"},  {WB_CF_ASKED, "miss_noted"},
                                   {WB_CF_BULK, "bulk"},       {WB_CF_ECN, "ecn"},
                                   {WB_CF_FIN, "fin"}};

bool Spliced(const wb_conn_state& s) { return (s.d_in | s.d_out) != 0; }

// As inet_ntop has it, which is the form that filters have.
std::string Address(const uint32_t (&be32)[4], uint8_t family) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = family == 4 ? static_cast<const void*>(&be32[3]) : be32;
  inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes, text.data(), text.size());
  return text.data();
}

std::string Endpoint(const uint32_t (&be32)[4], uint16_t port_be16, uint8_t family) {
  const std::string address = Address(be32, family);
  return family == 4 ? absl::StrCat(address, ":", be16toh(port_be16))
                     : absl::StrCat("[", address, "]:", be16toh(port_be16));
}

uint64_t SortKey(const wb_conn_state& s, api::ConnectionSort sort, uint64_t now) {
  switch (sort) {
    case api::ConnectionSort::kHits:
      return s.hits;
    case api::ConnectionSort::kBytes:
      return s.hit_bytes;
    case api::ConnectionSort::kUnacked:
      return kern::OutstandingBytes(s, s.snd_una);
    case api::ConnectionSort::kSrtt:
      return s.srtt_us;
    case api::ConnectionSort::kAge:
      return now - std::min<uint64_t>(now, s.opened_ns);
  }
  return 0;
}

// The filter's address as connections have it. nullopt: any.
std::optional<std::array<uint32_t, 4>> Wanted(const std::string& remote) {
  if (remote.empty()) return std::nullopt;
  std::array<uint32_t, 4> be32 = {0, 0, htobe32(0xffff), 0};
  if (inet_pton(AF_INET, remote.c_str(), &be32[3]) != 1) {
    be32 = {};
    inet_pton(AF_INET6, remote.c_str(), be32.data());
  }
  return be32;
}

void AddBulk(const bulk::Progress& progress, api::ConnectionInfo& c) {
  c.bulk_bytes = progress.bytes;
  c.bulk_acked_bytes = progress.acked;
  c.bulk_retransmits = progress.retransmits;
  c.srtt_us = progress.srtt_ns / 1000;
  c.cwnd_bytes = progress.cwnd * c.mss;
}

api::ConnectionInfo Describe(const wb_conn_state& s, uint64_t now,
                             const std::map<uint32_t, std::string>& interfaces) {
  api::ConnectionInfo c;
  c.remote = Endpoint(s.key.remote_be32, s.key.remote_port_be16, s.family);
  c.local = Endpoint(s.key.local_be32, s.key.local_port_be16, s.family);
  const auto name = interfaces.find(s.ifindex);
  c.interface = name != interfaces.end() ? name->second : absl::StrCat("if", s.ifindex);
  c.age_s = (now - std::min<uint64_t>(now, s.opened_ns)) / kSecond;
  c.hits = s.hits;
  c.bytes = s.hit_bytes;
  c.unacked_bytes = kern::OutstandingBytes(s, s.snd_una);
  c.replies_in_flight = s.flight_count;
  c.srtt_us = s.srtt_us;
  c.cwnd_bytes = s.cwnd;
  c.peer_window_bytes = s.peer_wnd;
  c.mss = s.mss;
  c.d_in = s.d_in;
  c.d_out = s.d_out;
  if (Spliced(s)) c.flags.push_back("spliced");
  for (const FlagName& f : kFlagNames)
    if (s.flags & f.flag) c.flags.push_back(f.name);
  if (s.resp_pending != 0) c.flags.push_back("response_awaited");
  return c;
}

}  // namespace

api::ConnectionList ReportConnections(absl::Span<const wb_conn_state> states, uint64_t now,
                                      const api::ConnectionFilter& filter,
                                      const std::map<uint32_t, std::string>& interfaces,
                                      const std::vector<bulk::Progress>& sending) {
  struct Row {
    uint64_t sort_key;
    uint64_t id;
    size_t slot;
  };
  const auto wanted = Wanted(filter.remote);
  std::map<size_t, const bulk::Progress*> replies;  // by slot
  for (const bulk::Progress& progress : sending) replies[progress.id.slot] = &progress;
  std::vector<Row> rows;
  for (size_t slot = 0; slot < states.size(); slot++) {
    const wb_conn_state& s = states[slot];
    const uint64_t id = __atomic_load_n(&s.id, __ATOMIC_ACQUIRE);
    if (id == 0 || s.closed_ns != 0 || (filter.spliced && !Spliced(s))) continue;
    if (wanted && !std::equal(wanted->begin(), wanted->end(), s.key.remote_be32)) continue;
    rows.push_back({SortKey(s, filter.sort, now), id, slot});
  }
  api::ConnectionList list;
  list.total = rows.size();
  const auto end = rows.begin() + static_cast<long>(std::min<size_t>(filter.limit, rows.size()));
  std::partial_sort(rows.begin(), end, rows.end(), [](const Row& a, const Row& b) {
    return a.sort_key != b.sort_key ? a.sort_key > b.sort_key : a.slot < b.slot;
  });
  for (auto row = rows.begin(); row != end; ++row) {
    const wb_conn_state copy = states[row->slot];
    // Another's by now, while it was copied or before.
    if (copy.id != row->id || __atomic_load_n(&states[row->slot].id, __ATOMIC_ACQUIRE) != row->id)
      continue;
    list.connections.push_back(Describe(copy, now, interfaces));
    const auto reply = replies.find(row->slot);
    if (reply != replies.end() && reply->second->id.id == copy.id)
      AddBulk(*reply->second, list.connections.back());
  }
  return list;
}

}  // namespace wb::accelerd
