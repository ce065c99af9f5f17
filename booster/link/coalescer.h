// SPDX-License-Identifier: Apache-2.0
// Identical requests that miss at the same time are sent to the origin once ("collapsed requests",
// RFC 9111, 4): at the beginning of a peak thousands ask for the object that nobody has yet.
// Nothing is kept: who comes behind the response's head asks anew. Belongs to its dispatcher's
// thread, so that the origin sees at most one of each from a worker.
//
// Two requests are identical if they have the same name (keys.h) and scheme. Whether the response
// is for both is known by its head alone: it has to be one that a shared cache might keep, without
// Vary but for Accept-Encoding. If it is not, those who have waited are sent at once, each for
// itself, and for some time no others wait for such a response.
#ifndef BOOSTER_LINK_COALESCER_H_
#define BOOSTER_LINK_COALESCER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/http/response.h"
#include "booster/link/call.h"
#include "booster/link/exchange.h"
#include "booster/link/keys.h"
#include "booster/net/event_loop.h"

namespace wb::link {

// Whether identical requests may be answered by this one response, of at most so many bytes.
bool Shareable(const http::ResponseHead& head, uint64_t most_bytes);

// Who sends calls to origins.
class CallSender : public CallOwner {
 public:
  // By a connection for misses, to call.origin.
  virtual void SendWhole(Call& call) = 0;
  // From the beginning, and not to be coalesced any more.
  virtual void SendAlone(Call& call) = 0;
  // So many calls have been answered by the response to another one, from this origin.
  virtual void Coalesced(const std::shared_ptr<const Origin>& origin, size_t calls) = 0;

 protected:
  ~CallSender() = default;
};

class Coalescer {
 public:
  Coalescer(net::EventLoop& loop, CallSender& sender);
  ~Coalescer();

  enum class Answer : uint8_t { kAlone, kBegun, kJoined };
  // Alone: the call is the caller's as before. Else it is carried from now on: with a request of
  // its own to call.origin, or by one that was sent before.
  Answer Take(Call& call);

 private:
  class Flight;
  // Of responses that were not for all, lately: by hash, the last one of each place.
  struct Unshared {
    size_t hash = 0;
    net::Clock::time_point until;
  };

  void Close(Flight& flight);  // nobody joins it any more
  Unshared& Place(size_t hash) { return unshared_[hash % unshared_.size()]; }

  net::EventLoop& loop_;
  CallSender& sender_;
  RequestName name_;
  absl::flat_hash_map<std::string, Flight*> open_;  // by name and scheme
  std::vector<Unshared> unshared_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_COALESCER_H_
