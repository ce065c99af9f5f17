// SPDX-License-Identifier: Apache-2.0
// A domain's rules for its requests: filters and quotas (docs/CONFIGURATION.md, "Filters",
// "Quotas"). One for each domain, shared by all workers: a quota holds for the booster as a whole,
// however clients are spread over workers. No lock but the client table's.
#ifndef BOOSTER_FRONT_POLICY_H_
#define BOOSTER_FRONT_POLICY_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "booster/front/address_set.h"
#include "booster/front/client_table.h"
#include "booster/front/config.h"
#include "booster/front/path_rules.h"
#include "booster/front/token_bucket.h"
#include "booster/http/message.h"

namespace wb::front {

using Clock = std::chrono::steady_clock;

// Any thread.
class Policy {
 private:
  struct Usage {
    TokenBucket bucket;
    alignas(64) std::atomic<uint32_t> under_way{0};
  };

 public:
  // A request's places in the quotas, to be kept while it is under way. It may outlive its Policy,
  // not the client table.
  class Admission {
   public:
    Admission() = default;
    Admission(Admission&&) = default;
    Admission& operator=(Admission&& other) noexcept {
      Release();
      usage_ = std::move(other.usage_);
      client_ = std::move(other.client_);
      return *this;
    }
    ~Admission() { Release(); }

   private:
    friend class Policy;
    void Release();
    std::shared_ptr<Usage> usage_;  // null: without a limit of what is under way
    ClientTable::Place client_;
  };

  // 429 and 503 are to be sent only after a while, and nothing read from that connection (or
  // stream) until then: who asks again at once costs next to nothing that way. How long differs
  // from one to the next, or all that were refused together would come again together, each time,
  // and others wait for that burst. One for each worker.
  class Holds {
   public:
    // Evenly over 100 to 300 ms, by the golden ratio, however few follow each other.
    milliseconds Next() {
      draw_ += 0x9e3779b9;
      return milliseconds(100 + (uint64_t{draw_} * 200 >> 32));
    }

   private:
    uint32_t draw_ = 0;
  };

  struct Verdict {
    // None: admitted. 403, 405 (allow() goes into Allow; RFC 9110, 15.5.6), 429 or 503.
    http::Refusal refusal;
    uint32_t retry_after_s = 0;  // of 429 and 503: for Retry-After (RFC 9110, 10.2.3)
    Admission admission;
  };

  // `clients` outlives it. `before`: of the same domain, of the configuration that this one
  // replaces: what was used up stays used up.
  Policy(const Domain& domain, ClientTable& clients, const Policy* before = nullptr);

  // `path`: of the target, without its query. `now`: of the caller's loop.
  Verdict Admit(const Address& client, std::string_view method, std::string_view path,
                Clock::time_point now);

  // The methods that are allowed, for Allow; empty: all.
  const std::string& allow() const { return allow_; }

 private:
  http::Refusal Filter(const Address& client, std::string_view method, std::string_view path) const;
  bool TakePlace();

  AddressSet deny_clients_;
  PathRules deny_paths_;
  std::vector<std::string> methods_;
  std::string allow_;
  Rate rate_;
  uint32_t concurrent_;
  ClientTable::Limits client_limits_;
  uint64_t realm_;  // of the domain's name, so that it stays over reloads
  ClientTable& clients_;
  std::shared_ptr<Usage> usage_;
};

}  // namespace wb::front

#endif  // BOOSTER_FRONT_POLICY_H_
