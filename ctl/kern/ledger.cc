// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/ledger.h"

#include <openssl/evp.h>

#include <array>
#include <atomic>
#include <cstring>
#include <string>

namespace wb::kern {
namespace {

using Words = std::array<uint64_t, 2>;

void Put(std::string& to, std::string_view text) {
  const uint64_t bytes = text.size();
  to.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  to.append(text);
}

template <typename T>
void PutStruct(std::string& to, const T& value) {
  Put(to, {reinterpret_cast<const char*>(&value), sizeof(value)});
}

Words SealOf(const wb_ledger& entry, const wb_variant& variant, std::string_view site,
             std::string_view target) {
  std::string facts;
  PutStruct(facts, kCacheFormat);
  Put(facts, site);
  Put(facts, target);
  wb_ledger e = entry;
  e.seal[0] = e.seal[1] = 0;
  PutStruct(facts, e);
  wb_variant v = variant;
  v.hits = 0;  // goes on counting
  v.flags &= WB_VF_OWN_FRESHNESS;
  PutStruct(facts, v);
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  Words seal = {};
  if (EVP_Digest(facts.data(), facts.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1) {
    memcpy(seal.data(), digest.data(), sizeof(seal));
    seal[1] |= 1;
  }
  return seal;
}

}  // namespace

void Ledger::Break(uint32_t slot) {
  wb_ledger& e = programs_.ledger[slot];
  std::atomic_ref(e.seal[1]).store(0, std::memory_order_relaxed);
  std::atomic_ref(e.seal[0]).store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // nothing that follows may come before
}

void Ledger::Enter(uint32_t slot, const wb_ledger& entry) {
  Break(slot);
  wb_ledger whole = entry;
  whole.seal[0] = whole.seal[1] = 0;
  programs_.ledger[slot] = whole;
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Ledger::Seal(uint32_t slot, std::string_view site, std::string_view target) {
  wb_ledger& e = programs_.ledger[slot];
  const Words seal = SealOf(e, programs_.variants[slot], site, target);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // all that it stands for is there
  std::atomic_ref(e.seal[0]).store(seal[0], std::memory_order_release);
  std::atomic_ref(e.seal[1]).store(seal[1], std::memory_order_release);
}

void Ledger::Forget(uint32_t slot) {
  Break(slot);
  programs_.ledger[slot].len = 0;
}

bool Ledger::Holds(uint32_t slot, std::string_view site, std::string_view target) const {
  const wb_ledger& e = programs_.ledger[slot];
  const wb_variant& v = programs_.variants[slot];
  if (e.seal[1] == 0 || !(v.flags & WB_VF_LIVE) || v.domain >= programs_.domains.size() ||
      v.domain_gen != programs_.domains[v.domain].gen)
    return false;
  const Words seal = SealOf(e, v, site, target);
  return seal[0] == e.seal[0] && seal[1] == e.seal[1];
}

}  // namespace wb::kern
