// SPDX-License-Identifier: Apache-2.0
// The tables that change with the configuration: services, targets, tunnels.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/director/director.h"
#include "webbooster/abi/control.h"
#include "webbooster/base/posix_error.h"
// Names the structs above.
#include "xdp_director.skel.h"

namespace wb::director {
namespace {

using base::PosixError;

wb_service_key KeyOf(const SocketAddress& vip, uint16_t port) {
  wb_service_key key = {};
  const std::array<uint32_t, 4> address = vip.Mapped();
  std::copy(address.begin(), address.end(), key.vip_be32);
  key.port_be16 = htons(port);
  return key;
}

template <typename T>
std::string Bytes(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Keys of the map that are not in `wanted`.
template <typename Key>
absl::Status RemoveOthers(int map, const std::map<std::string, std::string>& wanted) {
  std::vector<Key> others;
  Key key = {};
  const Key* previous = nullptr;
  for (; bpf_map_get_next_key(map, previous, &key) == 0; previous = &key)
    if (!wanted.contains(Bytes(key))) others.push_back(key);
  for (const Key& other : others)
    if (bpf_map_delete_elem(map, &other) != 0 && errno != ENOENT)
      return PosixError("remove", "an entry of the director");
  return absl::OkStatus();
}

// Makes the map hold exactly `wanted`; entries that do not change are not touched.
template <typename Key, typename Value>
absl::Status Apply(int map, const std::map<std::string, std::string>& wanted) {
  for (const auto& [key, value] : wanted) {
    Value there;
    if (bpf_map_lookup_elem(map, key.data(), &there) == 0 && Bytes(there) == value) continue;
    if (bpf_map_update_elem(map, key.data(), value.data(), BPF_ANY) != 0)
      return PosixError("enter", "a service or peer of the director");
  }
  return RemoveOthers<Key>(map, wanted);
}

absl::Status Check(absl::Span<const Service> services) {
  std::map<std::string, uint32_t> seen;
  for (const Service& s : services) {
    const std::string name = absl::StrCat(s.vip.ToString(), " port ", s.port);
    if (s.origins.size() > WB_DIRECTOR_CANDIDATES)
      return absl::InvalidArgumentError(
          absl::StrCat(name, " has more than ", WB_DIRECTOR_CANDIDATES, " origins"));
    if (s.domain >= WB_DIRECTOR_DOMAINS)
      return absl::InvalidArgumentError(absl::StrCat(name, " has no slot of a domain"));
    if (!seen.emplace(Bytes(KeyOf(s.vip, s.port)), s.domain).second)
      return absl::InvalidArgumentError(absl::StrCat(name, " is there twice"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<wb_service> Director::Compile(const Service& service) {
  wb_service compiled = {};
  compiled.domain = service.domain;
  for (const Target& origin : service.origins) {
    WB_ASSIGN_OR_RETURN(const uint16_t index, targets_.Enter(origin));
    compiled.origins.target[compiled.origins.count++] = index;
  }
  return compiled;
}

void Director::KeepTargets() {
  std::set<TargetId> wanted = of_services_;
  wanted.insert(of_boosters_.begin(), of_boosters_.end());
  targets_.Keep(wanted);
}

absl::Status Director::SetServices(absl::Span<const Service> services) {
  WB_RETURN_IF_ERROR(Check(services));
  std::lock_guard lock(mutex_);
  std::map<std::string, std::string> table;
  std::set<TargetId> wanted;
  for (const Service& s : services) {
    WB_ASSIGN_OR_RETURN(const wb_service compiled, Compile(s));
    table[Bytes(KeyOf(s.vip, s.port))] = Bytes(compiled);
    for (const Target& origin : s.origins) wanted.insert(IdOf(origin));
  }
  targets_.ResolveNew();
  WB_RETURN_IF_ERROR(
      (Apply<wb_service_key, wb_service>(bpf_map__fd(skeleton_->maps.wb_services), table)));
  of_services_ = std::move(wanted);
  KeepTargets();
  return absl::OkStatus();
}

absl::Status Director::SetBoosters(const SocketAddress& self, absl::Span<const Target> others) {
  if (others.size() >= WB_DIRECTOR_CANDIDATES)
    return absl::InvalidArgumentError(
        absl::StrCat("more than ", WB_DIRECTOR_CANDIDATES - 1, " other boosters"));
  std::lock_guard lock(mutex_);
  wb_candidates among = {};
  std::set<TargetId> wanted;
  among.target[among.count++] = WB_DIRECTOR_HERE;
  targets_.SetHere(self);
  boosters_.clear();
  for (const Target& other : others) {
    WB_ASSIGN_OR_RETURN(among.target[among.count++], targets_.Enter(other));
    wanted.insert(IdOf(other));
    boosters_.push_back(other.address);
  }
  targets_.ResolveNew();
  WB_RETURN_IF_ERROR(ApplyPeers());
  wb_candidates& live = control_[0].boosters;
  // Their order does not matter: what is read in between is one of both sets or part of it.
  std::atomic_ref count(live.count);
  count.store(std::min(count.load(), among.count), std::memory_order_release);
  for (uint32_t i = 0; i < among.count; ++i)
    std::atomic_ref(live.target[i]).store(among.target[i], std::memory_order_release);
  count.store(among.count, std::memory_order_release);
  of_boosters_ = std::move(wanted);
  KeepTargets();
  return absl::OkStatus();
}

absl::Status Director::SetBouncers(absl::Span<const SocketAddress> origins) {
  std::lock_guard lock(mutex_);
  bouncers_.assign(origins.begin(), origins.end());
  return ApplyPeers();
}

absl::Status Director::ApplyPeers() {
  std::map<std::string, std::string> table;
  const uint32_t origin = WB_TARGET_ORIGIN, booster = WB_TARGET_BOOSTER;
  for (const SocketAddress& a : bouncers_) table[Bytes(a.Mapped())] = Bytes(origin);
  for (const SocketAddress& a : boosters_) table[Bytes(a.Mapped())] = Bytes(booster);
  return Apply<wb_peer_key, uint32_t>(bpf_map__fd(skeleton_->maps.wb_peers), table);
}

bool Director::SetAlive(const Target& target, bool alive) {
  std::lock_guard lock(mutex_);
  return targets_.SetAlive(IdOf(target), alive);
}

void Director::Refresh() {
  std::lock_guard lock(mutex_);
  targets_.Refresh();
}

std::vector<TargetState> Director::Targets() const {
  std::lock_guard lock(mutex_);
  return targets_.States();
}

std::optional<uint32_t> Director::SlotOf(const SocketAddress& vip, uint16_t port) const {
  const wb_service_key key = KeyOf(vip, port);
  wb_service service;
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.wb_services), &key, &service) != 0)
    return std::nullopt;
  return service.domain;
}

}  // namespace wb::director
