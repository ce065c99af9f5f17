// SPDX-License-Identifier: Apache-2.0
// An exchange from Start() to its end, over all its attempts: what stands between the client's side
// and the link that carries it at the moment. Belongs to its dispatcher's thread.
#ifndef BOOSTER_LINK_CALL_H_
#define BOOSTER_LINK_CALL_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "booster/link/exchange.h"
#include "booster/link/gate.h"
#include "booster/link/settings.h"

namespace wb::link {

class Call;

// What carries a call, from the time it is given until it calls Done(), Lost() or Fail(), or until
// Drop(). Any callback may drop the call, so that it is looked for again after each.
class Carrier {
 public:
  virtual size_t Room(const Call& call) const = 0;
  virtual void SendBody(Call& call, std::string_view payload, bool end) = 0;
  virtual void Pause(Call& call, bool paused) = 0;
  // Forget the call: nothing more is called for it.
  virtual void Drop(Call& call) = 0;

 protected:
  ~Carrier() = default;
};

// Who decides what becomes of a call that was lost.
class CallOwner {
 public:
  virtual void Admitted(Call& call) = 0;
  virtual void Retry(Call& call, http::Refusal why) = 0;

 protected:
  ~CallOwner() = default;
};

class Call final : public Exchange, public Gate::Guest {
 public:
  Call(CallOwner& owner, std::shared_ptr<const Routes> routes, const Ask& ask, Client& client)
      : owner_(owner), routes_(std::move(routes)), ask_(ask), client_(client) {}

  // Exchange
  size_t Room() const override { return carrier_->Room(*this); }
  void SetTrailers(std::span<const http::Field> trailers) override { trailers_ = trailers; }
  void SendBody(std::string_view payload, bool end) override;
  void Pause(bool paused) override;
  void Cancel() override;

  // Gate::Guest
  void OnTurn() override {
    place.reset();
    owner_.Admitted(*this);
  }

  const Ask& ask() const { return ask_; }
  const Routes& routes() const { return *routes_; }
  const std::shared_ptr<const Routes>& shared_routes() const { return routes_; }
  const http::RequestHead& head() const { return *ask_.head; }
  std::span<const http::Field> trailers() const { return trailers_; }  // at the body's end
  bool HasBody() const { return head().framing != http::Framing::kNone; }
  // RFC 9110, 9.2.2. Such a request may be sent a second time.
  bool Idempotent() const;
  // Nothing of the response has been handed on, nor of the body been taken: it may be sent again.
  bool Repeatable() const { return !answered_ && !body_taken_; }

  // The carrier's.
  void Carry(Carrier* carrier) { carrier_ = carrier; }
  void OnHead(const http::ResponseHead& head);
  void OnBody(std::string_view payload) { client_.OnBody(payload); }
  void OnRoom() { client_.OnRoom(); }
  // The response is whole. The call is no more.
  void Done(std::span<const http::Field> trailers);
  // The link ended, was never made, or was too slow. The call may be carried by another one or be
  // no more when this returns. `sent`: the origin may have seen the request.
  void Lost(http::Refusal why, bool sent);
  // The end of it. The call is no more.
  void Fail(http::Refusal why);

  // The dispatcher's.
  std::shared_ptr<const Origin> origin;  // of this attempt
  int attempts = 0;
  std::unique_ptr<Gate::Place> place;  // while it waits for its turn
  net::Clock::time_point begun;
  bool alone = false;  // not to be coalesced

  // The hit lane's.
  std::string wire;  // the compact request
  uint32_t reply_bytes = 0;

 private:
  CallOwner& owner_;
  const std::shared_ptr<const Routes> routes_;
  const Ask ask_;
  Client& client_;
  Carrier* carrier_ = nullptr;
  std::span<const http::Field> trailers_;
  bool answered_ = false;
  bool body_taken_ = false;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CALL_H_
