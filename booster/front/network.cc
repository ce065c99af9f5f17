// SPDX-License-Identifier: Apache-2.0
#include "booster/front/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "ctl/config/text.h"
#include "ctl/config/values.h"

namespace wb::front {
namespace {

using config::Cat;
using config::Quote;

constexpr int kV4Bits = 96;  // in front of an IPv4 address
constexpr std::array<uint8_t, 12> kV4Mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Address Mapped(const void* v4) {
  Address address;
  std::copy(kV4Mapped.begin(), kV4Mapped.end(), address.bytes.begin());
  std::memcpy(address.bytes.data() + kV4Mapped.size(), v4, 4);
  return address;
}

}  // namespace

std::optional<Address> Address::Parse(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  in_addr v4{};
  if (inet_pton(AF_INET, copy.c_str(), &v4) == 1) return Mapped(&v4);
  Address address;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::optional<Address> Address::From(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof(v4));
    return Mapped(&v4.sin_addr);
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof(v6));
  Address result;
  std::memcpy(result.bytes.data(), &v6.sin6_addr, result.bytes.size());
  return result;
}

bool Address::v4() const { return std::equal(kV4Mapped.begin(), kV4Mapped.end(), bytes.begin()); }

std::string Address::ToString() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool mapped = v4();
  return inet_ntop(mapped ? AF_INET : AF_INET6, bytes.data() + (mapped ? kV4Mapped.size() : 0),
                   text.data(), text.size());
}

Address Address::Prefix(int bits) const {
  Address result;
  const auto whole = static_cast<size_t>(bits / 8);
  std::copy_n(bytes.begin(), whole, result.bytes.begin());
  if (bits % 8 != 0) {
    result.bytes[whole] = static_cast<uint8_t>(bytes[whole] & (0xff00 >> (bits % 8)));
  }
  return result;
}

std::string Network::ToString() const {
  if (bits == 128) return base.ToString();
  return Cat(base.ToString(), "/", base.v4() ? bits - kV4Bits : bits);
}

absl::StatusOr<Network> ParseNetwork(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view literal = text.substr(0, slash);
  const std::optional<Address> address = Address::Parse(literal);
  if (!address) {
    return absl::InvalidArgumentError(
        Cat(Quote(text), " is not an IPv4 or IPv6 address, or a prefix such as 192.0.2.0/24"));
  }
  const bool v6 = literal.find(':') != std::string_view::npos;
  if (v6 && address->v4()) {
    return absl::InvalidArgumentError(
        Cat(Quote(text), " is an IPv4-mapped address; write the IPv4 address"));
  }
  if (slash == std::string_view::npos) return Network{*address, 128};
  const absl::StatusOr<uint64_t> length = config::ParseInteger(text.substr(slash + 1));
  const uint64_t most = v6 ? 128 : 32;
  if (!length.ok() || *length > most) {
    return absl::InvalidArgumentError(
        Cat(Quote(text), " has no prefix length from 0 to ", most, " behind the /"));
  }
  const int bits = static_cast<int>(*length) + (v6 ? 0 : kV4Bits);
  const Network network{address->Prefix(bits), bits};
  if (network.base != *address) {
    return absl::InvalidArgumentError(Cat(Quote(text), " has bits set behind its prefix length; ",
                                          "the prefix is ", network.ToString()));
  }
  return network;
}

}  // namespace wb::front
