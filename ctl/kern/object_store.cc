// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/object_store.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "webbooster.skel.h"
#include "webbooster/base/check.h"
#include "webbooster/base/posix_error.h"

namespace wb::kern {
namespace {

// Zero-padded copy; InvalidArgument when it does not fit.
template <size_t N>
absl::Status Pad(uint8_t (&to)[N], std::string_view from) {
  if (from.size() > N) return absl::InvalidArgumentError(absl::StrCat("longer than ", N, " bytes"));
  memset(to, 0, N);
  memcpy(to, from.data(), from.size());
  return absl::OkStatus();
}

absl::Status Update(bpf_map* map, const void* key, const void* value) {
  if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY) == 0) return absl::OkStatus();
  return base::PosixError("write", bpf_map__name(map));
}

absl::Status Delete(bpf_map* map, const void* key) {
  if (bpf_map_delete_elem(bpf_map__fd(map), key) == 0 || errno == ENOENT) return absl::OkStatus();
  return base::PosixError("delete from", bpf_map__name(map));
}

absl::Status MakePathKey(wb_path_key& key, uint16_t domain, std::string_view target) {
  key.domain = domain;
  key.len = static_cast<uint16_t>(target.size());
  return Pad(key.target, target);
}

}  // namespace

absl::Status ObjectStore::SetHost(std::string_view host, uint16_t port, uint32_t domain) {
  wb_host_key key = {};
  key.port_be16 = htobe16(port);
  WB_RETURN_IF_ERROR(Pad(key.host, host));
  return Update(programs_.skeleton()->maps.wb_hosts, &key, &domain);
}

absl::Status ObjectStore::SetEncoding(std::string_view value, uint32_t encoding) {
  wb_encoding_key key;
  WB_RETURN_IF_ERROR(Pad(key.value, value));
  return Update(programs_.skeleton()->maps.wb_encodings, &key, &encoding);
}

absl::Status ObjectStore::SetPort(uint16_t port, wb_port value) {
  const uint32_t key = port;
  const auto byte = static_cast<uint8_t>(value);
  return Update(programs_.skeleton()->maps.wb_ports, &key, &byte);
}

absl::Status ObjectStore::AddBooster(const std::array<uint32_t, 4>& address_be32) {
  const uint32_t one = 1;
  return Update(programs_.skeleton()->maps.wb_boosters, address_be32.data(), &one);
}

void ObjectStore::SetDomain(uint32_t domain, uint32_t flags) {
  std::atomic_ref(programs_.domains[domain].flags).store(flags, std::memory_order_release);
  Recheck();
}

void ObjectStore::RaiseDomainGeneration(uint32_t domain) {
  std::atomic_ref(programs_.domains[domain].gen).fetch_add(1, std::memory_order_acq_rel);
  Recheck();
}

void ObjectStore::RaiseGeneration(uint32_t index) {
  std::atomic_ref(programs_.generations[index]).fetch_add(1, std::memory_order_acq_rel);
  Recheck();
}

bool ObjectStore::Purged(uint32_t slot) const {
  const wb_variant& v = programs_.variants[slot];
  if (v.domain_gen != std::atomic_ref(programs_.domains[v.domain].gen).load()) return true;
  for (uint32_t i = 0; i < v.generation_n; i++)
    if (v.generation[i].value !=
        static_cast<uint32_t>(std::atomic_ref(programs_.generations[v.generation[i].index]).load()))
      return true;
  return false;
}

void ObjectStore::Write(uint32_t slot, const VariantContent& content) {
  wb_variant& v = programs_.variants[slot];
  v.domain = content.domain;
  v.domain_gen = programs_.domains[content.domain].gen;
  v.expires_ns = content.expires_ns;
  v.fresh_ns = content.fresh_ns;
  v.generation_n = static_cast<uint32_t>(content.generations.size());
  WB_CHECK(v.generation_n <= WB_VARIANT_GENERATIONS, "generations of a variant");
  for (uint32_t i = 0; i < v.generation_n; i++) {
    const uint32_t index = content.generations[i];
    v.generation[i] = {index, static_cast<uint32_t>(programs_.generations[index])};
  }
  std::atomic_ref(v.hits).store(0, std::memory_order_relaxed);
  std::copy(content.part.begin(), content.part.end(), v.part);
  v.range_header_len = content.range_header_len;
  v.etag_len = static_cast<uint16_t>(content.etag.size() <= WB_ETAG_MAX ? content.etag.size() : 0);
  (void)Pad(v.etag, content.etag.substr(0, v.etag_len));
  v.last_modified_len = static_cast<uint16_t>(
      content.last_modified.size() <= WB_HTTP_DATE ? content.last_modified.size() : 0);
  (void)Pad(v.last_modified, content.last_modified.substr(0, v.last_modified_len));
}

void ObjectStore::Publish(uint32_t slot, bool own_freshness) {
  uint32_t flags = WB_VF_LIVE;
  if (own_freshness) flags |= WB_VF_OWN_FRESHNESS;
  std::atomic_ref(programs_.variants[slot].flags).store(flags, std::memory_order_release);
}

void ObjectStore::End(uint32_t slot) {
  std::atomic_ref(programs_.variants[slot].flags).store(0, std::memory_order_release);
}

void ObjectStore::Reuse(uint32_t slot) {
  std::atomic_ref(programs_.variants[slot].gen).fetch_add(1, std::memory_order_acq_rel);
}

uint64_t ObjectStore::Hits(uint32_t slot) const {
  return std::atomic_ref(programs_.variants[slot].hits).load(std::memory_order_relaxed);
}

uint64_t ObjectStore::AnsweredUntil(uint32_t slot) const {
  wb_variant& v = programs_.variants[slot];
  if (!(std::atomic_ref(v.flags).load(std::memory_order_acquire) & WB_VF_LIVE)) return 0;
  const uint32_t domain = std::atomic_ref(programs_.domains[v.domain].flags).load();
  if (!(domain & WB_DF_ENABLED) || Purged(slot)) return 0;
  return v.expires_ns == 0 ? UINT64_MAX : v.expires_ns;
}

absl::Status ObjectStore::SetPath(uint16_t domain, std::string_view target,
                                  const std::array<uint32_t, WB_ENCODINGS>& variants) {
  wb_path_key key;
  WB_RETURN_IF_ERROR(MakePathKey(key, domain, target));
  wb_path value = {};
  std::copy(variants.begin(), variants.end(), value.variant);
  return Update(programs_.skeleton()->maps.wb_paths, &key, &value);
}

absl::Status ObjectStore::SetUncacheable(uint16_t domain, std::string_view target,
                                         uint64_t retry_ns) {
  wb_path_key key;
  WB_RETURN_IF_ERROR(MakePathKey(key, domain, target));
  wb_path value = {};
  value.flags = WB_PF_UNCACHEABLE;
  value.retry_ns = retry_ns;
  return Update(programs_.skeleton()->maps.wb_paths, &key, &value);
}

absl::Status ObjectStore::DropPath(uint16_t domain, std::string_view target) {
  wb_path_key key;
  WB_RETURN_IF_ERROR(MakePathKey(key, domain, target));
  return Delete(programs_.skeleton()->maps.wb_paths, &key);
}

absl::Status ObjectStore::SetKey(std::string_view hex, uint32_t slot) {
  if (hex.size() != WB_KEY_HEX) return absl::InvalidArgumentError("a link key has 32 digits");
  WB_RETURN_IF_ERROR(Update(programs_.skeleton()->maps.wb_keys, hex.data(), &slot));
  if (observer_ == nullptr) return absl::OkStatus();
  const wb_part& get = programs_.variants[slot].part[WB_PART_GET];
  if (get.bank == WB_BULK_BANK)
    observer_->Drop(link::KeyOf(hex));
  else
    observer_->Set(link::KeyOf(hex), slot, get.len);
  return absl::OkStatus();
}

absl::StatusOr<size_t> ObjectStore::DropSomeKeys(size_t limit) {
  bpf_map* map = programs_.skeleton()->maps.wb_keys;
  std::array<uint8_t, WB_KEY_HEX> key;
  size_t dropped = 0;
  while (dropped < limit && bpf_map_get_next_key(bpf_map__fd(map), nullptr, key.data()) == 0) {
    WB_RETURN_IF_ERROR(Delete(map, key.data()));
    if (observer_ != nullptr)
      observer_->Drop(link::KeyOf({reinterpret_cast<const char*>(key.data()), key.size()}));
    dropped++;
  }
  return dropped;
}

absl::Status ObjectStore::DropKey(std::string_view hex) {
  if (hex.size() != WB_KEY_HEX) return absl::InvalidArgumentError("a link key has 32 digits");
  WB_RETURN_IF_ERROR(Delete(programs_.skeleton()->maps.wb_keys, hex.data()));
  if (observer_ != nullptr) observer_->Drop(link::KeyOf(hex));
  return absl::OkStatus();
}

}  // namespace wb::kern
