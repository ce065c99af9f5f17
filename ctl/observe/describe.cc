// SPDX-License-Identifier: Apache-2.0
// One line of text about a captured packet.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include <cstdio>
#include <cstring>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "ctl/observe/capture.h"

namespace wb::observe {
namespace {

constexpr size_t kShownChars = 100;  // of the payload
constexpr uint64_t kNs = 1000000000;

template <typename T>
bool Load(std::string_view data, size_t at, T* out) {
  if (data.size() < sizeof(T) || at > data.size() - sizeof(T)) return false;
  memcpy(out, data.data() + at, sizeof(T));
  return true;
}

std::string TimeOfDay(uint64_t unix_ns) {
  const auto seconds = static_cast<time_t>(unix_ns / kNs);
  tm local;
  localtime_r(&seconds, &local);
  char text[32];
  snprintf(text, sizeof(text), "%02d:%02d:%02d.%09u", local.tm_hour, local.tm_min, local.tm_sec,
           static_cast<unsigned>(unix_ns % kNs));
  return text;
}

struct Headers {
  std::string source, destination;
  size_t tcp = 0;       // offset
  size_t ip_bytes = 0;  // of the frame that IP says there are
};

bool ReadIp(std::string_view data, Headers* h) {
  ethhdr eth;
  char text[INET6_ADDRSTRLEN];
  if (!Load(data, 0, &eth)) return false;
  if (ntohs(eth.h_proto) == ETH_P_IP) {
    iphdr ip;
    if (!Load(data, sizeof(eth), &ip)) return false;
    h->source = inet_ntop(AF_INET, &ip.saddr, text, sizeof(text));
    h->destination = inet_ntop(AF_INET, &ip.daddr, text, sizeof(text));
    h->tcp = sizeof(eth) + size_t{ip.ihl} * 4;
    h->ip_bytes = sizeof(eth) + ntohs(ip.tot_len);
    return ip.protocol == IPPROTO_TCP;
  }
  ip6_hdr ip;
  if (ntohs(eth.h_proto) != ETH_P_IPV6 || !Load(data, sizeof(eth), &ip)) return false;
  h->source = inet_ntop(AF_INET6, &ip.ip6_src, text, sizeof(text));
  h->destination = inet_ntop(AF_INET6, &ip.ip6_dst, text, sizeof(text));
  h->tcp = sizeof(eth) + sizeof(ip);
  h->ip_bytes = h->tcp + ntohs(ip.ip6_plen);
  return ip.ip6_nxt == IPPROTO_TCP;
}

std::string Flags(const tcphdr& tcp) {
  std::string flags;
  if (tcp.syn) flags += 'S';
  if (tcp.fin) flags += 'F';
  if (tcp.rst) flags += 'R';
  if (tcp.psh) flags += 'P';
  if (tcp.urg) flags += 'U';
  if (tcp.ack) flags += '.';
  return flags;
}

std::string FirstLine(std::string_view payload) {
  std::string line;
  for (const char c : payload.substr(0, kShownChars)) {
    if (c == '\r' || c == '\n') break;
    line += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return line;
}

}  // namespace

std::string DescribePacket(const CapturedPacket& packet, std::string_view interface) {
  const char* const direction = packet.direction == Direction::kIn    ? " in  "
                                : packet.direction == Direction::kOut ? " out "
                                                                      : " ?   ";
  std::string line = TimeOfDay(packet.unix_ns);
  line += direction;
  line += FirstLine(interface);
  Headers h;
  tcphdr tcp;
  if (!ReadIp(packet.data, &h) || !Load(packet.data, h.tcp, &tcp))
    return absl::StrCat(line, " frame of ", packet.frame_bytes, " bytes");
  const size_t payload = h.tcp + size_t{tcp.doff} * 4;
  absl::StrAppend(&line, " ", h.source, ".", ntohs(tcp.source), " > ", h.destination, ".",
                  ntohs(tcp.dest), ": [", Flags(tcp), "] seq ", ntohl(tcp.seq), " ack ",
                  ntohl(tcp.ack_seq), " win ", ntohs(tcp.window), " length ",
                  h.ip_bytes > payload ? h.ip_bytes - payload : 0);
  if (h.ip_bytes > payload && packet.data.size() > payload)
    absl::StrAppend(&line, ": ", FirstLine(packet.data.substr(payload, h.ip_bytes - payload)));
  return line;
}

}  // namespace wb::observe
