// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 and 1.0 with a client (RFC 9112): one request after the other, those that were sent
// ahead (pipelining) in their order; bodies both ways, 100 (Continue), and tunnels after 101.
#ifndef BOOSTER_FRONT_H1_SESSION_H_
#define BOOSTER_FRONT_H1_SESSION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "booster/front/connection.h"
#include "booster/front/transaction.h"
#include "booster/http/body.h"
#include "booster/http/request.h"
#include "booster/http/write.h"
#include "booster/link/exchange.h"

namespace wb::front {

class H1Session final : public Session, private link::Client {
 public:
  explicit H1Session(Connection& connection);
  ~H1Session() override;

  void OnInput() override;
  void OnOutput() override;
  void OnDeadline() override;
  void OnDrain() override;

 private:
  enum class Phase : uint8_t { kHead, kHeld, kExchange, kTunnel };

  // link::Client
  void OnHead(const http::ResponseHead& head) override;
  void OnBody(std::string_view payload) override;
  void OnEnd(std::span<const http::Field> trailers) override;
  void OnFailure(http::Refusal refusal) override;
  void OnRoom() override;

  std::string_view Unread() const { return {in_.data() + next_, end_ - next_}; }
  void ReadHead();
  bool Fill();
  void Request();
  void ReadBody();
  size_t TakeBody(std::string_view input);
  void ReadTunnel();
  void WriteHead();
  void Refuse(http::Refusal refusal);
  void Done();
  void CancelExchange();
  void GiveUp(End why);

  Connection& connection_;
  Services& services_;
  const std::shared_ptr<const Snapshot> snapshot_;  // of the first request: bounds do not change
  http::RequestParser parser_;
  std::optional<http::BodyReader> body_;
  Transaction transaction_;
  Phase phase_ = Phase::kHead;

  // From the beginning of the head that is read, or whose exchange is under way. The memory stays
  // where it is while an exchange looks at it.
  std::vector<char> in_;
  size_t next_ = 0;  // what has not been looked at
  size_t end_ = 0;
  std::string ahead_;  // what came behind a body, as long as an exchange looks at in_

  link::Exchange* exchange_ = nullptr;
  std::string head_text_;  // of a response, that waits for the first bytes of its body
  http::Sent sent_;
  http::Refusal held_;  // to be sent later
  bool response_begun_ = false;
  bool keep_alive_ = true;     // as far as the client and we are concerned
  bool continue_due_ = false;  // the client waits for 100
  bool body_done_ = true;      // of the request
  bool paused_ = false;
  bool draining_ = false;
  net::Deferred flush_;  // a head without a body so far
  net::Deferred again_;  // the next request
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_H1_SESSION_H_
