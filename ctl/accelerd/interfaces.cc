// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/interfaces.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ctl/doctor/doctor.h"
#include "spdlog/spdlog.h"

namespace wb::accelerd {
namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kRoundBusyNs = 4 * kMs;   // timer resolution while replies are outstanding
constexpr uint64_t kRoundIdleNs = 10 * kMs;  // and otherwise
constexpr uint64_t kSweepNs = 2000 * kMs;    // reads a cache line of every slot
constexpr uint64_t kReclaimNs = 500 * kMs;
constexpr char kLinkPrefix[] = "link_xdp_";

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

}  // namespace

Interfaces::Interfaces(kern::Programs& programs, Content& content)
    : programs_(programs), content_(content), table_(programs) {}

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
        table_.Sweep(now, {});
        swept = now;
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

absl::StatusOr<kern::Attachment> Interfaces::Attach(const std::string& name,
                                                    kern::AttachMode mode) {
  absl::MutexLock lock(&mu_);
  std::set<uint32_t> taken;
  for (const auto& [other, entry] : entries_) taken.insert(entry.attachment.slot);
  uint32_t slot = 0;
  if (auto it = entries_.find(name); it != entries_.end()) {
    slot = it->second.attachment.slot;
  } else {
    while (taken.contains(slot)) slot++;
  }
  if (slot >= WB_IFS_MAX)
    return absl::ResourceExhaustedError(
        absl::StrCat("at most ", WB_IFS_MAX, " interfaces can be attached"));
  if (mode != kern::AttachMode::kGeneric) {
    if (absl::Status status = CheckTransmit(name); !status.ok()) return status;
  }
  auto attached = kern::AttachInterface(programs_, name, slot, mode);
  if (!attached.ok()) return attached.status();
  spdlog::info("attached to {} ({}: {})", name, attached->native ? "native" : "generic",
               attached->why);
  entries_[name] = {*attached,
                    absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone())};
  return attached;
}

uint64_t Interfaces::Spliced(uint32_t ifindex) const {
  absl::MutexLock lock(&table_mu_);
  return table_.SplicedOn(ifindex, kern::MonotonicNs());
}

absl::Status Interfaces::TakeOff(const Entry& entry) {
  absl::Status status = kern::DetachInterface(programs_, entry.attachment);
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
    programs_.control[0].drain[a.slot] = 1;
  }
  api::DetachResult result;
  const uint64_t at_first = Spliced(a.ifindex);
  const absl::Time deadline = begin + absl::Seconds(static_cast<int64_t>(request.deadline_s));
  while (uint64_t left = Spliced(a.ifindex)) {
    if (request.force) {
      absl::MutexLock lock(&table_mu_);
      result.reset_connections += table_.ResetSpliced(a.ifindex);
      if (absl::Now() > begin + absl::Seconds(5)) break;
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
  if (programs_.control[0].drain[a.slot] == 0)
    return absl::AbortedError("attached again meanwhile");
  absl::Status status = TakeOff(it->second);
  entries_.erase(it);
  if (!status.ok()) return status;
  result.drained_connections = at_first - std::min(at_first, result.reset_connections);
  result.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return result;
}

std::vector<std::string> Interfaces::Adoptable() const {
  std::vector<std::string> names;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(programs_.pin_dir(), ec)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kLinkPrefix)) names.push_back(name.substr(sizeof(kLinkPrefix) - 1));
  }
  return names;
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
  return entries_.empty();
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
    if (programs_.control[0].drain[entry.attachment.slot] != 0) info.why += "; draining";
    info.since = entry.since;
    list.push_back(std::move(info));
  }
  return list;
}

kern::ConnCounts Interfaces::Count() const {
  absl::MutexLock lock(&table_mu_);
  return table_.Count();
}

}  // namespace wb::accelerd
