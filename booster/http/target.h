// SPDX-License-Identifier: Apache-2.0
// The request target (RFC 9112, 3.2) and the authority that it or Host names (RFC 3986, 3.2).
// Views of the text that was read, or constants.
#ifndef BOOSTER_HTTP_TARGET_H_
#define BOOSTER_HTTP_TARGET_H_

#include <cstdint>
#include <string_view>

#include "booster/http/message.h"

namespace wb::http {

// authority-form is only of CONNECT, which is refused.
enum class TargetForm : uint8_t { kOrigin, kAbsolute, kAsterisk };

// uri-host and port (RFC 9110, 7.2): a name of letters, digits, "-", "_" and "." without empty
// labels but the last, an IPv4 address, or an IPv6 address in brackets. No userinfo, no
// percent-encoding, no zone.
struct Authority {
  std::string_view host;  // "" when refused
  uint16_t port = 0;      // 0: none, or an empty one
};
Authority ReadAuthority(std::string_view text);

struct Target {
  TargetForm form = TargetForm::kOrigin;
  std::string_view scheme;  // of absolute-form: http or https, in any case
  Authority authority;      // of absolute-form
  std::string_view path;    // "/..." or "*"
  std::string_view query;   // with its "?", or ""
};

// Of a method that is not CONNECT; `options`: of OPTIONS. An absolute-form without a path has "/",
// and of OPTIONS without a query "*" (RFC 9112, 3.2.4).
Refusal ReadTarget(std::string_view text, bool options, const Limits& limits, Target& target);

}  // namespace wb::http

#endif  // BOOSTER_HTTP_TARGET_H_
