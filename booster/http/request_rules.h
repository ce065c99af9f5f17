// SPDX-License-Identifier: Apache-2.0
// What the head of a request means, whichever version of HTTP it came by: the rules that
// RequestParser and RequestBuilder have in common. Thread-safe.
#ifndef BOOSTER_HTTP_REQUEST_RULES_H_
#define BOOSTER_HTTP_REQUEST_RULES_H_

#include <string_view>

#include "booster/http/fields.h"
#include "booster/http/message.h"
#include "booster/http/request.h"

namespace wb::http {

// A token of limited length (else 501).
Refusal CheckMethod(std::string_view method, const Limits& limits);

// framing and content_length, of the method, the fields and the coding (RFC 9112, 6.3).
Refusal ReadFraming(const Limits& limits, const TransferCoding& coding, RequestHead& head);

// expect_continue (RFC 9110, 10.1.1), once the framing is known.
Refusal ReadExpectations(RequestHead& head);

// keep_alive, upgrade, te_trailers and max_forwards.
void ReadFlags(const ConnectionOptions& options, RequestHead& head);

}  // namespace wb::http

#endif  // BOOSTER_HTTP_REQUEST_RULES_H_
