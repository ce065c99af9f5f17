// SPDX-License-Identifier: Apache-2.0
#include "booster/director/target_table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::director {
namespace {

constexpr int kTries = 10;
constexpr std::chrono::milliseconds kTryEvery{20};

// The same at all boosters: of the address alone.
uint32_t HashId(const std::array<uint32_t, 4>& address) {
  uint32_t h = 2166136261u;  // FNV-1a
  const auto* bytes = reinterpret_cast<const uint8_t*>(address.data());
  for (size_t i = 0; i < sizeof(address); ++i) h = (h ^ bytes[i]) * 16777619u;
  return h;
}

SocketAddress ToAddress(const uint32_t (&words)[4]) {
  return SocketAddress::OfMapped(std::to_array(words));
}

void Store(uint8_t& flags, uint8_t value) {
  std::atomic_ref(flags).store(value, std::memory_order_release);
}

bool SameWay(const wb_target& a, const wb_target& b) {
  return a.ifindex == b.ifindex && a.mtu == b.mtu &&
         memcmp(a.source_be32, b.source_be32, sizeof(a.source_be32)) == 0 &&
         memcmp(a.mac_destination, b.mac_destination, sizeof(a.mac_destination)) == 0 &&
         memcmp(a.mac_source, b.mac_source, sizeof(a.mac_source)) == 0;
}

}  // namespace

TargetTable::TargetTable(kern::Mapped<wb_target> map, std::vector<SocketAddress> tunnel)
    : map_(std::move(map)), tunnel_(std::move(tunnel)) {
  wb_target& here = map_[WB_DIRECTOR_HERE];
  if (here.kind == WB_TARGET_NONE) {
    here.flags = WB_TGF_ALIVE | WB_TGF_READY;
    std::atomic_ref(here.kind).store(WB_TARGET_LOCAL, std::memory_order_release);
  }
  for (uint32_t i = WB_DIRECTOR_HERE + 1; i < map_.size(); ++i) {
    const wb_target& t = map_[i];
    if (t.kind == WB_TARGET_NONE) continue;
    Entry entry;
    entry.target = {static_cast<Kind>(t.kind), ToAddress(t.address_be32),
                    t.tunnel != 0 ? Encapsulation::kTunnel : Encapsulation::kL2};
    entry.index = static_cast<uint16_t>(i);
    entries_[IdOf(entry.target)] = entry;
    unused_ = i + 1;
  }
}

absl::StatusOr<uint16_t> TargetTable::FreeIndex() {
  if (unused_ < map_.size()) return static_cast<uint16_t>(unused_++);
  if (resting_.empty())
    return absl::ResourceExhaustedError(absl::StrCat("more than ", map_.size() - 1, " targets"));
  const auto it = entries_.find(resting_.front());
  resting_.pop_front();
  const uint16_t index = it->second.index;
  entries_.erase(it);
  return index;
}

absl::StatusOr<uint16_t> TargetTable::Enter(const Target& target) {
  if (target.kind == Kind::kLocal) return uint16_t{WB_DIRECTOR_HERE};
  const TargetId id = IdOf(target);
  if (const auto it = entries_.find(id); it != entries_.end()) {
    std::erase(resting_, id);
    return it->second.index;
  }
  WB_ASSIGN_OR_RETURN(const uint16_t index, FreeIndex());
  Entry& entry = entries_[id];
  entry.target = target;
  entry.index = index;
  wb_target& t = map_[index];
  Store(t.flags, 0);
  wb_target fresh = {};
  std::copy(id.address.begin(), id.address.end(), fresh.address_be32);
  fresh.id = HashId(id.address);
  fresh.kind = static_cast<uint8_t>(target.kind);
  if (target.encapsulation == Encapsulation::kTunnel) fresh.tunnel = link::IsV4(id.address) ? 4 : 6;
  fresh.flags = WB_TGF_ALIVE;
  t = fresh;
  return index;
}

void TargetTable::ResolveNew() {
  std::vector<Entry*> fresh;
  for (auto& [id, entry] : entries_)
    if (!entry.sought) fresh.push_back(&entry);
  for (int tries = 0; tries < kTries && !fresh.empty(); ++tries) {
    if (tries > 0) std::this_thread::sleep_for(kTryEvery);
    const absl::StatusOr<kern::Neighbours> neighbours = kern::Neighbours::Read();
    for (Entry* entry : fresh) Resolve(*entry, neighbours);
    std::erase_if(fresh, [](const Entry* e) { return !absl::IsUnavailable(e->way); });
  }
}

void TargetTable::Keep(const std::set<TargetId>& wanted) {
  for (const auto& [id, entry] : entries_) {
    if (!wanted.contains(id) && std::find(resting_.begin(), resting_.end(), id) == resting_.end())
      resting_.push_back(id);
  }
}

bool TargetTable::SetAlive(const TargetId& id, bool alive) const {
  uint16_t index = WB_DIRECTOR_HERE;
  if (id.kind != Kind::kLocal) {
    const auto it = entries_.find(id);
    if (it == entries_.end()) return false;
    index = it->second.index;
  }
  std::atomic_ref flags(map_[index].flags);
  if (alive)
    flags.fetch_or(WB_TGF_ALIVE);
  else
    flags.fetch_and(static_cast<uint8_t>(~WB_TGF_ALIVE));
  return true;
}

void TargetTable::SetHere(const SocketAddress& self) {
  std::atomic_ref(map_[WB_DIRECTOR_HERE].id).store(HashId(self.Mapped()));
}

absl::StatusOr<wb_target> TargetTable::Ready(const Entry& entry, const kern::NextHop& way) const {
  wb_target t = map_[entry.index];
  std::array<uint32_t, 4> source = {};
  if (t.tunnel == 0 && way.by_router)
    return absl::FailedPreconditionError(
        absl::StrCat(entry.target.address.ToString(),
                     " is not on a link of this machine: l2 cannot reach it, tunnel can"));
  if (t.tunnel != 0) {
    source = way.source;
    for (const SocketAddress& own : tunnel_)
      if (link::IsV4(own.Mapped()) == (t.tunnel == 4)) source = own.Mapped();
  }
  kern::SetWay(t, way);
  std::copy(source.begin(), source.end(), t.source_be32);
  return t;
}

void TargetTable::Resolve(Entry& entry, const absl::StatusOr<kern::Neighbours>& neighbours) {
  const auto find = [&]() -> absl::StatusOr<wb_target> {
    if (!neighbours.ok()) return neighbours.status();
    WB_ASSIGN_OR_RETURN(const kern::NextHop way, neighbours->Find(entry.target.address.Mapped()));
    return Ready(entry, way);
  };
  const absl::StatusOr<wb_target> found = find();
  entry.way = found.status();
  entry.sought = true;
  wb_target& t = map_[entry.index];
  std::atomic_ref flags(t.flags);
  if (found.ok() && (t.flags & WB_TGF_READY) && SameWay(t, *found)) return;
  // What could not be asked just now is rather as it was than gone; no MAC address is known: it is.
  const bool asked = neighbours.ok() && (found.ok() || absl::IsNotFound(found.status()) ||
                                         absl::IsUnavailable(found.status()) ||
                                         absl::IsFailedPrecondition(found.status()));
  if (!asked && (t.flags & WB_TGF_READY)) return;
  flags.fetch_and(static_cast<uint8_t>(~WB_TGF_READY));
  if (!found.ok()) return;
  const uint8_t alive = flags.load();
  t = *found;
  flags.store(alive);
  flags.fetch_or(WB_TGF_READY, std::memory_order_release);
}

void TargetTable::Refresh() {
  const absl::StatusOr<kern::Neighbours> neighbours = kern::Neighbours::Read();
  const std::set<TargetId> resting(resting_.begin(), resting_.end());
  for (auto& [id, entry] : entries_)
    if (!resting.contains(id)) Resolve(entry, neighbours);
}

std::vector<TargetState> TargetTable::States() const {
  std::vector<TargetState> states;
  for (const auto& [id, entry] : entries_) {
    if (std::find(resting_.begin(), resting_.end(), id) != resting_.end()) continue;
    states.push_back({entry.target, (map_[entry.index].flags & WB_TGF_ALIVE) != 0, entry.way});
  }
  return states;
}

}  // namespace wb::director
