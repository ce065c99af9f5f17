// SPDX-License-Identifier: Apache-2.0
// Field names that mean something to an intermediary, and what it does with such a field.
#ifndef BOOSTER_HTTP_NAMES_H_
#define BOOSTER_HTTP_NAMES_H_

#include <cstdint>
#include <string_view>

namespace wb::http {

enum class Name : uint8_t {
  kOther,
  kAcceptEncoding,
  kConnection,
  kContentLength,
  kCookie,
  kDate,
  kExpect,
  kForwarded,
  kHost,
  kMaxForwards,
  kTe,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kXForwardedFor,
  kXForwardedProto,
};

enum NameFlag : uint8_t {
  kHopByHop = 1,   // never forwarded as it is (RFC 9110, 7.6.1; RFC 2616, 13.5.1)
  kForged = 2,     // says what only a proxy of ours may say: dropped unless the client is one
  kNoTrailer = 4,  // dropped from trailers (RFC 9110, 6.5.1)
  kHarmless = 8,   // changes nothing in the reply of an accelerator (bpf/lib/request.h)
};

struct NameInfo {
  Name id = Name::kOther;
  uint8_t flags = 0;
};

// `name` in any case. A name that becomes one with kHopByHop or kForged when "_" is read as "-" is
// dropped too: to a CGI program both are one (RFC 3875, 4.1.18).
NameInfo Classify(std::string_view name);
// Whether a field behind a body is forwarded.
constexpr bool MayBeTrailer(NameInfo info) {
  return (info.flags & (kNoTrailer | kHopByHop | kForged)) == 0;
}

}  // namespace wb::http

#endif  // BOOSTER_HTTP_NAMES_H_
