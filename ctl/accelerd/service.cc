// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/service.h"

#include <unistd.h>

#include <atomic>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "ctl/accelerd/setup.h"
#include "ctl/doctor/doctor.h"
#include "ctl/kern/counters.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr char kScheme[] = "http://";

double Ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string Severity(doctor::Severity severity) {
  switch (severity) {
    case doctor::Severity::kOk:
      return "ok";
    case doctor::Severity::kInfo:
      return "info";
    case doctor::Severity::kWarning:
      return "warning";
    case doctor::Severity::kError:
      return "error";
  }
  return "error";
}

// Of a result that may be of a moment ago.
std::string ClassName(const config::Config& config, size_t encoding) {
  return encoding <= config.accept_encodings.size() ? config.accept_encodings[encoding - 1] : "";
}

}  // namespace

AccelService::AccelService(kern::Programs& programs, kern::ObjectStore& store, Content& content,
                           Filler& filler, Interfaces& interfaces, const BulkPath& bulk,
                           const BulkObjects& bulk_objects, const Verifier& verifier,
                           const AccessLog* access_log, const link::ChannelServer* catalogue)
    : programs_(programs),
      store_(store),
      content_(content),
      filler_(filler),
      interfaces_(interfaces),
      bulk_(bulk),
      bulk_objects_(bulk_objects),
      verifier_(verifier),
      access_log_(access_log),
      catalogue_(catalogue),
      started_(absl::Now()) {}

absl::StatusOr<api::VersionInfo> AccelService::Version() {
  api::VersionInfo v;
  v.version = WB_VERSION;
  v.commit = WB_COMMIT;
  return v;
}

absl::StatusOr<api::ServerStatus> AccelService::GetStatus() {
  api::ServerStatus s;
  s.version = WB_VERSION;
  s.pid = getpid();
  s.uptime_s = static_cast<uint64_t>(absl::ToInt64Seconds(absl::Now() - started_));
  s.started_at = absl::FormatTime(absl::RFC3339_sec, started_, absl::UTCTimeZone());
  s.mode = std::atomic_ref(programs_.control[0].mode).load() == WB_MODE_SERVE
               ? api::RunMode::kServe
               : api::RunMode::kDrain;
  s.adopted = programs_.adopted();
  s.interfaces = interfaces_.List();
  const kern::ConnCounts conns = interfaces_.Count();
  WB_ASSIGN_OR_RETURN(const auto reasons, kern::ReadReasons(programs_));
  s.connections.followed = conns.followed;
  s.connections.spliced = conns.spliced;
  s.connections.max = programs_.connections();
  s.connections.opened_total = reasons[WB_R_SOCK_OPENED];
  s.connections.refused = reasons[WB_R_SOCK_REFUSED] + reasons[WB_R_SOCK_FULL];
  content_.AddStats(s.cache);
  api::VerificationStats& verified = s.cache.verifications;
  verified.same = verifier_.count(Verdict::kSame);
  verified.mismatch = verifier_.count(Verdict::kMismatch);
  verified.renewed = verifier_.count(Verdict::kRenewed);
  verified.gone = verifier_.count(Verdict::kGone);
  verified.unknown = verifier_.count(Verdict::kUnknown);
  // Of removed domains, too: counters never decrease.
  for (uint32_t d = 0; d < WB_DOMAINS_MAX; d++) {
    WB_ASSIGN_OR_RETURN(const wb_domain_stats stats, kern::ReadDomain(programs_, d));
    s.hits_total += stats.hits;
    s.misses_total += stats.misses;
    s.bytes_total += stats.bytes;
    s.segments_total += stats.segments;
    s.shadow.requests_total += stats.shadow_hits;
    s.shadow.bytes_total += stats.shadow_bytes;
    s.shadow.segments_total += stats.shadow_segments;
  }
  // Those of the shadow mode are among the misses.
  s.shadow.ratio = Ratio(s.shadow.requests_total, s.hits_total + s.misses_total);
  s.hit_ratio = Ratio(s.hits_total, s.hits_total + s.misses_total);
  s.repairs.sack = reasons[WB_R_REPAIR_SACK];
  s.repairs.request = reasons[WB_R_RESERVED];
  s.repairs.timer = reasons[WB_R_TIMER_RESENT];
  AddBulk(s.bulk);
  AddCatalogue(s.catalogue);
  s.access_log.enabled = access_log_ != nullptr;
  if (access_log_ != nullptr) {
    s.access_log.written = access_log_->written();
    s.access_log.failed = access_log_->failed();
  }
  s.access_log.lost = reasons[WB_R_LOG_LOST];
  // Before the clock: it is renewed meanwhile.
  const uint64_t heartbeat = std::atomic_ref(programs_.control[0].heartbeat_ns).load();
  s.heartbeat_age_ms = (kern::MonotonicNs() - heartbeat) / 1000000;
  const config::Snapshot config = content_.config();
  s.lease_ms = static_cast<uint64_t>(config->lease.count());
  for (const config::Domain& d : config->domains) s.domains += !d.name.empty();
  if (const Reloader* reloader = reloader_) reloader->AddStats(s.config);
  s.api_denied_total = denied_;
  return s;
}

absl::StatusOr<std::vector<api::DomainInfo>> AccelService::ListDomains() {
  std::vector<api::DomainInfo> list;
  const config::Snapshot config = content_.config();
  for (size_t d = 0; d < config->domains.size(); d++) {
    const config::Domain& domain = config->domains[d];
    if (domain.name.empty()) continue;
    WB_ASSIGN_OR_RETURN(const wb_domain_stats stats,
                        kern::ReadDomain(programs_, static_cast<uint32_t>(d)));
    api::DomainInfo info;
    info.name = domain.name;
    info.enabled = std::atomic_ref(programs_.domains[d].flags).load() & WB_DF_ENABLED;
    for (uint16_t port : domain.ports) info.listeners.push_back(absl::StrCat("*:", port));
    info.document_root = domain.document_root;
    content_.AddDomain(static_cast<uint16_t>(d), info);
    info.fills = filler_.Stats(static_cast<uint16_t>(d));
    info.hits_total = stats.hits;
    info.hits_keyed_total = stats.hits_keyed;
    info.misses_total = stats.misses;
    info.bytes_total = stats.bytes;
    info.segments_total = stats.segments;
    info.shadow_hits_total = stats.shadow_hits;
    info.shadow_bytes_total = stats.shadow_bytes;
    info.shadow_segments_total = stats.shadow_segments;
    list.push_back(std::move(info));
  }
  return list;
}

absl::Status AccelService::Switch(const std::string& name, bool enabled) {
  const auto domain = content_.FindDomain(name);
  if (!domain) return absl::NotFoundError(absl::StrCat("there is no domain ", name));
  const config::Snapshot config = content_.config();
  if (*domain >= config->domains.size() || config->domains[*domain].name.empty())
    return absl::AbortedError("the configuration is being reloaded: try again");
  store_.SetDomain(*domain, DomainFlags(config->domains[*domain], enabled));
  return absl::OkStatus();
}

absl::StatusOr<api::ReloadResult> AccelService::Reload() {
  Reloader* const reloader = reloader_;
  if (reloader == nullptr) return absl::UnavailableError("accelerd is starting");
  return reloader->Reload();
}

absl::StatusOr<api::CacheList> AccelService::ListCache(const api::CacheFilter& filter) {
  if (!filter.domain.empty() && !content_.FindDomain(filter.domain))
    return absl::NotFoundError(absl::StrCat("there is no domain ", filter.domain));
  return content_.List(filter);
}

absl::StatusOr<std::vector<api::ReasonCount>> AccelService::Reasons() {
  WB_ASSIGN_OR_RETURN(const auto counts, kern::ReadReasons(programs_));
  std::vector<api::ReasonCount> list;
  for (uint32_t i = 0; i < WB_R_COUNT; i++) {
    const kern::ReasonText& r = kern::ReasonTexts()[i];
    list.push_back({r.hook, r.label, r.text, counts[i]});
  }
  return list;
}

// http://HOST[:PORT]/TARGET of a configured domain.
absl::StatusOr<cache::ObjectKey> AccelService::Parse(const std::string& url) const {
  if (!url.starts_with(kScheme))
    return absl::InvalidArgumentError(absl::StrCat(url, " does not begin with http://"));
  const std::string rest = url.substr(sizeof(kScheme) - 1);
  const size_t slash = rest.find('/');
  std::string host = absl::AsciiStrToLower(rest.substr(0, slash));
  host = host.substr(0, host.find(':'));
  const auto domain = content_.FindDomain(host);
  if (!domain) return absl::NotFoundError(absl::StrCat("there is no domain ", host));
  std::string target = slash == std::string::npos ? "/" : rest.substr(slash);
  for (char c : target)
    if (c <= ' ' || c == 0x7f || c == '#')
      return absl::InvalidArgumentError("the URL holds a character that no request target has");
  return cache::ObjectKey{*domain, std::move(target)};
}

absl::StatusOr<uint64_t> AccelService::Purge(const api::PurgeRequest& request) {
  switch (request.kind) {
    case api::PurgeKind::kUrl: {
      WB_ASSIGN_OR_RETURN(const cache::ObjectKey key, Parse(request.value));
      return content_.PurgeUrl(key.domain, key.target);
    }
    case api::PurgeKind::kPrefix: {
      WB_ASSIGN_OR_RETURN(const cache::ObjectKey key, Parse(request.value));
      return content_.PurgePrefix(key.domain, key.target);
    }
    case api::PurgeKind::kTag:
      return PurgeTag(request);
    case api::PurgeKind::kDomain: {
      const auto domain = content_.FindDomain(request.value);
      if (!domain) return absl::NotFoundError(absl::StrCat("there is no domain ", request.value));
      return content_.PurgeDomain(*domain);
    }
    case api::PurgeKind::kAll:
      break;
  }
  uint64_t n = 0;
  const config::Snapshot config = content_.config();
  for (size_t d = 0; d < config->domains.size(); d++)
    n += content_.PurgeDomain(static_cast<uint16_t>(d));
  return n;
}

absl::StatusOr<uint64_t> AccelService::PurgeTag(const api::PurgeRequest& request) {
  const config::Snapshot config = content_.config();
  const auto& domains = config->domains;
  std::optional<uint16_t> only;
  if (!request.domain.empty()) {
    only = content_.FindDomain(request.domain);
    if (!only) return absl::NotFoundError(absl::StrCat("there is no domain ", request.domain));
    if (domains[*only].tag_field.empty())
      return absl::FailedPreconditionError(
          absl::StrCat(request.domain, " has no tag_field in the configuration"));
  }
  uint64_t n = 0;
  for (size_t d = 0; d < domains.size(); d++)
    if (!domains[d].tag_field.empty() && (!only || *only == d))
      n += content_.PurgeTag(static_cast<uint16_t>(d), request.value);
  return n;
}

// Warm when any class is; its size is that of the first. The reason names the classes that are left
// to the web server.
void AccelService::Summarize(const std::vector<FillResult>& by_class,
                             api::WarmResult& result) const {
  std::map<std::string, std::vector<std::string>> refused;  // by reason
  const config::Snapshot config = content_.config();
  for (size_t i = 0; i < by_class.size(); i++) {
    const FillResult& filled = by_class[i];
    if (!filled.ok) {
      refused[filled.reason].push_back(i == 0 ? "(none)"
                                              : absl::StrCat("\"", ClassName(*config, i), "\""));
    } else if (!result.ok) {
      result.ok = true;
      result.bytes = filled.bytes;
      result.segments = filled.segments;
    }
  }
  if (!result.ok) {
    result.reason = by_class.front().reason;
    return;
  }
  std::vector<std::string> texts;
  for (const auto& [reason, classes] : refused)
    texts.push_back(absl::StrCat(reason, " for ", absl::StrJoin(classes, ", ")));
  result.reason = absl::StrJoin(texts, "; ");
}

absl::StatusOr<std::vector<api::WarmResult>> AccelService::Warm(
    const std::vector<std::string>& urls, const absl::Notification& stop) {
  std::vector<api::WarmResult> results;
  for (const std::string& url : urls) {
    if (stop.HasBeenNotified()) return absl::CancelledError("accelerd is stopping");
    api::WarmResult result;
    result.url = url;
    const auto key = Parse(url);
    if (!key.ok()) {
      result.reason = std::string(key.status().message());
    } else {
      Summarize(filler_.FillNow(*key), result);
    }
    results.push_back(std::move(result));
  }
  return results;
}

absl::StatusOr<api::AttachResult> AccelService::Attach(const std::string& interface,
                                                       api::AttachMode mode, bool shadow) {
  WB_ASSIGN_OR_RETURN(const kern::Attachment a, interfaces_.Attach(interface, mode, shadow));
  api::AttachResult result;
  result.interface = a.name;
  result.mode = a.native ? api::AttachMode::kNative : api::AttachMode::kGeneric;
  result.why = a.why;
  result.shadow = shadow;
  doctor::Options options;
  options.interface = interface;
  const config::Snapshot config = content_.config();
  options.pin_dir = config->pin_dir;
  options.cgroup = config->cgroup;
  for (const config::Domain& d : config->domains)
    options.ports.insert(options.ports.end(), d.ports.begin(), d.ports.end());
  for (const doctor::Finding& f : doctor::Examine(options))
    if (f.severity == doctor::Severity::kWarning || f.severity == doctor::Severity::kError)
      result.findings.push_back({f.id, Severity(f.severity), f.subject, f.message, f.remedy});
  return result;
}

absl::StatusOr<api::DetachResult> AccelService::Detach(const api::DetachRequest& request,
                                                       const absl::Notification& stop) {
  api::DetachRequest complete = request;
  const config::Snapshot config = content_.config();
  // Rounded up: never less than configured.
  if (!complete.deadline_s)
    complete.deadline_s = static_cast<uint64_t>(
        std::chrono::ceil<std::chrono::seconds>(config->drain_deadline).count());
  return interfaces_.Detach(complete, stop);
}

}  // namespace wb::accelerd
