// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/admin.h"

#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "booster/boosterd/page.h"
#include "ctl/api/booster_routes.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr const char* kClasses[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

api::PeerPolicy PolicyOf(const config::Api& api) {
  api::PeerPolicy policy;
  if (!api.allow) return policy;
  policy.groups.emplace();
  for (const config::Principal& p : *api.allow)
    (p.group ? *policy.groups : policy.users).push_back(p.id);
  return policy;
}

api::BoosterRates RatesOf(const Rates& rates) { return {rates.requests, rates.response_bytes}; }

api::BoosterOrigin OriginOf(const OriginView& origin, uint32_t weight) {
  return {.address = origin.name,
          .weight = weight,
          .up = origin.up,
          .changes = origin.changes,
          .links = origin.links,
          .catalogued_keys = origin.keys,
          .waiting = origin.waiting,
          .busy = origin.busy,
          .hits = origin.hits,
          .misses = origin.misses,
          .retries = origin.retries,
          .coalesced = origin.coalesced};
}

api::BoosterDomain DomainOf(const View& view, size_t index) {
  const front::Domain& domain = view.snapshot->config.domains[index];
  const DomainView& seen = view.domains[index];
  api::BoosterDomain out;
  out.name = domain.name;
  out.aliases = domain.aliases;
  for (size_t i = 0; i < std::size(kClasses); ++i)
    out.responses[kClasses[i]] = seen.totals.responses[i];
  out.active = seen.totals.active;
  for (size_t i = 0; i < front::kCauses; ++i) {
    if (seen.totals.refused[i] > 0) out.refused[front::kCauseNames[i]] = seen.totals.refused[i];
  }
  out.request_bytes = seen.totals.request_bytes;
  out.response_bytes = seen.totals.response_bytes;
  out.rates = RatesOf(seen.rates);
  for (const DomainView::Choice& choice : seen.origins)
    out.origins.push_back(OriginOf(view.origins[choice.origin], choice.weight));
  return out;
}

api::BoosterConnections ConnectionsOf(const View& view) {
  const ConnectionsView& seen = view.connections;
  api::BoosterConnections out;
  out.open = seen.open;
  out.max = view.snapshot->config.limits.connections;
  out.accepted = seen.accepted;
  for (size_t i = 0; i < seen.ended.size(); ++i) out.ended[front::kEndNames[i]] = seen.ended[i];
  out.tls_handshakes = seen.tls;
  out.tls_resumed = seen.tls_resumed;
  out.h2 = seen.h2;
  out.buffered_bytes = seen.buffered;
  return out;
}

// Where the new connections of domains with VIPs go; those of others come here by themselves.
void AddStates(const api::BoostStatus& boost, api::BoosterStatus* out) {
  std::map<std::string_view, std::string_view> states;
  for (const api::BoostDomain& domain : boost.domains) states[domain.name] = domain.state;
  for (api::BoosterDomain& domain : out->domains) {
    if (const auto at = states.find(domain.name); at != states.end()) domain.mode = at->second;
  }
}

}  // namespace

absl::Status NoVips(const std::string& domain) {
  return absl::NotFoundError(
      absl::StrCat("no domain ", domain, " that has redirect.vips in the configuration"));
}

absl::StatusOr<std::unique_ptr<Admin>> Admin::Start(std::shared_ptr<const front::Snapshot> snapshot,
                                                    Parts parts, const std::string* predecessor) {
  const front::Config& config = snapshot->config;
  std::unique_ptr<Admin> admin(new Admin(snapshot, std::move(parts)));
  if (config.metrics.listen) {
    api::Server::Options options;
    options.host = config.metrics.listen->host;
    options.port = config.metrics.listen->port;
    options.beside = predecessor != nullptr;
    // Anybody may connect, and a silent client holds one of few threads.
    options.read_time = std::chrono::seconds(2);
    const auto serve = [admin = admin.get()](const api::ApiRequest& request,
                                             const absl::Notification&) {
      return admin->Serve(request);
    };
    WB_ASSIGN_OR_RETURN(admin->port_server_, api::Server::Start({serve}, options));
  }
  api::Server::Options options;
  options.socket_path = config.api.socket;
  options.socket_mode = config.api.mode;
  options.allow = PolicyOf(config.api);
  options.program = "boosterd";
  // Never in the place of another program's.
  options.beside = predecessor != nullptr && *predecessor == config.api.socket;
  api::BoosterService& service = *admin;
  WB_ASSIGN_OR_RETURN(admin->socket_server_, api::Server::Start(api::HandlerOf(service), options));
  return admin;
}

Admin::Admin(std::shared_ptr<const front::Snapshot> snapshot, Parts parts)
    : parts_(std::move(parts)),
      monitor_(parts_.workers, parts_.log, std::move(snapshot)),
      metrics_(WB_VERSION) {}

Admin::~Admin() {
  socket_server_.reset();
  port_server_.reset();
  monitor_.Stop();
}

uint16_t Admin::port() const { return port_server_ ? port_server_->port() : 0; }

api::ApiResponse Admin::Serve(const api::ApiRequest& request) {
  const bool page = request.path == "/";
  if (!page && request.path != "/metrics") {
    return {.http_status = 404, .body = "here are / and /metrics\n", .type = "text/plain"};
  }
  if (request.method != "GET" && request.method != "HEAD")
    return api::MethodNotAllowed("GET, HEAD");
  const std::shared_ptr<const View> view = monitor_.Look();
  api::ApiResponse response;
  response.type = page ? "text/html; charset=utf-8" : kMetricsType;
  response.fields = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
  if (page) {
    response.fields.emplace_back("Content-Security-Policy", PagePolicy());
    response.fields.emplace_back("Referrer-Policy", "no-referrer");
    response.body = StatusPage(*view, WB_VERSION);
  } else {
    std::optional<BoostFigures> boost;
    if (parts_.redirector != nullptr) boost = parts_.redirector->Figures();
    response.body = metrics_.Text(*view, denied_, boost ? &*boost : nullptr);
  }
  return response;
}

absl::StatusOr<api::BoosterStatus> Admin::GetStatus() {
  const std::shared_ptr<const View> view = monitor_.Look();
  const front::Config& config = view->snapshot->config;
  api::BoosterStatus out;
  out.version = WB_VERSION;
  out.instance = config.instance;
  out.pid = static_cast<uint64_t>(getpid());
  out.started_at =
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(view->started), absl::UTCTimeZone());
  out.uptime_s = static_cast<uint64_t>(view->uptime.count());
  out.draining = view->draining;
  for (const WorkerView& w : view->workers)
    out.workers.push_back({w.connections, w.accepted, w.load, w.cpu_seconds, w.turns});
  for (const front::Listener& l : config.listeners)
    out.listeners.push_back({l.address.ToString(), l.tls, l.proxy_protocol});
  out.connections = ConnectionsOf(*view);
  out.unrouted = view->connections.unrouted;
  out.rates = RatesOf(view->rates);
  out.access_log = {AccessLog::Wanted(config.access_log), view->log_written, view->log_failed,
                    view->log_lost};
  for (size_t i = 0; i < view->domains.size(); ++i) out.domains.push_back(DomainOf(*view, i));
  if (parts_.redirector != nullptr) AddStates(parts_.redirector->GetBoost(), &out);
  return out;
}

absl::StatusOr<api::VersionInfo> Admin::Version() {
  return api::VersionInfo{WB_VERSION, WB_COMMIT};
}

absl::StatusOr<api::BoosterReload> Admin::Reload() { return parts_.reload(); }
absl::StatusOr<api::BoosterUpgrade> Admin::Upgrade() { return parts_.upgrade(); }

absl::StatusOr<api::BoostStatus> Admin::GetBoost() {
  if (parts_.redirector != nullptr) return parts_.redirector->GetBoost();
  api::BoostStatus none;
  none.store = "file";
  none.capacity_percent = monitor_.Look()->snapshot->config.redirect.capacity;
  return none;
}

absl::StatusOr<api::BoostExplanation> Admin::ExplainBoost(const std::string& domain) {
  if (parts_.redirector == nullptr) return NoVips(domain);
  return parts_.redirector->Explain(domain);
}

absl::StatusOr<api::BoostOutcome> Admin::SetBoost(const std::string& domain,
                                                  const api::BoostRequest& request) {
  if (parts_.redirector == nullptr) return NoVips(domain);
  return parts_.redirector->Set(domain, request);
}

// Told every ten seconds at most: who is turned away may try as often as it likes.
void Admin::PeerDenied(const api::DeniedPeer& peer) {
  const uint64_t denied = ++denied_;
  const int64_t now = net::Clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  int64_t told = denied_told_ns_;
  if (told != 0 && now - told < 10'000'000'000) return;
  if (!denied_told_ns_.compare_exchange_strong(told, now)) return;
  spdlog::warn(
      "control socket: denied to user {} (group {}, pid {}), {} in all. api.allow of the "
      "configuration says who may",
      peer.uid, peer.gid, peer.pid, denied);
}

}  // namespace wb::boosterd
