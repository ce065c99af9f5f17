// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/reloader.h"

#include <openssl/evp.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "ctl/accelerd/reload_plan.h"
#include "ctl/accelerd/setup.h"
#include "ctl/config/load.h"
#include "ctl/kern/counters.h"
#include "ctl/observe/notify.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr size_t kHashBytes = 6;  // what a metric, a double, holds exactly

std::string Hash(const std::string& text) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest = {};
  unsigned len = 0;
  (void)EVP_Digest(text.data(), text.size(), digest.data(), &len, EVP_sha256(), nullptr);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), kHashBytes));
}

std::string Now() { return absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()); }

}  // namespace

Reloader::Reloader(const Parts& parts, std::string path, const std::string& text)
    : parts_(parts), path_(std::move(path)) {
  stats_.hash = Hash(text);
  stats_.loaded_at = Now();
  thread_ = std::thread([this] { Run(); });
}

Reloader::~Reloader() { Stop(); }

void Reloader::Request() {
  {
    std::lock_guard lock(wake_mu_);
    requested_ = true;
  }
  wake_.notify_one();
}

void Reloader::Stop() {
  {
    std::lock_guard lock(wake_mu_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&mu_);  // of the API's
}

void Reloader::AddStats(api::ConfigStats& stats) const {
  absl::MutexLock lock(&stats_mu_);
  stats = stats_;
}

void Reloader::Run() {
  while (true) {
    {
      std::unique_lock lock(wake_mu_);
      wake_.wait(lock, [this] { return requested_ || stop_; });
      if (stop_) return;
      requested_ = false;
    }
    (void)Reload();
  }
}

absl::StatusOr<api::ReloadResult> Reloader::Reload() {
  absl::MutexLock lock(&mu_);
  {
    absl::MutexLock stats_lock(&stats_mu_);
    if (stop_) return absl::CancelledError("accelerd is stopping");
  }
  observe::NotifyManager("RELOADING=1");
  auto result = ReloadLocked();
  observe::NotifyManager("READY=1");
  absl::MutexLock stats_lock(&stats_mu_);
  stats_.last_reload_successful = result.ok();
  if (!result.ok()) {
    stats_.reloads_failed++;
    spdlog::error("{} is not reloaded{}:\n{}", path_,
                  absl::IsInternal(result.status()) ? "" : ", nothing has changed",
                  std::string(result.status().message()));
    return result;
  }
  stats_.reloads++;
  stats_.hash = result->hash;
  stats_.loaded_at = Now();
  for (const std::string& warning : result->warnings) spdlog::warn("reload: {}", warning);
  spdlog::info("reloaded {}; changed: {}", path_,
               result->changes.empty() ? "nothing" : absl::StrJoin(result->changes, ", "));
  return result;
}

absl::StatusOr<Reloader::Loaded> Reloader::Read() const {
  Loaded loaded;
  WB_ASSIGN_OR_RETURN(config::Config next, config::Load(path_, &loaded.warnings, &loaded.text));
  const config::Snapshot now = parts_.content.config();
  std::vector<std::string> refusals = Refusals(*now, next);
  if (!next.boosters.addresses.empty()) {
    auto key = config::ReadBoosterKey(next.boosters.key_file);
    if (key.ok())
      loaded.key = *key;
    else
      refusals.push_back(absl::StrCat("boosters.key_file: ", key.status().message()));
  }
  auto arranged = Arrange(*now, std::move(next), [this](uint32_t id) { return Unused(id); });
  if (!arranged.ok()) refusals.emplace_back(arranged.status().message());
  if (!refusals.empty()) {
    for (std::string& refusal : refusals) refusal = absl::StrCat(path_, ": ", refusal);
    return absl::FailedPreconditionError(absl::StrJoin(refusals, "\n"));
  }
  WB_ASSIGN_OR_RETURN(const kern::Names names, NamesOf(*arranged));
  WB_RETURN_IF_ERROR(parts_.store.CheckRoom(names));
  loaded.config = *std::move(arranged);
  return loaded;
}

// Has anything been counted for the domain? A new one would inherit it.
bool Reloader::Unused(uint32_t domain) const {
  const auto stats = kern::ReadDomain(parts_.programs, domain);
  return stats.ok() && stats->hits + stats->misses + stats->hits_keyed == 0;
}

absl::StatusOr<api::ReloadResult> Reloader::ReloadLocked() {
  WB_ASSIGN_OR_RETURN(const Loaded loaded, Read());
  const config::Snapshot before = parts_.content.config();
  WB_RETURN_IF_ERROR(parts_.endpoints.MoveExporter(loaded.config));
  if (absl::Status applied = Apply(loaded); !applied.ok())
    return absl::InternalError(absl::StrCat("in force only in part, for the kernel refused: ",
                                            applied.message(), "; restart accelerd"));
  api::ReloadResult result;
  result.hash = Hash(loaded.text);
  result.changes = Changes(*before, loaded.config);
  result.warnings = loaded.warnings;
  for (std::string& warning :
       parts_.interfaces.Follow(before->interfaces, loaded.config.interfaces))
    result.warnings.push_back(std::move(warning));
  return result;
}

// Every step leaves a data path that answers nothing wrong: names that are gone first, then what
// was cached for them, then what is new.
absl::Status Reloader::Apply(const Loaded& loaded) {
  const config::Snapshot before = parts_.content.config();
  const config::Config& next = loaded.config;
  WB_ASSIGN_OR_RETURN(const kern::Names names, NamesOf(next));
  const Losses losses = LossesOf(*before, next);
  const auto moved = [&](uint16_t id) {
    return id >= next.domains.size() || id >= before->domains.size() ||
           next.domains[id].name != before->domains[id].name;
  };
  for (uint16_t id : losses.domains)
    if (moved(id)) parts_.store.SetDomain(id, 0);
  kern::Names kept = names;
  for (const auto& [value, encoding] : names.encodings)
    if (losses.encodings & (1u << encoding)) kept.encodings.erase(value);
  if (parts_.content.OtherKey(loaded.key)) kept.boosters.clear();
  WB_RETURN_IF_ERROR(parts_.store.KeepOnly(kept));
  parts_.content.Apply(next, loaded.key);
  for (uint16_t id : losses.domains) {
    if (id >= next.domains.size() || !moved(id)) continue;
    parts_.content.ResetCounters(id);
    parts_.filler.ResetCounters(id);
    if (!Unused(id)) WB_RETURN_IF_ERROR(kern::ResetDomain(parts_.programs, id));
  }
  WB_RETURN_IF_ERROR(parts_.store.Enter(names));
  if (parts_.catalogue != nullptr)
    WB_RETURN_IF_ERROR(parts_.catalogue->SetPeers(names.boosters, loaded.key));
  SwitchDomains(*before, next);

  if (next.lease < before->lease) parts_.lease_changed(next);
  parts_.programs.SetTimes(Ns(next.lease), Ns(next.keepalive_refresh));
  if (next.lease > before->lease) parts_.lease_changed(next);
  parts_.filler.Resize(losses.domains);
  spdlog::set_level(
      spdlog::level::from_str(std::string(config::NameOf(config::kLogLevels, next.log.level))));
  return parts_.endpoints.SetSocketMode(next);
}

// `wbctl domain` stays in force where the file says what it said.
void Reloader::SwitchDomains(const config::Config& before, const config::Config& now) {
  for (uint32_t id = 0; id < now.domains.size(); id++) {
    const config::Domain& d = now.domains[id];
    if (d.name.empty()) continue;
    const bool same = id < before.domains.size() && before.domains[id].name == d.name &&
                      before.domains[id].enabled == d.enabled;
    const bool enabled =
        same ? (parts_.programs.domains[id].flags & WB_DF_ENABLED) != 0 : d.enabled;
    parts_.store.SetDomain(id, DomainFlags(d, enabled));
  }
}

}  // namespace wb::accelerd
