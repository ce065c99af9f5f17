// SPDX-License-Identifier: Apache-2.0
// One request on its way to an origin, and its response on the way back: what the client's side
// (HTTP/1.1, HTTP/2) and the origin's side (links) know of each other. Everything happens on one
// worker's thread. Nothing of a body is kept here: who cannot take it says so, and the other side
// stops reading.
#ifndef BOOSTER_LINK_EXCHANGE_H_
#define BOOSTER_LINK_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "booster/http/request.h"
#include "booster/http/response.h"

namespace wb::link {

// What is to be asked. What the views show stays where it is until the exchange is over: a request
// may have to be sent again.
struct Ask {
  const http::RequestHead* head = nullptr;
  // The request's domain: its index in the configuration.
  uint32_t domain = 0;
  std::string_view client;           // its address as text
  std::string_view scheme = "http";  // that the client used
  bool client_is_proxy = false;
};

// The client's side. Within its calls it may call the exchange, Cancel() included.
class Client {
 public:
  // An interim response (never 101) or the final one. Its body follows: a 101's is the tunnel.
  virtual void OnHead(const http::ResponseHead& head) = 0;
  // A part of the body, without framing. It has been taken whole when the call returns; who would
  // not have more calls Exchange::Pause().
  virtual void OnBody(std::string_view payload) = 0;
  // The response is whole; the exchange is over, and is gone when the call returns.
  virtual void OnEnd(std::span<const http::Field> trailers) = 0;
  // No response, or, after OnHead(), the rest of it will not come: status is 502, 503 or 504. Over
  // as above.
  virtual void OnFailure(http::Refusal refusal) = 0;
  // More of the request's body is wanted: Exchange::SendBody() will take some.
  virtual void OnRoom() = 0;

 protected:
  ~Client() = default;
};

// The origin's side, owned by it until Client::OnEnd(), OnFailure() or Cancel().
class Exchange {
 public:
  // Bytes of the request's body that SendBody() takes now. A request that has a body begins with
  // some room.
  virtual size_t Room() const = 0;
  // Of the request, before SendBody() of the last part, during which they stay where they are.
  virtual void SetTrailers(std::span<const http::Field> trailers) = 0;
  // A part of the body without framing, at most Room(); of a tunnel too. `end`: the last one.
  virtual void SendBody(std::string_view payload, bool end) = 0;
  // Stops, or goes on with, reading the response. Small replies may come whole in spite of it.
  virtual void Pause(bool paused) = 0;
  // The client does not want it any more; nothing more is called.
  virtual void Cancel() = 0;

 protected:
  ~Exchange() = default;
};

// Where requests go. One for each worker.
class Upstream {
 public:
  virtual ~Upstream() = default;
  // Begins an exchange. Client's functions are never called before it has returned: a failure that
  // is known at once comes by OnFailure() at the end of the loop's turn. `client` outlives the
  // exchange.
  virtual Exchange* Start(const Ask& ask, Client& client) = 0;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_EXCHANGE_H_
