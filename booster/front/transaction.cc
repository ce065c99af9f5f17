// SPDX-License-Identifier: Apache-2.0
#include "booster/front/transaction.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "booster/front/client_address.h"

namespace wb::front {
namespace {

constexpr std::string_view kMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
constexpr http::Refusal kNoDomain = {421, "this host is not served here"};
constexpr http::Refusal kOverloaded = {503, "the booster has too much to do"};
constexpr http::Refusal kOtherHost = {421, "this connection is not for this host"};
constexpr http::Refusal kTrace = {405, "TRACE is not allowed"};
constexpr http::Refusal kMaxForwards = {200, ""};

// What the status tells; another cause has been noted where it began.
Cause CauseOf(int status) {
  switch (status) {
    case 403:
      return Cause::kFilter;
    case 405:
      return Cause::kMethod;
    case 408:
      return Cause::kSlowClient;
    case 421:
      return Cause::kOtherHost;
    case 429:
      return Cause::kClientQuota;
    case 502:
      return Cause::kOrigin;
    case 503:
      return Cause::kShare;
    case 504:
      return Cause::kOriginLate;
    default:
      return Cause::kRequest;
  }
}

std::string_view ValueOf(const http::Fields& fields, std::string_view name) {
  const http::Field* field = fields.Find(name);
  return field ? field->value : std::string_view();
}

}  // namespace

std::string_view Services::Date() {
  if (date_.empty() || loop.now() - date_read_ >= std::chrono::milliseconds(100)) {
    date_read_ = loop.now();
    const time_t now = time(nullptr);
    tm utc;
    gmtime_r(&now, &utc);
    char text[32];
    date_.assign(text, strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &utc));
  }
  return date_;
}

http::Refusal Transaction::Begin(const http::RequestHead& head, const char* protocol) {
  head_ = &head;
  protocol_ = protocol;
  begun_ = services_.loop.now();
  client_.clear();
  snapshot_ = services_.snapshot;
  ask_ = {.head = &head,
          .client = peer_.address,
          .scheme = peer_.encrypted ? "https" : "http",
          .client_is_proxy = peer_.proxy};
  return Route();
}

http::Refusal Transaction::Route() {
  const std::optional<uint32_t> domain = snapshot_->Find(head_->authority.host);
  if (!domain) {
    services_.counters.unrouted.Add();
    return kNoDomain;
  }
  ask_.domain = *domain;
  counters_ = &services_.counters.domains[snapshot_->slots[*domain]];
  counters_->active.Add();
  if (const std::string_view host = head_->authority.host; peer_.stream && !host.empty()) {
    // A client that mixes names and connections up, or means another site (RFC 9113, 9.1.1).
    std::array<char, 256> memory;
    if (!peer_.stream->MayServe(Canonical(host, memory))) return kOtherHost;
  }
  if (head_->method == "TRACE") return kTrace;  // it would show fields that a page must not see
  if (head_->max_forwards && *head_->max_forwards == 0) return kMaxForwards;
  return Admit(*domain);
}

http::Refusal Transaction::Admit(uint32_t domain) {
  const Domain& config = snapshot_->config.domains[domain];
  if ((retry_after_s_ = services_.overload.Refuse(config.priority)) > 0) {
    Refused(Cause::kOverload);
    return kOverloaded;
  }
  Address client = peer_.ip;
  if (peer_.proxy) {
    std::string list;
    for (const http::Field& field : head_->fields) {
      if (field.info.id != http::Name::kXForwardedFor || field.connection_named) continue;
      if (!list.empty()) list.push_back(',');
      list.append(field.value);
    }
    client = ClientOf(peer_.ip, snapshot_->trusted, list);
    client_ = client.ToString();
  }
  Policy::Verdict verdict = snapshot_->policies[domain]->Admit(
      client, head_->method, head_->target.path, services_.loop.now());
  admission_ = std::move(verdict.admission);
  retry_after_s_ = verdict.retry_after_s;
  if (retry_after_s_ > 0) hold_ = services_.holds.Next();
  if (verdict.refusal.status == 503) Refused(Cause::kQuota);
  if (verdict.refusal.status == 405) allow_ = snapshot_->policies[domain]->allow();
  return verdict.refusal;
}

void Transaction::End() {
  if (!head_) return;
  const auto took = services_.loop.now() - begun_;
  if (counters_) {
    services_.counters.requests.Add();
    counters_->active.Subtract(1);
    counters_->responses[static_cast<size_t>(std::clamp(status_ / 100, 0, 5))].Add();
    if (cause_) counters_->refused[static_cast<size_t>(*cause_)].Add();
    counters_->request_bytes.Add(request_bytes_);
    counters_->response_bytes.Add(response_bytes_);
    const double seconds = std::chrono::duration<double>(took).count();
    const auto at = std::lower_bound(kLatencyBounds.begin(), kLatencyBounds.end(), seconds);
    counters_->latency[static_cast<size_t>(at - kLatencyBounds.begin())].Add();
    counters_->latency_ns.Add(static_cast<uint64_t>(std::chrono::nanoseconds(took).count()));
  }
  if (services_.log) {
    std::string target(head_->target.path);
    target.append(head_->target.query);
    services_.log->Write({.client = client_.empty() ? std::string_view(peer_.address) : client_,
                          .client_port = peer_.port,
                          .server = peer_.server,
                          .server_port = peer_.server_port,
                          .method = head_->method,
                          .target = target,
                          .host = head_->authority.host,
                          .referer = ValueOf(head_->fields, "referer"),
                          .user_agent = ValueOf(head_->fields, "user-agent"),
                          .protocol = protocol_,
                          .status = status_,
                          .cause = cause_ ? kCauseNames[static_cast<size_t>(*cause_)] : "",
                          .body_bytes = response_bytes_,
                          .took = took});
  }
  head_ = nullptr;
  counters_ = nullptr;
  admission_ = {};
  allow_ = {};
  retry_after_s_ = 0;
  hold_ = {};
  cause_.reset();
  status_ = 0;
  request_bytes_ = response_bytes_ = 0;
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

OwnResponse Answer(http::Refusal refusal, Transaction& transaction) {
  OwnResponse own;
  if (refusal.status != 200) transaction.Refused(CauseOf(refusal.status));
  if (refusal.status != 200) {
    own.fields = {{"Content-Type", "text/plain"}, {"Cache-Control", "no-store"}};
  }
  if (refusal.status == 200 || refusal.status == 405) {
    const std::string_view allow = transaction.allow();
    own.fields.emplace_back("Allow", allow.empty() ? kMethods : allow);
  }
  if (refusal.status == 200) return own;
  if (transaction.retry_after_s() > 0) {
    own.fields.emplace_back("Retry-After", std::to_string(transaction.retry_after_s()));
  }
  own.body = std::to_string(refusal.status);
  own.body.append(" ").append(ReasonPhrase(refusal.status)).append(": ");
  own.body.append(refusal.reason).append("\n");
  return own;
}

}  // namespace wb::front
