// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/verifier.h"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace wb::accelerd {
namespace {

constexpr std::chrono::milliseconds kRound{250};
constexpr uint32_t kRounds = 8;  // in which all variants are looked at

}  // namespace

Verifier::Verifier(Content& content, kern::Programs& programs)
    : content_(content),
      programs_(programs),
      next_(programs.variants.size()),
      random_(static_cast<uint32_t>(kern::MonotonicNs())) {
  thread_ = std::thread([this] { Run(); });
}

Verifier::~Verifier() { Stop(); }

void Verifier::Stop() {
  {
    std::lock_guard lock(mu_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Verifier::Run() {
  const uint32_t slots = static_cast<uint32_t>(next_.size());
  double may = 0;  // verifications that the rate allows now
  uint32_t slot = 1;
  std::unique_lock lock(mu_);
  while (!wake_.wait_for(lock, kRound, [this] { return stop_; })) {
    lock.unlock();
    const config::Snapshot config = content_.config();
    const config::Verification& rules = config->verification;
    may = std::min(may + rules.rate * std::chrono::duration<double>(kRound).count(),
                   std::max<double>(rules.rate, 1));
    for (uint32_t n = rules.one_in == 0 ? 0 : slots / kRounds + 1; n > 0; n--) {
      if (Due(slot, rules.one_in)) {
        if (may < 1) break;  // it is the first one next time
        may--;
        Check(*config, slot);
      }
      slot = slot + 1 < slots ? slot + 1 : 1;
    }
    lock.lock();
  }
}

bool Verifier::Due(uint32_t slot, uint32_t one_in) {
  wb_variant& v = programs_.variants[slot];
  if (!(std::atomic_ref(v.flags).load(std::memory_order_acquire) & WB_VF_LIVE)) return false;
  const uint64_t hits = std::atomic_ref(v.hits).load(std::memory_order_relaxed);
  const uint32_t gen = std::atomic_ref(v.gen).load(std::memory_order_relaxed);
  Next& next = next_[slot];
  if (next.gen != gen || next.hits == 0) {
    // Not all at once: any of the first so many hits may be the one.
    next = {gen, 1 + random_() % one_in};
  }
  return hits >= next.hits;
}

void Verifier::Check(const config::Config& config, uint32_t slot) {
  next_[slot].hits =
      std::atomic_ref(programs_.variants[slot].hits).load() + config.verification.one_in;
  const auto hit = content_.Sample(slot);
  if (!hit || !Exists(config, hit->key.domain, hit->encoding)) return;
  const config::Domain& domain = config.domains[hit->key.domain];
  cache::FetchRequest request;
  request.host = domain.name;
  request.target = hit->key.target;
  if (hit->encoding != 0) request.accept_encoding = EncodingValue(config, hit->encoding);
  // A connection each: they are few, and the address may be another one after a reload.
  cache::Fetcher fetcher({domain.origin.host, domain.origin.port, domain.fill_from},
                         {.response_bytes = LargestObject(config)});
  counts_[static_cast<size_t>(content_.Verify(*hit, fetcher.Fetch(request)))]++;
}

}  // namespace wb::accelerd
