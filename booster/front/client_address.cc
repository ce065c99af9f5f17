// SPDX-License-Identifier: Apache-2.0
#include "booster/front/client_address.h"

#include <optional>

#include "booster/http/chars.h"
#include "booster/http/target.h"

namespace wb::front {
namespace {

// Some proxies write the port, too.
std::optional<Address> ReadMember(std::string_view text) {
  if (const std::optional<Address> address = Address::Parse(text)) return address;
  std::string_view host = http::ReadAuthority(text).host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Address::Parse(host);
}

}  // namespace

Address ClientOf(const Address& peer, const AddressSet& trusted, std::string_view forwarded_for) {
  Address client = peer;
  while (!forwarded_for.empty() && trusted.Contains(client)) {
    const size_t comma = forwarded_for.rfind(',');
    const size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
    const std::string_view member = http::TrimOws(forwarded_for.substr(begin));
    forwarded_for = forwarded_for.substr(0, begin == 0 ? 0 : comma);
    if (member.empty()) continue;  // RFC 9110, 5.6.1
    const std::optional<Address> address = ReadMember(member);
    if (!address) break;
    client = *address;
  }
  return client;
}

}  // namespace wb::front
