// SPDX-License-Identifier: Apache-2.0
#include "booster/front/policy.h"

#include <algorithm>

namespace wb::front {
namespace {

constexpr int64_t kSecondNs = 1000000000;

// FNV-1a: names are the operator's, so that no one chooses them to collide.
uint64_t RealmOf(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

Policy::Verdict Refused(int status, std::string_view reason, int64_t wait_ns) {
  Policy::Verdict verdict;
  verdict.refusal = {status, reason};
  verdict.retry_after_s =
      static_cast<uint32_t>(std::max<int64_t>(1, (wait_ns + kSecondNs - 1) / kSecondNs));
  return verdict;
}

}  // namespace

void Policy::Admission::Release() {
  if (usage_ != nullptr) usage_->under_way.fetch_sub(1, std::memory_order_relaxed);
  usage_.reset();
}

Policy::Policy(const Domain& domain, ClientTable& clients, const Policy* before)
    : deny_clients_(domain.deny_clients),
      deny_paths_(domain.deny_paths),
      methods_(domain.allow_methods),
      rate_(domain.quota.rate, domain.quota.burst),
      concurrent_(domain.quota.concurrent),
      client_limits_{Rate(domain.client_quota.rate, domain.client_quota.burst),
                     domain.client_quota.concurrent},
      realm_(RealmOf(domain.name)),
      clients_(clients),
      usage_(before != nullptr ? before->usage_ : std::make_shared<Usage>()) {
  for (const std::string& method : methods_) allow_ += (allow_.empty() ? "" : ", ") + method;
}

http::Refusal Policy::Filter(const Address& client, std::string_view method,
                             std::string_view path) const {
  if (deny_clients_.Contains(client)) return {403, "client is denied"};
  if (deny_paths_.Match(path)) return {403, "path is denied"};
  if (!methods_.empty() && std::find(methods_.begin(), methods_.end(), method) == methods_.end())
    return {405, "method is not allowed"};
  return {};
}

bool Policy::TakePlace() {
  uint32_t before = usage_->under_way.load(std::memory_order_relaxed);
  while (before < concurrent_) {
    if (usage_->under_way.compare_exchange_weak(before, before + 1, std::memory_order_relaxed))
      return true;
  }
  return false;
}

Policy::Verdict Policy::Admit(const Address& client, std::string_view method, std::string_view path,
                              Clock::time_point now) {
  Verdict verdict;
  verdict.refusal = Filter(client, method, path);
  if (verdict.refusal) return verdict;
  const int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  // The client's own first: who asks too much must not use up what is everybody's.
  if (client_limits_.rate.limited() || client_limits_.under_way != 0) {
    ClientTable::Answer answer = clients_.Ask(client, realm_, client_limits_, now_ns);
    if (answer.too_many) return Refused(429, "client has too many requests under way", 0);
    if (answer.wait_ns > 0) return Refused(429, "client asks too often", answer.wait_ns);
    verdict.admission.client_ = std::move(answer.place);
  }
  if (concurrent_ != 0) {
    if (!TakePlace()) return Refused(503, "domain has too many requests under way", 0);
    verdict.admission.usage_ = usage_;
  }
  if (rate_.limited()) {
    const int64_t wait_ns = usage_->bucket.Take(rate_, now_ns);
    if (wait_ns > 0) return Refused(503, "domain is asked too often", wait_ns);
  }
  return verdict;
}

}  // namespace wb::front
