// SPDX-License-Identifier: Apache-2.0
#include "booster/front/proxy_header.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>

namespace wb::front {
namespace {

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kFixed = 16;
constexpr uint8_t kVersion2 = 0x20;
constexpr uint8_t kLocal = 0x20, kProxied = 0x21;  // version and command
constexpr uint8_t kTcp4 = 0x11, kTcp6 = 0x21;
constexpr size_t kAddresses4 = 12, kAddresses6 = 36;

std::string Text(int family, const char* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  if (family == AF_INET6) {
    in6_addr address;
    std::copy_n(bytes, sizeof(address), reinterpret_cast<char*>(&address));
    // Written as the IPv4 address that it is.
    if (IN6_IS_ADDR_V4MAPPED(&address)) return Text(AF_INET, bytes + 12);
  }
  inet_ntop(family, bytes, text, sizeof(text));
  return text;
}

}  // namespace

ProxyHeader ReadProxy(std::string_view input) {
  constexpr ProxyHeader (*refused)() = [] { return ProxyHeader{.state = http::State::kRefused}; };
  const size_t known = std::min(input.size(), kSignature.size());
  if (input.substr(0, known) != kSignature.substr(0, known)) return refused();
  if (input.size() < kFixed) return {};
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(input[i]); };
  const uint8_t command = byte(12), family = byte(13);
  if ((command & 0xf0) != kVersion2 || (command != kLocal && command != kProxied)) return refused();
  const size_t length = static_cast<size_t>(byte(14)) << 8 | byte(15);
  if (kFixed + length > kMostProxyHeader) return refused();
  if (input.size() < kFixed + length) return {};
  ProxyHeader header = {.state = http::State::kComplete, .bytes = kFixed + length};
  if (command == kLocal) return header;
  if (family == kTcp4) {
    if (length < kAddresses4) return refused();
    header.client = Text(AF_INET, input.data() + kFixed);
  } else if (family == kTcp6) {
    if (length < kAddresses6) return refused();
    header.client = Text(AF_INET6, input.data() + kFixed);
  }
  return header;
}

}  // namespace wb::front
