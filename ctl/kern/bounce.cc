// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/bounce.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/link/socket_address.h"
#include "ctl/kern/pins.h"
#include "ctl/kern/programs.h"
#include "webbooster/base/posix_error.h"
#include "xdp_bounce.skel.h"

namespace wb::kern {
namespace {

using base::PosixError;

constexpr uint64_t kWayNs = 1000000000;  // between two looks for the way to the booster

template <typename T>
void Store(T& field, T value) {
  std::atomic_ref(field).store(value, std::memory_order_release);
}

std::string_view NameOf(const wb_bounce_domain& domain) {
  const char* name = reinterpret_cast<const char*>(domain.name);
  return {name, strnlen(name, sizeof(domain.name))};
}

// The keys of the map become those wanted, each with its value; the others go.
template <typename Key>
absl::Status Replace(bpf_map* map, const std::vector<std::pair<Key, uint32_t>>& wanted) {
  const int fd = bpf_map__fd(map);
  std::vector<Key> present;
  Key key = {};
  for (const Key* previous = nullptr; bpf_map_get_next_key(fd, previous, &key) == 0;
       previous = &present.back())
    present.push_back(key);
  for (const auto& [one, value] : wanted)
    if (bpf_map_update_elem(fd, &one, &value, BPF_ANY) != 0)
      return PosixError("fill", bpf_map__name(map));
  for (const Key& old : present) {
    const auto same = [&](const auto& w) { return memcmp(&w.first, &old, sizeof(old)) == 0; };
    if (std::ranges::none_of(wanted, same)) (void)bpf_map_delete_elem(fd, &old);
  }
  return absl::OkStatus();
}

}  // namespace

const std::array<BounceReasonText, WB_B_COUNT>& BounceReasonTexts() {
  static const std::array<BounceReasonText, WB_B_COUNT> texts = {{
#define WB_X(name, label, text) {label, text},
      WB_BOUNCE_REASONS(WB_X)
#undef WB_X
  }};
  return texts;
}

absl::StatusOr<std::unique_ptr<Bounce>> Bounce::Load(Options options, FindWay find_way) {
  std::unique_ptr<Bounce> bounce(new Bounce(std::move(options), std::move(find_way)));
  WB_RETURN_IF_ERROR(bounce->Open());
  WB_RETURN_IF_ERROR(bounce->PlaceDomains());
  WB_RETURN_IF_ERROR(bounce->EnterServices());
  WB_RETURN_IF_ERROR(bounce->EnterSources());
  return bounce;
}

absl::Status Bounce::Open() {
  skel_ = xdp_bounce_bpf__open();
  if (skel_ == nullptr) return PosixError("open", "the bounce program");
  WB_RETURN_IF_ERROR(SetPins(skel_->obj, options_.pin_dir,
                             [](std::string_view map) { return map.starts_with("wb_bounce_"); }));
  if (xdp_bounce_bpf__load(skel_) != 0) return PosixError("load", "the bounce program");
  WB_RETURN_IF_ERROR(ProtectPins(skel_->obj));
  const uint32_t zero = 0;
  if (bpf_map_update_elem(bpf_map__fd(skel_->maps.wb_bounce_next), &zero, &options_.ingress,
                          BPF_ANY) != 0)
    return PosixError("enter", "XDP ingress behind the bounce program");
  WB_ASSIGN_OR_RETURN(control_, Mapped<wb_bounce_control>::Create(
                                    bpf_map__fd(skel_->maps.wb_bounce_ctl), 1, "wb_bounce_ctl"));
  WB_ASSIGN_OR_RETURN(domains_,
                      Mapped<wb_bounce_domain>::Create(bpf_map__fd(skel_->maps.wb_bounce_dom),
                                                       WB_DOMAINS_MAX, "wb_bounce_dom"));
  Store(control_[0].lease_ns, static_cast<__u64>(options_.lease_ns));
  return absl::OkStatus();
}

// Domains that were there keep their places, and with them their state.
absl::Status Bounce::PlaceDomains() {
  std::set<std::string_view> wanted;
  for (const Service& service : options_.services) wanted.insert(service.domain);
  for (uint32_t place = 0; place < WB_DOMAINS_MAX; place++) {
    wb_bounce_domain& domain = domains_[place];
    const std::string_view name = NameOf(domain);
    if (name.empty()) continue;
    if (wanted.contains(name)) {
      places_.emplace(name, place);
      continue;
    }
    Store(domain.boosted, __u32{0});
    Store(domain.lingers, __u32{0});
    memset(domain.name, 0, sizeof(domain.name));
  }
  uint32_t place = 0;
  for (const std::string_view name : wanted) {
    if (places_.contains(name)) continue;
    while (place < WB_DOMAINS_MAX && !NameOf(domains_[place]).empty()) place++;
    if (place == WB_DOMAINS_MAX || name.size() >= sizeof(wb_bounce_domain::name))
      return absl::ResourceExhaustedError(absl::StrCat("no place for ", std::string(name)));
    memcpy(domains_[place].name, name.data(), name.size());
    places_.emplace(name, place);
  }
  return absl::OkStatus();
}

absl::Status Bounce::EnterServices() {
  std::vector<std::pair<wb_bounce_service, uint32_t>> wanted;
  for (const Service& service : options_.services) {
    wb_bounce_service key = {};
    memcpy(key.vip_be32, service.vip.data(), sizeof(key.vip_be32));
    key.port_be16 = htons(service.port);
    wanted.emplace_back(key, places_.find(service.domain)->second);
  }
  return Replace(skel_->maps.wb_bounce_svc, wanted);
}

absl::Status Bounce::EnterSources() {
  std::vector<std::pair<IpAddress, uint32_t>> wanted;
  for (const IpAddress& source : options_.sources) wanted.emplace_back(source, 1);
  return Replace(skel_->maps.wb_bounce_src, wanted);
}

Bounce::~Bounce() {
  if (skel_ != nullptr) xdp_bounce_bpf__destroy(skel_);
}

int Bounce::program() const { return bpf_program__fd(skel_->progs.wb_xdp_bounce); }

// A way that was known stays in use while it cannot be found: better a stale one than resets.
absl::Status Bounce::RefreshWay() {
  const uint64_t now = MonotonicNs();
  wb_target& booster = control_[0].booster;
  const bool ready = (booster.flags & WB_TGF_READY) != 0;
  if (ready && now < way_until_ns_) return absl::OkStatus();
  const auto hop = find_way_(*options_.booster, options_.local);
  way_until_ns_ = now + kWayNs;
  if (!hop.ok())
    return ready ? absl::OkStatus()
                 : absl::UnavailableError(absl::StrCat("the way to the booster is not known: ",
                                                       std::string(hop.status().message())));
  wb_target next = {};
  memcpy(next.address_be32, options_.booster->data(), sizeof(next.address_be32));
  memcpy(next.source_be32, hop->source.data(), sizeof(next.source_be32));
  next.kind = WB_TARGET_BOOSTER;
  next.tunnel = link::IsV4(*options_.booster) ? 4 : 6;
  SetWay(next, *hop);
  next.flags = WB_TGF_ALIVE | WB_TGF_READY;
  if (memcmp(&booster, &next, sizeof(next)) == 0) return absl::OkStatus();
  Store(booster.flags, __u8{0});
  next.flags = 0;
  memcpy(&booster, &next, sizeof(next));
  Store(booster.flags, static_cast<__u8>(WB_TGF_ALIVE | WB_TGF_READY));
  return absl::OkStatus();
}

absl::Status Bounce::Apply(std::span<const link::BounceEntry> entries) {
  if (!options_.booster) return absl::NotFoundError("no domain is to be bounced here");
  absl::Status status = RefreshWay();
  std::map<std::string_view, link::BounceMode> modes;
  for (const link::BounceEntry& entry : entries) {
    modes[entry.domain] = entry.mode;
    if (!places_.contains(entry.domain))
      status = absl::NotFoundError(absl::StrCat("redirect.bounce has no domain ", entry.domain));
  }
  bool any = false;
  for (const auto& [name, place] : places_) {
    wb_bounce_domain& domain = domains_[place];
    const auto it = modes.find(name);
    const auto mode = it == modes.end() ? link::BounceMode::kCalm : it->second;
    any |= mode == link::BounceMode::kBoosted;
    if (mode == link::BounceMode::kBoosted) Store(domain.lingers, __u32{1});
    Store(domain.boosted, __u32{mode == link::BounceMode::kBoosted});
    if (mode == link::BounceMode::kDrained) Store(domain.lingers, __u32{0});
  }
  Store(control_[0].heartbeat_ns, static_cast<__u64>(MonotonicNs()));
  return absl::IsUnavailable(status) && !any ? absl::OkStatus() : status;
}

absl::StatusOr<std::array<uint64_t, WB_B_COUNT>> Bounce::Counts() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return PosixError("count", "the CPUs", -cpus);
  std::vector<uint64_t> values(static_cast<size_t>(cpus));
  std::array<uint64_t, WB_B_COUNT> counts = {};
  for (uint32_t reason = 0; reason < WB_B_COUNT; reason++) {
    if (bpf_map_lookup_elem(bpf_map__fd(skel_->maps.wb_bounce_cnt), &reason, values.data()) != 0)
      return PosixError("read", "wb_bounce_cnt");
    for (const uint64_t n : values) counts[reason] += n;
  }
  return counts;
}

std::map<std::string, link::BounceMode> Bounce::Modes() const {
  std::map<std::string, link::BounceMode> modes;
  for (const auto& [name, place] : places_) {
    const bool boosted = std::atomic_ref(domains_[place].boosted).load() != 0;
    const bool lingers = std::atomic_ref(domains_[place].lingers).load() != 0;
    modes[name] = boosted   ? link::BounceMode::kBoosted
                  : lingers ? link::BounceMode::kCalm
                            : link::BounceMode::kDrained;
  }
  return modes;
}

}  // namespace wb::kern
