// SPDX-License-Identifier: Apache-2.0
// One request of a client, from its head to the end of its response, whatever version of HTTP it
// came by: to which domain it goes, whether it may, and what is counted and logged of it.
#ifndef BOOSTER_FRONT_TRANSACTION_H_
#define BOOSTER_FRONT_TRANSACTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "booster/front/services.h"
#include "booster/http/request.h"
#include "booster/http/response.h"
#include "booster/link/exchange.h"

namespace wb::front {

// Who sends requests by a connection.
struct Peer {
  std::string address;           // as text
  bool encrypted = false;        // the client used https
  bool proxy = false;            // one of ours, whose Forwarded is believed
  std::string server_name = {};  // SNI; of encrypted ones
  uint16_t port = 0;             // 0: not known
  std::string server = {};       // our address and port, for the access log; empty without one
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
  bool begun() const { return head_ != nullptr; }
  const link::Ask& ask() const { return ask_; }
  const http::RequestHead& head() const { return *head_; }

  // What is sent to the client.
  void Status(int status) { status_ = status; }
  void RequestBytes(size_t n) { request_bytes_ += n; }
  void ResponseBytes(size_t n) { response_bytes_ += n; }

  // Counts and logs it, once. Ready for another one then.
  void End();

 private:
  http::Refusal Route();

  Services& services_;
  const Peer& peer_;
  std::shared_ptr<const Snapshot> snapshot_;
  const http::RequestHead* head_ = nullptr;
  const char* protocol_ = "";
  link::Ask ask_;
  DomainCounters* counters_ = nullptr;  // none: no domain
  net::Clock::time_point begun_;
  int status_ = 0;
  uint64_t request_bytes_ = 0;
  uint64_t response_bytes_ = 0;
};

// A response of our own: its head, with the body's length, and its body (text/plain).
struct OwnResponse {
  std::string fields;  // whole lines, without Date, Connection and Content-Length
  std::string body;
};
OwnResponse Answer(http::Refusal refusal);
std::string_view ReasonPhrase(int status);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_TRANSACTION_H_
