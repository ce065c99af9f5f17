// SPDX-License-Identifier: Apache-2.0
#include "booster/link/coalescer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/hash/hash.h"
#include "booster/http/chars.h"

namespace wb::link {
namespace {

// Who comes later might expect what has changed since the request was sent.
constexpr std::chrono::seconds kJoin(1);
// For a response that may turn out not to be for all.
constexpr std::chrono::seconds kWait(5);
constexpr std::chrono::seconds kUnshared(10);
constexpr size_t kUnsharedPlaces = 4096;

// Statuses that are cacheable by default (RFC 9110, 15.1) and have all there is to say.
constexpr std::array<int, 5> kStatuses = {200, 301, 308, 404, 410};

// The client wants it from the origin, and younger than what may be under way.
bool WantsFresh(const http::RequestHead& head) {
  bool wants = false;
  for (const http::Field& field : head.fields) {
    const bool pragma = http::EqualsNoCase(field.name, "pragma");
    if (!pragma && !http::EqualsNoCase(field.name, "cache-control")) continue;
    http::ForEachMember(field.value, [&](std::string_view member) {
      for (const std::string_view directive : {"no-cache", "no-store", "max-age=0"}) {
        wants = wants || http::EqualsNoCase(member, directive);
      }
    });
  }
  return wants;
}

// RFC 9111, 5.2.2; what is not understood as a number counts as zero.
struct CacheControl {
  void Read(std::string_view directive) {
    const size_t equals = directive.find('=');
    const std::string_view name = directive.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : directive.substr(equals + 1);
    const auto is = [name](std::string_view known) { return http::EqualsNoCase(name, known); };
    if (is("private") || is("no-store") || is("no-cache")) refused = true;
    if (is("max-age")) max_age = http::ReadDecimal(value).value_or(0);
    if (is("s-maxage")) s_maxage = http::ReadDecimal(value).value_or(0);
  }

  bool refused = false;
  std::optional<uint64_t> max_age, s_maxage;
};

}  // namespace

bool Shareable(const http::ResponseHead& head, uint64_t most_bytes) {
  if (std::ranges::find(kStatuses, head.status) == kStatuses.end()) return false;
  if (head.framing != http::Framing::kLength || *head.content_length > most_bytes) return false;
  CacheControl control;
  bool modified = false, expires = false, varies = false;
  for (const http::Field& field : head.fields) {
    const auto is = [&field](std::string_view known) {
      return http::EqualsNoCase(field.name, known);
    };
    if (is("set-cookie") || is("www-authenticate") || is("pragma")) return false;
    modified = modified || is("last-modified");
    expires = expires || is("expires");
    if (is("vary")) {
      http::ForEachMember(field.value, [&](std::string_view member) {
        varies = varies || !http::EqualsNoCase(member, "accept-encoding");
      });
    }
    if (is("cache-control")) {
      http::ForEachMember(field.value, [&](std::string_view member) { control.Read(member); });
    }
  }
  if (varies || control.refused) return false;
  // Freshness that is told (RFC 9111, 4.2.1), or may be guessed (4.2.2). A date is not read here.
  const std::optional<uint64_t> fresh = control.s_maxage ? control.s_maxage : control.max_age;
  return fresh ? *fresh > 0 : modified && !expires;
}

// The calls that one request to the origin is for. Gone by itself when it is over, or when the last
// of them is.
class Coalescer::Flight final : public Carrier, private Client {
 public:
  Flight(Coalescer& coalescer, std::string name, Call& first)
      : name(std::move(name)),
        coalescer_(coalescer),
        routes_(first.shared_routes()),
        timer_(coalescer.loop_, [this] { TooLong(); }) {
    members_.push_back(&first);
    first.Carry(this);
    Send(first.origin, first.begun);
  }
  ~Flight() { coalescer_.Close(*this); }

  bool Joinable(const Call& call) const {
    return call.begun - sent_ <= kJoin && &call.routes() == routes_.get();
  }
  void Join(Call& call) {
    members_.push_back(&call);
    call.Carry(this);
    if (!timer_.armed()) timer_.ArmIn(kWait);
  }

  const std::string name;

 private:
  // Carrier. There are no bodies of requests, and what is shared is too short to be stopped.
  size_t Room(const Call&) const override { return 0; }
  void SendBody(Call&, std::string_view, bool) override {}
  void Pause(Call&, bool paused) override {
    if (!shared_ && answered_ && exchange_) exchange_->Pause(paused);
  }
  void Drop(Call& call) override {
    std::ranges::replace(members_, &call, nullptr);
    if (!telling_) Settle();
  }

  // Client, of the request that was sent: the views that it is made of are those of the first
  // member, which are there until the head of the response has come.
  void OnHead(const http::ResponseHead& head) override;
  void OnBody(std::string_view payload) override {
    Tell([payload](Call& call) { call.OnBody(payload); });
  }
  void OnEnd(std::span<const http::Field> trailers) override {
    End([trailers](Call& call) { call.Done(trailers); });
  }
  void OnFailure(http::Refusal refusal) override {
    End([refusal](Call& call) { call.Fail(refusal); });
  }
  void OnRoom() override {}

  void Send(std::shared_ptr<const Origin> origin, net::Clock::time_point begun) {
    sent_ = coalescer_.loop_.now();
    origin_ = std::move(origin);
    auto* call = new Call(coalescer_.sender_, routes_, members_.front()->ask(), *this);
    exchange_ = call;
    call->origin = origin_;
    call->begun = begun;
    call->attempts = 1;
    coalescer_.sender_.SendWhole(*call);
  }
  void TooLong() {
    coalescer_.Close(*this);
    Release();
  }
  // All but the first.
  void Release() {
    const std::vector<Call*> others(members_.begin() + 1, members_.end());
    members_.resize(1);
    for (Call* call : others) {
      if (call) coalescer_.sender_.SendAlone(*call);
    }
  }

  // Any of the calls, and this, may be gone behind what one is told.
  template <typename What>
  void Tell(What what) {
    telling_ = true;
    for (size_t i = 0; i < members_.size(); ++i) {
      if (members_[i]) what(*members_[i]);
    }
    telling_ = false;
    Settle();
  }
  template <typename What>
  void End(What what) {
    exchange_ = nullptr;
    telling_ = true;
    coalescer_.Close(*this);
    for (size_t i = 0; i < members_.size(); ++i) {
      if (Call* call = std::exchange(members_[i], nullptr)) what(*call);
    }
    delete this;
  }
  // After some have gone.
  void Settle() {
    const bool first_gone = members_.front() == nullptr;
    std::erase(members_, nullptr);
    if (members_.empty()) {
      std::exchange(exchange_, nullptr)->Cancel();
      delete this;
    } else if (first_gone && !answered_) {
      std::exchange(exchange_, nullptr)->Cancel();
      Send(std::move(origin_), members_.front()->begun);
    }
  }

  Coalescer& coalescer_;
  const std::shared_ptr<const Routes> routes_;
  Exchange* exchange_ = nullptr;
  std::shared_ptr<const Origin> origin_;
  net::Clock::time_point sent_;
  std::vector<Call*> members_;  // the one that was sent first; null: gone
  net::Timer timer_;
  bool answered_ = false;
  bool shared_ = false;
  bool telling_ = false;
};

void Coalescer::Flight::OnHead(const http::ResponseHead& head) {
  if (head.interim()) {
    telling_ = true;
    members_.front()->OnHead(head);  // which may be for that client alone
    telling_ = false;
    return Settle();
  }
  answered_ = true;
  timer_.Disarm();
  coalescer_.Close(*this);
  if (!Shareable(head, routes_->shared_bytes)) {
    const size_t hash = absl::HashOf(name);
    // An error says nothing of the object.
    if (head.status < 500) {
      coalescer_.Place(hash) = {hash, coalescer_.loop_.now() + kUnshared};
    }
    Release();
  }
  shared_ = members_.size() > 1;
  if (shared_) coalescer_.sender_.Coalesced(origin_, members_.size() - 1);
  Tell([&head](Call& call) { call.OnHead(head); });
}

Coalescer::Coalescer(net::EventLoop& loop, CallSender& sender)
    : loop_(loop), sender_(sender), unshared_(kUnsharedPlaces) {}

Coalescer::~Coalescer() = default;

Coalescer::Answer Coalescer::Take(Call& call) {
  const DomainRoute& route = call.routes().domains[call.ask().domain];
  // No Cookie, even where hits ignore it: the request that is sent would have the first client's.
  if (!route.coalesce || !name_.Read(call.head(), call.ask().scheme, false) ||
      WantsFresh(call.head())) {
    return Answer::kAlone;
  }
  std::string name = name_.text();
  name.push_back('\0');
  name.append(call.ask().scheme);
  const size_t hash = absl::HashOf(name);
  const Unshared& unshared = Place(hash);
  if (unshared.hash == hash && unshared.until > loop_.now()) return Answer::kAlone;
  const auto at = open_.find(name);
  if (at != open_.end() && at->second->Joinable(call)) {
    at->second->Join(call);
    return Answer::kJoined;
  }
  // One that is too old goes on for those who have joined it.
  auto* flight = new Flight(*this, name, call);
  open_.insert_or_assign(std::move(name), flight);
  return Answer::kBegun;
}

void Coalescer::Close(Flight& flight) {
  const auto at = open_.find(flight.name);
  if (at != open_.end() && at->second == &flight) open_.erase(at);
}

}  // namespace wb::link
