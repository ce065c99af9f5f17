// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/prover.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include <atomic>
#include <cstring>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "webbooster.skel.h"
#include "webbooster/abi/proof.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

using cache::TemplateSource;
using Bytes = std::span<const uint8_t>;

constexpr uint32_t kSeq = 0xfffffc00;  // wraps within the response
constexpr uint32_t kAckOld = 1000, kAckNew = 1200;
constexpr uint16_t kWindow = 501, kLocalPort = 80, kRemotePort = 40000;
constexpr size_t kTimestampBytes = 12;

// The largest packets behind Ethernet for which there are size classes (limits.h: WB_SEG_MAX).
constexpr size_t kPacketMax = WB_SEG_MAX + sizeof(iphdr) + sizeof(tcphdr);

size_t PacketBytes(const wb_proof& order) {
  return kern::kSegmentSizes[order.cls] + sizeof(tcphdr) +
         (order.family == 4 ? sizeof(iphdr) : sizeof(ip6_hdr)) +
         (order.has_ts ? kTimestampBytes : 0);
}

wb_proof MakeOrder(uint32_t slot, uint32_t kind, uint32_t cls, uint32_t second) {
  wb_proof order = {};
  order.magic = WB_PROOF_MAGIC;
  order.variant = slot;
  order.kind = kind;
  order.cls = cls;
  order.second = second;
  order.seq = kSeq;
  order.ack_old = kAckOld;
  order.ack_new = kAckNew;
  order.window_be16 = htons(kWindow);
  // Both families, with timestamps and without, over the classes; what is too large for a frame is
  // never sent.
  order.family = cls % 2 == 0 ? 4 : 6;
  order.has_ts = cls / 2 % 2 == 0;
  if (PacketBytes(order) > kPacketMax) order.has_ts = 0;
  if (PacketBytes(order) > kPacketMax) order.family = 4;
  const bool v4 = order.family == 4;
  for (auto* address : {order.key.remote_be32, order.key.local_be32}) {
    address[0] = v4 ? 0 : htonl(0xfd000000);
    address[2] = v4 ? htonl(0xffff) : 0;
  }
  order.key.remote_be32[3] = htonl(0xc6120001);
  order.key.local_be32[3] = htonl(0xc6120102);
  order.key.remote_port_be16 = htons(kRemotePort);
  order.key.local_port_be16 = htons(kLocalPort);
  return order;
}

// RFC 1071, byte by byte: not the way in which the templates' sums are made.
uint32_t SumBytes(Bytes bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); i++) sum += i % 2 == 0 ? bytes[i] << 8u : bytes[i];
  return sum;
}
bool SumHolds(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

// The TCP segment in the frame, its IP header examined; empty: that is wrong.
Bytes TcpOf(Bytes frame, const wb_proof& order) {
  const Bytes packet = frame.subspan(ETH_HLEN);
  uint32_t pseudo = IPPROTO_TCP;
  size_t header;
  if (order.family == 4) {
    header = sizeof(iphdr);
    if (packet.size() < header || frame[12] != 8 || frame[13] != 0) return {};
    iphdr ip;
    memcpy(&ip, packet.data(), header);
    if (ip.version != 4 || ip.ihl != 5 || ntohs(ip.tot_len) != packet.size() || ip.ttl == 0 ||
        ip.protocol != IPPROTO_TCP || !SumHolds(SumBytes(packet.first(header))) ||
        ip.saddr != order.key.local_be32[3] || ip.daddr != order.key.remote_be32[3])
      return {};
    pseudo = SumBytes(packet.subspan(12, 8), pseudo);
  } else {
    header = sizeof(ip6_hdr);
    if (packet.size() < header || frame[12] != 0x86 || frame[13] != 0xdd) return {};
    ip6_hdr ip;
    memcpy(&ip, packet.data(), header);
    if ((ip.ip6_vfc >> 4) != 6 || ntohs(ip.ip6_plen) != packet.size() - header ||
        ip.ip6_nxt != IPPROTO_TCP || memcmp(&ip.ip6_src, order.key.local_be32, 16) != 0 ||
        memcmp(&ip.ip6_dst, order.key.remote_be32, 16) != 0)
      return {};
    pseudo = SumBytes(packet.subspan(8, 32), pseudo);
  }
  const Bytes tcp = packet.subspan(header);
  pseudo += static_cast<uint32_t>(tcp.size());
  return tcp.size() >= sizeof(tcphdr) && SumHolds(SumBytes(tcp, pseudo)) ? tcp : Bytes();
}

// Appends the segment's payload. What is wrong with it, or "".
std::string_view Take(Bytes frame, const wb_proof& order, size_t segments, std::string& payload) {
  const Bytes tcp = TcpOf(frame, order);
  if (tcp.empty()) return "IP header or checksum";
  tcphdr header;
  memcpy(&header, tcp.data(), sizeof(header));
  const size_t bytes = header.doff * 4u;
  if (bytes != sizeof(header) + (order.has_ts ? kTimestampBytes : 0) || bytes >= tcp.size())
    return "length of the TCP header";
  const bool last = order.segment + 1 == segments;
  if (header.source != order.key.local_port_be16 || header.dest != order.key.remote_port_be16)
    return "port";
  if (ntohl(header.seq) != static_cast<uint32_t>(kSeq + payload.size())) return "sequence number";
  if (ntohl(header.ack_seq) != (last ? kAckNew : kAckOld)) return "acknowledgment";
  if (tcp[13] != (last ? 0x18 : 0x10) || header.window != order.window_be16 || header.urg_ptr)
    return "flags or window";
  payload.append(reinterpret_cast<const char*>(&tcp[bytes]), tcp.size() - bytes);
  return "";
}

bool Same(const std::string& made, const TemplateSource& source, uint32_t second) {
  std::string expected(source.bytes);
  const wb_date date = cache::DateText(second);
  if (source.date_off != WB_NO_DATE) memcpy(&expected[source.date_off], date.text, WB_HTTP_DATE);
  return made == expected;
}

}  // namespace

absl::Status Prover::Prove(
    uint32_t slot, const std::array<std::optional<TemplateSource>, WB_PART_KINDS>& sources) const {
  const int program = bpf_program__fd(programs_.skeleton()->progs.wb_xdp_admit);
  const uint32_t second = std::atomic_ref(programs_.control[0].second).load();
  for (uint32_t kind = 0; kind < WB_PART_KINDS; kind++) {
    for (uint32_t cls = 0; cls < WB_CLASSES && sources[kind]; cls++) {
      const size_t segments = programs_.variants[slot].part[kind].nseg[cls];
      if (segments == 0) continue;
      const auto bad = [&](uint32_t segment, std::string_view what) {
        return absl::DataLossError(absl::StrCat("part ", kind, ", size class ", cls, ", segment ",
                                                segment, ": ", std::string(what)));
      };
      wb_proof order = MakeOrder(slot, kind, cls, second);
      std::string payload;
      for (; order.segment < segments; order.segment++) {
        uint8_t in[ETH_HLEN + sizeof(order)] = {}, out[ETH_HLEN + WB_SEG_MAX + 128];
        memcpy(in + ETH_HLEN, &order, sizeof(order));
        LIBBPF_OPTS(bpf_test_run_opts, run);
        run.data_in = in;
        run.data_size_in = sizeof(in);
        run.data_out = out;
        run.data_size_out = sizeof(out);
        if (bpf_prog_test_run_opts(program, &run) != 0)
          return base::PosixError("run", "wb_xdp_admit");
        if (run.retval != XDP_PASS) return bad(order.segment, "not made");
        const auto what = Take(Bytes(out, run.data_size_out), order, segments, payload);
        if (!what.empty()) return bad(order.segment, what);
      }
      if (!Same(payload, *sources[kind], second)) return bad(0, "other bytes than those answered");
    }
  }
  return absl::OkStatus();
}

}  // namespace wb::accelerd
