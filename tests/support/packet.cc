// SPDX-License-Identifier: Apache-2.0
#include "tests/support/packet.h"

#include <algorithm>

namespace wb::support {
namespace {

std::string_view Text(const Bytes& b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

void Put16(Bytes& to, uint32_t v) {
  to.push_back(static_cast<uint8_t>(v >> 8));
  to.push_back(static_cast<uint8_t>(v));
}
void Put32(Bytes& to, uint32_t v) {
  Put16(to, v >> 16);
  Put16(to, v);
}
void Set16(Bytes& to, size_t at, uint16_t v) {
  to[at] = static_cast<uint8_t>(v >> 8);
  to[at + 1] = static_cast<uint8_t>(v);
}
void Append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }
uint16_t Get16(const Bytes& b, size_t at) { return static_cast<uint16_t>(b[at] << 8 | b[at + 1]); }
uint32_t Get32(const Bytes& b, size_t at) {
  return uint32_t{Get16(b, at)} << 16 | Get16(b, at + 2);
}

Bytes Padded(const Bytes& options) {
  Bytes out((4 - options.size() % 4) % 4, 1);  // NOP
  Append(out, options);
  return out;
}

uint16_t PseudoSum(const Bytes& addresses, size_t tcp_length) {
  Bytes pseudo = addresses;
  Put32(pseudo, static_cast<uint32_t>(tcp_length));
  Put32(pseudo, 6);
  return InternetSum(Text(pseudo));
}

bool ParseOptions(const Bytes& o, Parsed* out) {
  for (size_t i = 0; i < o.size();) {
    if (o[i] == 0) return true;
    if (o[i] == 1) {
      ++i;
      continue;
    }
    if (i + 1 >= o.size() || o[i + 1] < 2 || i + o[i + 1] > o.size()) return false;
    if (o[i] == 8 && o[i + 1] == 10) out->timestamp = {Get32(o, i + 2), Get32(o, i + 6)};
    if (o[i] == 5)
      for (size_t at = i + 2; at + 8 <= i + o[i + 1]; at += 8)
        out->sack.emplace_back(Get32(o, at), Get32(o, at + 4));
    i += o[i + 1];
  }
  return true;
}

}  // namespace

uint16_t InternetSum(std::string_view bytes, uint32_t start) {
  uint32_t sum = start;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

Address V4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

Address V6(uint16_t last) {
  Address a = {0xfd};
  a[14] = static_cast<uint8_t>(last >> 8);
  a[15] = static_cast<uint8_t>(last);
  return a;
}

Bytes TimestampOption(uint32_t value, uint32_t echo) {
  Bytes o = {8, 10};
  Put32(o, value);
  Put32(o, echo);
  return o;
}

Bytes SackOption(const std::vector<std::pair<uint32_t, uint32_t>>& blocks) {
  Bytes o = {5, static_cast<uint8_t>(2 + 8 * blocks.size())};
  for (const auto& [start, end] : blocks) {
    Put32(o, start);
    Put32(o, end);
  }
  return o;
}

Bytes PacketBuilder::Tcp(const Bytes& addresses) const {
  Bytes t;
  const Bytes options = Padded(s_.options);
  Put16(t, s_.source_port);
  Put16(t, s_.destination_port);
  Put32(t, s_.seq);
  Put32(t, s_.ack);
  t.push_back(static_cast<uint8_t>(
      data_offset_.value_or(static_cast<uint8_t>(5 + options.size() / 4)) << 4));
  t.push_back(s_.flags);
  Put16(t, s_.window);
  Put32(t, 0);  // checksum, urgent pointer
  Append(t, options);
  t.insert(t.end(), s_.payload.begin(), s_.payload.end());
  const uint16_t pseudo = PseudoSum(addresses, t.size());
  uint16_t sum = partial_sum_ ? pseudo : static_cast<uint16_t>(~InternetSum(Text(t), pseudo));
  if (bad_sum_) sum = static_cast<uint16_t>(sum + 0x0101);
  Set16(t, 16, sum);
  return t;
}

Bytes PacketBuilder::Build() const {
  Bytes f(s_.destination_mac.begin(), s_.destination_mac.end());
  f.insert(f.end(), s_.source_mac.begin(), s_.source_mac.end());
  if (vlan_) {
    Put16(f, 0x8100);
    Put16(f, *vlan_);
  }
  Put16(f, ethertype_.value_or(s_.v6 ? 0x86dd : 0x0800));
  const size_t skip = s_.v6 ? 0 : 12;
  Bytes addresses(s_.source.begin() + static_cast<long>(skip), s_.source.end());
  addresses.insert(addresses.end(), s_.destination.begin() + static_cast<long>(skip),
                   s_.destination.end());
  const Bytes tcp = Tcp(addresses);
  const size_t ip_at = f.size();
  if (s_.v6) {
    Bytes extensions;
    for (size_t i = 0; i < extensions_.size(); ++i) {
      Bytes body = extensions_[i].second;
      body[0] = i + 1 < extensions_.size() ? extensions_[i + 1].first : protocol_.value_or(6);
      Append(extensions, body);
    }
    Put32(f, 0x60000000u | uint32_t{s_.traffic_class} << 20);
    Put16(f, ip_length_.value_or(static_cast<uint16_t>(extensions.size() + tcp.size())));
    f.push_back(extensions_.empty() ? protocol_.value_or(6) : extensions_[0].first);
    f.push_back(64);
    Append(f, addresses);
    Append(f, extensions);
  } else {
    const Bytes options = Padded(ip_options_);
    f.push_back(static_cast<uint8_t>(0x45 + options.size() / 4));
    f.push_back(s_.traffic_class);
    Put16(f, ip_length_.value_or(static_cast<uint16_t>(20 + options.size() + tcp.size())));
    Put16(f, 0x1234);
    Put16(f, fragment_.value_or(0x4000));
    f.push_back(64);
    f.push_back(protocol_.value_or(6));
    Put16(f, 0);
    Append(f, addresses);
    Append(f, options);
    Set16(f, ip_at + 10, static_cast<uint16_t>(~InternetSum(Text(f).substr(ip_at))));
  }
  Append(f, tcp);
  if (f.size() < pad_to_) f.resize(pad_to_, 0);
  return f;
}

std::optional<Parsed> Parse(const Bytes& f, std::string* why) {
  const auto fail = [&](const char* reason) {
    *why = reason;
    return std::nullopt;
  };
  Parsed p;
  Segment& s = p.segment;
  if (f.size() < 54) return fail("shorter than Ethernet, IPv4 and TCP");
  std::copy_n(f.begin(), 6, s.destination_mac.begin());
  std::copy_n(f.begin() + 6, 6, s.source_mac.begin());
  const uint16_t type = Get16(f, 12);
  size_t l4 = 34;
  Bytes addresses;
  if (type == 0x0800) {
    if (f[14] != 0x45) return fail("not IPv4 without options");
    if (size_t{Get16(f, 16)} + 14 != f.size()) return fail("total length is not the frame's");
    if (f[23] != 6) return fail("not TCP");
    if ((Get16(f, 20) & 0x3fff) != 0) return fail("a fragment");
    s.traffic_class = f[15];
    p.dont_fragment = (f[20] & 0x40) != 0;
    p.ttl = f[22];
    p.ip_sum_ok = InternetSum(Text(f).substr(14, 20)) == 0xffff;
    addresses.assign(f.begin() + 26, f.begin() + 34);
    s.source = V4(f[26], f[27], f[28], f[29]);
    s.destination = V4(f[30], f[31], f[32], f[33]);
  } else if (type == 0x86dd) {
    l4 = 54;
    if (f.size() < 74 || f[14] >> 4 != 6) return fail("not IPv6");
    if (size_t{Get16(f, 18)} + 54 != f.size()) return fail("payload length is not the frame's");
    if (f[20] != 6) return fail("not TCP");
    s.v6 = true;
    s.traffic_class = static_cast<uint8_t>(f[14] << 4 | f[15] >> 4);
    p.ttl = f[21];
    p.ip_sum_ok = true;
    addresses.assign(f.begin() + 22, f.begin() + 54);
    std::copy_n(f.begin() + 22, 16, s.source.begin());
    std::copy_n(f.begin() + 38, 16, s.destination.begin());
  } else {
    return fail("neither IPv4 nor IPv6");
  }
  const size_t header = size_t{f[l4 + 12]} / 16 * 4;
  if (header < 20 || l4 + header > f.size()) return fail("data offset beyond the frame");
  s.source_port = Get16(f, l4);
  s.destination_port = Get16(f, l4 + 2);
  s.seq = Get32(f, l4 + 4);
  s.ack = Get32(f, l4 + 8);
  s.flags = f[l4 + 13];
  s.window = Get16(f, l4 + 14);
  s.options.assign(f.begin() + static_cast<long>(l4) + 20,
                   f.begin() + static_cast<long>(l4 + header));
  s.payload.assign(f.begin() + static_cast<long>(l4 + header), f.end());
  p.tcp_sum_ok = InternetSum(Text(f).substr(l4), PseudoSum(addresses, f.size() - l4)) == 0xffff;
  if (!ParseOptions(s.options, &p)) return fail("malformed TCP options");
  return p;
}

}  // namespace wb::support
