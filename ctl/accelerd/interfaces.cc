// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/interfaces.h"

#include <net/if.h>

#include <algorithm>
#include <optional>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ctl/doctor/doctor.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kRoundBusyNs = 4 * kMs;   // timer resolution while replies are outstanding
constexpr uint64_t kRoundIdleNs = 10 * kMs;  // and otherwise
constexpr uint64_t kSweepNs = 2000 * kMs;    // reads a cache line of every slot
constexpr uint64_t kReclaimNs = 500 * kMs;

// A device that takes frames from XDP and loses them would swallow every reply (PITFALLS 12).
absl::Status CheckTransmit(const std::string& name) {
  doctor::Options options;
  options.interface = name;
  for (const doctor::Finding& f : doctor::Examine(options)) {
    if (f.severity != doctor::Severity::kWarning && f.severity != doctor::Severity::kError)
      continue;
    if (f.id == "veth-peer-napi" || f.id == "xdp-transmit")
      return absl::FailedPreconditionError(
          absl::StrCat(f.subject, ": ", f.message, "; remedy: ", f.remedy));
  }
  return absl::OkStatus();
}

config::BulkPath BulkPathOf(const config::Config& config, const std::string& name) {
  for (const config::Interface& i : config.interfaces)
    if (i.name == name) return i.bulk;
  return config::BulkPath::kAuto;
}

}  // namespace

Interfaces::Interfaces(kern::Programs& programs, Content& content, BulkPath* bulk)
    : programs_(programs), content_(content), bulk_(bulk), table_(programs) {}

Interfaces::~Interfaces() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Interfaces::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Interfaces::Run() {
  uint64_t swept = 0, reclaimed = 0;
  while (!stop_) {
    const uint64_t now = kern::MonotonicNs();
    uint64_t next;
    {
      absl::MutexLock lock(&table_mu_);
      next = table_.RunTimers(now);
      if (now - swept > kSweepNs) {
        table_.Sweep(now, {}, bulk_ != nullptr ? bulk_->Slots() : absl::flat_hash_set<uint32_t>());
        swept = now;
        absl::MutexLock established_lock(&established_mu_);
        established_ = table_.EstablishedByPort();
      }
      if (now - reclaimed > kReclaimNs && content_.HasRetired()) {
        content_.Reclaim(table_.VariantsInFlight(), now);
        reclaimed = now;
      }
    }
    const uint64_t round = next < now + 1000 * kMs ? kRoundBusyNs : kRoundIdleNs;
    absl::SleepFor(absl::Nanoseconds(std::clamp<uint64_t>(next - now, kMs / 2, round)));
  }
}

// Connections keep the slot by which they send: an interface keeps its own, and gets none by which
// connections of another one would send.
absl::StatusOr<uint32_t> Interfaces::ChooseSlot(const std::string& name) const {
  if (auto it = entries_.find(name); it != entries_.end()) return it->second.attachment.slot;
  std::set<uint32_t> taken;
  for (const auto& [other, entry] : entries_) taken.insert(entry.attachment.slot);
  const uint32_t ifindex = if_nametoindex(name.c_str());
  for (const auto& [other, slot] : kern::SlotsByInterface(programs_)) {
    if (other == ifindex && !taken.contains(slot)) return slot;
    taken.insert(slot);
  }
  absl::MutexLock lock(&table_mu_);
  const auto used = table_.SlotsInUse(ifindex);
  for (uint32_t slot = 0; slot < WB_IFS_MAX; slot++)
    if (!taken.contains(slot) && !used.contains(slot)) return slot;
  for (uint32_t slot = 0; slot < WB_IFS_MAX; slot++) {
    if (taken.contains(slot)) continue;
    spdlog::warn("{} connections of an interface that is gone are reset to make room for {}",
                 table_.ResetSlot(slot), name);
    return slot;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("at most ", WB_IFS_MAX, " interfaces can be attached"));
}

absl::StatusOr<kern::Attachment> Interfaces::AttachLocked(const std::string& name,
                                                          kern::AttachMode mode,
                                                          std::optional<bool> shadow) {
  const std::optional<kern::AttachMode> present = kern::AttachedMode(programs_, name);
  if (present && mode != kern::AttachMode::kAuto && mode != *present)
    return absl::FailedPreconditionError(
        absl::StrCat(name, " is attached in ", api::NameOf(*present),
                     " mode already: `wbctl detach ", name, "` first, or attach without --mode"));
  std::string lacks;  // of native mode
  if (!present && mode != kern::AttachMode::kGeneric) {
    if (absl::Status status = CheckTransmit(name); !status.ok()) {
      if (mode == kern::AttachMode::kNative) return status;
      lacks = std::string(status.message());
      mode = kern::AttachMode::kGeneric;
    }
  }
  // What is gone holds no slot; another interface of the same name takes its place.
  std::erase_if(entries_, [&](const auto& entry) {
    char buffer[IF_NAMESIZE];
    return entry.first != name &&
           if_indextoname(entry.second.attachment.ifindex, buffer) == nullptr;
  });
  WB_ASSIGN_OR_RETURN(const uint32_t slot, ChooseSlot(name));
  // First: nothing must be answered meanwhile.
  const std::atomic_ref in_shadow(programs_.control[0].shadow[slot]);
  const uint8_t before = in_shadow.load();
  auto undo = absl::MakeCleanup([&] { in_shadow.store(before); });
  if (shadow) in_shadow.store(*shadow ? 1 : 0);
  WB_ASSIGN_OR_RETURN(kern::Attachment a, kern::AttachInterface(programs_, name, slot, mode));
  std::string since = absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone());
  if (auto it = entries_.find(name); it != entries_.end() && a.taken_over) {
    a.why = it->second.attachment.why;
    since = it->second.since;
  } else if (a.taken_over) {
    a.why = "taken over from an earlier process";
  } else if (!lacks.empty()) {
    a.why = absl::StrCat("native XDP would lose every reply: ", lacks);
  }
  std::move(undo).Cancel();
  const config::Snapshot config = content_.config();
  SendBulk(a, BulkPathOf(*config, name));
  entries_[name] = {a, since};
  missing_.erase(name);
  return a;
}

void Interfaces::SendBulk(const kern::Attachment& a, config::BulkPath path) {
  if (bulk_ == nullptr) return;
  const BulkWay way = bulk_->Use(a.slot, a.name, path);
  spdlog::info("{} sends bulk by {}: {}", a.name, config::NameOf(config::kBulkPaths, way.path),
               way.why);
}

absl::StatusOr<kern::Attachment> Interfaces::Attach(const std::string& name, kern::AttachMode mode,
                                                    bool shadow) {
  absl::MutexLock lock(&mu_);
  const bool ours = entries_.contains(name);
  WB_ASSIGN_OR_RETURN(kern::Attachment a, AttachLocked(name, mode, shadow));
  spdlog::info("attached to {} ({}{}: {})", name, a.native ? "native" : "generic",
               shadow ? ", shadow" : "", a.why);
  if (ours && a.taken_over)
    a.why = absl::StrCat("attached already, since ", entries_[name].since, ": ", a.why);
  return a;
}

absl::Status Interfaces::AttachAll(const std::vector<config::Interface>& configured) {
  absl::MutexLock lock(&mu_);
  for (const std::string& name : kern::PinnedInterfaces(programs_)) {
    if (auto a = AttachLocked(name, kern::AttachMode::kAuto, std::nullopt); !a.ok())
      spdlog::error("{} was attached by an earlier process and cannot be taken over: {}", name,
                    a.status().ToString());
    else
      spdlog::info("took over {} ({})", name, a->native ? "native" : "generic");
  }
  absl::Status first;
  for (const config::Interface& i : configured) {
    if (auto it = entries_.find(i.name); it != entries_.end()) {
      const kern::Attachment& a = it->second.attachment;
      const auto mode = a.native ? kern::AttachMode::kNative : kern::AttachMode::kGeneric;
      if (i.mode != kern::AttachMode::kAuto && i.mode != mode)
        spdlog::warn("{} stays in the mode that it was taken over in, {}: detach it to change that",
                     i.name, api::NameOf(mode));
      if (i.shadow != (programs_.control[0].shadow[a.slot] != 0))
        spdlog::warn("{} {}: `wbctl attach` changes that", i.name,
                     i.shadow ? "was taken over live and stays so"
                              : "was taken over in shadow mode and stays so");
      continue;
    }
    auto a = AttachLocked(i.name, i.mode, i.shadow);
    if (a.ok()) {
      spdlog::info("attached to {} ({}: {})", i.name, a->native ? "native" : "generic", a->why);
      continue;
    }
    spdlog::error("{} is not attached: {}", i.name, a.status().ToString());
    missing_[i.name] = {i.mode, std::string(a.status().message())};
    first.Update(a.status());
  }
  return entries_.empty() ? first : absl::OkStatus();
}

uint64_t Interfaces::Spliced(uint32_t ifindex) const {
  absl::MutexLock lock(&table_mu_);
  return table_.SplicedOn(ifindex, kern::MonotonicNs());
}

absl::Status Interfaces::TakeOff(const Entry& entry) {
  absl::Status status = kern::DetachInterface(programs_, entry.attachment);
  if (bulk_ != nullptr) bulk_->Close(entry.attachment.slot);
  absl::MutexLock lock(&table_mu_);
  table_.Sweep(kern::MonotonicNs(), {entry.attachment.ifindex});
  spdlog::info("detached from {}", entry.attachment.name);
  return status;
}

absl::StatusOr<api::DetachResult> Interfaces::Detach(const api::DetachRequest& request,
                                                     const absl::Notification& stop) {
  const absl::Time begin = absl::Now();
  kern::Attachment a;
  {
    absl::MutexLock lock(&mu_);
    auto it = entries_.find(request.interface);
    if (it == entries_.end())
      return absl::NotFoundError(absl::StrCat(request.interface, " is not attached"));
    a = it->second.attachment;
    it->second.draining = true;
    programs_.control[0].drain[a.slot] = 1;
    if (bulk_ != nullptr) bulk_->Leave(a.slot);
  }
  api::DetachResult result;
  const uint64_t at_first = Spliced(a.ifindex);
  const absl::Time deadline = begin + absl::Seconds(static_cast<int64_t>(*request.deadline_s));
  while (uint64_t left = Spliced(a.ifindex)) {
    if (request.force) {
      absl::MutexLock lock(&table_mu_);
      result.reset_connections += table_.ResetSpliced(a.ifindex);
      if (absl::Now() > begin + absl::Seconds(5))
        return absl::InternalError(
            absl::StrCat(left, " connections on ", request.interface,
                         " cannot be reset (see the log): the programs stay until they end"));
    } else if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(left, " connections on ", request.interface,
                       " still need translation: nothing is answered any more and the programs "
                       "stay until they end; try again, or --force"));
    }
    if (stop.WaitForNotificationWithTimeout(absl::Milliseconds(20)))
      return absl::CancelledError("accelerd is stopping");
  }
  absl::MutexLock lock(&mu_);
  auto it = entries_.find(request.interface);
  if (it == entries_.end())
    return absl::NotFoundError(absl::StrCat(request.interface, " is not attached any more"));
  if (!it->second.draining) return absl::AbortedError("attached again meanwhile");
  absl::Status status = TakeOff(it->second);
  entries_.erase(it);
  if (!status.ok()) return status;
  result.drained_connections = at_first - std::min(at_first, result.reset_connections);
  result.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return result;
}

bool Interfaces::Remain() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&mu_);
  for (const auto& [name, entry] : entries_)
    spdlog::info("{}: the programs stay for the next accelerd; hits live on the lease", name);
  return entries_.empty() && kern::PinnedInterfaces(programs_).empty();
}

bool Interfaces::Leave() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&mu_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    const uint64_t spliced = Spliced(it->second.attachment.ifindex);
    if (spliced != 0) {
      spdlog::warn(
          "{}: {} connections still need translation; the programs stay, answer nothing, and are "
          "taken over by the next "
          "accelerd",
          it->first, spliced);
      ++it;
      continue;
    }
    if (absl::Status status = TakeOff(it->second); !status.ok())
      spdlog::error("{}", status.ToString());
    it = entries_.erase(it);
  }
  return entries_.empty() && kern::PinnedInterfaces(programs_).empty();
}

std::vector<api::InterfaceInfo> Interfaces::List() const {
  absl::MutexLock lock(&mu_);
  std::vector<api::InterfaceInfo> list;
  for (const auto& [name, entry] : entries_) {
    api::InterfaceInfo info;
    info.name = name;
    info.ifindex = entry.attachment.ifindex;
    info.mode = entry.attachment.native ? api::AttachMode::kNative : api::AttachMode::kGeneric;
    info.why = entry.attachment.why;
    if (!kern::StillAttached(programs_, entry.attachment))
      info.why = "gone: the interface lost the program; attach again";
    if (entry.draining) info.why += "; draining";
    info.since = entry.since;
    info.shadow = programs_.control[0].shadow[entry.attachment.slot] != 0;
    if (bulk_ != nullptr) {
      const BulkWay way = bulk_->Way(entry.attachment.slot);
      info.bulk = config::NameOf(config::kBulkPaths, way.path);
      info.bulk_why = way.why;
    }
    list.push_back(std::move(info));
  }
  for (const auto& [name, missing] : missing_) {
    api::InterfaceInfo info;
    info.name = name;
    info.mode = missing.mode;
    info.why = absl::StrCat("not attached: ", missing.why);
    list.push_back(std::move(info));
  }
  return list;
}

std::map<uint16_t, uint32_t> Interfaces::EstablishedByPort() const {
  absl::MutexLock lock(&established_mu_);
  return established_;
}

kern::ConnCounts Interfaces::Count() const {
  absl::MutexLock lock(&table_mu_);
  return table_.Count();
}

}  // namespace wb::accelerd
