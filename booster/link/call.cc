// SPDX-License-Identifier: Apache-2.0
#include "booster/link/call.h"

namespace wb::link {

bool Call::Idempotent() const {
  const std::string_view method = head().method;
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" ||
         method == "PUT" || method == "DELETE";
}

void Call::SendBody(std::string_view payload, bool end) {
  body_taken_ = true;
  carrier_->SendBody(*this, payload, end);
}

void Call::Pause(bool paused) { carrier_->Pause(*this, paused); }

void Call::Cancel() {
  carrier_->Drop(*this);
  delete this;
}

void Call::OnHead(const http::ResponseHead& head) {
  answered_ = answered_ || !head.interim();
  client_.OnHead(head);
}

void Call::Done(std::span<const http::Field> trailers) {
  client_.OnEnd(trailers);
  delete this;
}

void Call::Lost(http::Refusal why, bool sent) {
  if (Repeatable() && (!sent || Idempotent())) {
    owner_.Retry(*this, why);
  } else {
    Fail(why);
  }
}

void Call::Fail(http::Refusal why) {
  client_.OnFailure(why);
  delete this;
}

}  // namespace wb::link
