// SPDX-License-Identifier: Apache-2.0
// One request of a client, from its head to the end of its response, whatever version of HTTP it
// came by: to which domain it goes, whether it may, and what is counted and logged of it.
#ifndef BOOSTER_FRONT_TRANSACTION_H_
#define BOOSTER_FRONT_TRANSACTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "booster/front/services.h"
#include "booster/http/request.h"
#include "booster/http/response.h"
#include "booster/link/exchange.h"
#include "booster/net/stream.h"

namespace wb::front {

// Who sends requests by a connection.
struct Peer {
  std::string address;  // as text
  Address ip = {};
  bool encrypted = false;               // the client used https
  bool proxy = false;                   // one of ours, whose Forwarded is believed
  std::string server_name = {};         // SNI; of encrypted ones
  const net::Stream* stream = nullptr;  // asked for which hosts it may serve; none: for all
  uint16_t port = 0;                    // 0: not known
  std::string server = {};  // our address and port, for the access log; empty without one
  uint16_t server_port = 0;
};

class Transaction {
 public:
  Transaction(Services& services, const Peer& peer) : services_(services), peer_(peer) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() { End(); }

  // A head was read. With a refusal the caller answers by Answer() of it; else it starts ask().
  // `head` stays where it is until End().
  http::Refusal Begin(const http::RequestHead& head, const char* protocol);
  // Of the refusal: seconds for Retry-After, or 0; methods for Allow, or none; and how long
  // it is held, with nothing read meanwhile, or 0.
  uint32_t retry_after_s() const { return retry_after_s_; }
  std::string_view allow() const { return allow_; }
  std::chrono::milliseconds hold() const { return hold_; }
  bool begun() const { return head_ != nullptr; }
  const link::Ask& ask() const { return ask_; }
  const http::RequestHead& head() const { return *head_; }

  // What is sent to the client.
  void Status(int status) { status_ = status; }
  // By us, or cut by us.
  void Refused(Cause cause) { cause_ = cause_.value_or(cause); }
  void RequestBytes(size_t n) { request_bytes_ += n; }
  void ResponseBytes(size_t n) { response_bytes_ += n; }

  // Counts and logs it, once. Ready for another one then.
  void End();

 private:
  http::Refusal Route();
  http::Refusal Admit(uint32_t domain);

  Services& services_;
  const Peer& peer_;
  std::shared_ptr<const Snapshot> snapshot_;
  const http::RequestHead* head_ = nullptr;
  const char* protocol_ = "";
  link::Ask ask_;
  DomainCounters* counters_ = nullptr;  // none: no domain
  Policy::Admission admission_;
  std::string client_;  // whose request it is, when a proxy of ours has sent it
  std::string_view allow_;
  uint32_t retry_after_s_ = 0;
  std::chrono::milliseconds hold_{0};
  std::optional<Cause> cause_;  // the first one
  net::Clock::time_point begun_;
  int status_ = 0;
  uint64_t request_bytes_ = 0;
  uint64_t response_bytes_ = 0;
};

// A response of our own.
struct OwnResponse {
  // Without Date, Content-Length and what is of the connection.
  std::vector<std::pair<std::string_view, std::string>> fields;
  std::string body;  // text/plain
};
OwnResponse Answer(http::Refusal refusal, Transaction& transaction);
std::string_view ReasonPhrase(int status);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_TRANSACTION_H_
