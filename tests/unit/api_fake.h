// SPDX-License-Identifier: Apache-2.0
// For api_test and wbctl_test: a Service that remembers what it was asked.
#ifndef TESTS_UNIT_API_FAKE_H_
#define TESTS_UNIT_API_FAKE_H_

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ctl/api/service.h"

namespace wb::api {

// Knows the domain site.test, the interface wbt0 and whatever URL does not end in /missing.
class FakeService : public Service {
 public:
  absl::StatusOr<ServerStatus> GetStatus() override {
    ++calls;
    ServerStatus s;
    s.version = "9.8.7";
    s.pid = 4711;
    s.uptime_s = 3725;
    s.mode = RunMode::kDrain;
    s.interfaces = {{"wbt0", 7, AttachMode::kGeneric, "LRO is on", "2026-01-02T03:04:05Z"}};
    s.connections = {5, 3, 65536, 1234567, 2};
    s.cache.fills_refused = {{"set_cookie", 4}};
    s.cache.bytes_used = 1536;
    s.hit_ratio = 0.75;
    s.hits_total = 18446744073709551615u;
    return s;
  }
  absl::StatusOr<VersionInfo> Version() override { return VersionInfo{"9.8.7", "abc123"}; }
  absl::StatusOr<std::vector<DomainInfo>> ListDomains() override {
    return std::vector<DomainInfo>{
        {"site.test", true, {"198.18.0.1:80"}, "/srv/www", 10, 2048, 99}};
  }
  absl::Status EnableDomain(const std::string& name) override { return SetDomain(name, true); }
  absl::Status DisableDomain(const std::string& name) override { return SetDomain(name, false); }
  absl::StatusOr<CacheList> ListCache(const CacheFilter& f) override {
    filter = f;
    // The second URL is hostile: an escape sequence and a byte that is not UTF-8.
    CacheEntry a{"http://site.test/a", "site.test", "gzip", "\"e\"", 11673, 12288, 9, 42, 61, 30};
    CacheEntry b{"http://site.test/\x1b[2J\xff", "site.test", "identity", "", 1, 2, 1, 0, 1, {}};
    return CacheList{2, {a, b}};
  }
  absl::StatusOr<std::vector<ReasonCount>> Reasons() override {
    const uint64_t n = ++reason_calls;
    return std::vector<ReasonCount>{{"in", "hit", "answered from the cache", 1000 * n},
                                    {"in", "paws", "timestamp older than the last one", 0}};
  }
  absl::StatusOr<DomainReport> ShowDomain(const std::string& name) override {
    if (name != "site.test") return absl::NotFoundError("no domain " + name);
    DomainReport d;
    d.name = name;
    d.enabled_configured = true;
    d.aliases = {"www.site.test"};
    d.ports = {80, 8080};
    d.origin = "127.0.0.1:80";
    d.document_root = "/srv/www";
    d.cookies = "pass";
    d.query = "key";
    d.exclude = {"/private/"};
    d.hits_total = 300;
    d.misses_total = 100;
    d.hit_ratio = 0.75;
    d.refused_objects = {{"set_cookie", 4}};
    return d;
  }
  absl::StatusOr<ObjectReport> ShowObject(const std::string& url) override {
    object_url = url;
    ObjectReport o;
    o.url = url;
    o.domain = "site.test";
    if (url.ends_with("/missing")) return absl::NotFoundError("nothing is known of " + url);
    if (url.ends_with("/refused")) {
      o.state = ObjectState::kRefused;
      o.reason = "set_cookie";
      o.retry_in_s = 25;
      return o;
    }
    o.watched = true;
    o.depends_on = {"/srv/www/a"};
    o.filling = {"br"};
    o.refused_encodings = {{"deflate, gzip", 7}};
    ObjectVariant v{
        {"", "gzip"},
        "\"e\"",
        "Tue, 14 Nov 2023 22:13:20 GMT",
        11673,
        12288,
        400,
        9,
        42,
        61,
        {},
        Freshness::kFile,
        true,
        "HTTP/1.1 200 OK\r\nServer: \x1b[2Jevil\r\nDate: " + std::string(kDateMark) + "\r\n\r\n"};
    o.variants = {v};
    return o;
  }
  absl::StatusOr<ConnectionList> ListConnections(const ConnectionFilter& f) override {
    connection_filter = f;
    ConnectionInfo c{"198.18.0.2:40000",
                     "198.18.0.1:80",
                     "wbt0",
                     65,
                     42,
                     490000,
                     2896,
                     2,
                     1500,
                     14480,
                     65535,
                     1448,
                     4000,
                     490000,
                     {"spliced", "booster"}};
    return ConnectionList{3, {c}};
  }
  void PeerDenied(const DeniedPeer& peer) override {
    denied_uid = peer.uid;
    ++denied;
  }
  absl::StatusOr<uint64_t> Purge(const PurgeRequest& request) override {
    purge = request;
    if (throw_on_purge) throw std::runtime_error("a bug in the service");
    return 12;
  }
  absl::StatusOr<ReloadResult> Reload() override {
    if (!reload_errors.empty()) return absl::InvalidArgumentError(reload_errors);
    return ReloadResult{"0123456789ab", {"lease"}, {"interface wbt1 is not attached: \x1b[2J"}};
  }
  absl::StatusOr<AttachResult> Attach(const std::string& interface, AttachMode mode,
                                      bool shadow) override {
    last_shadow = shadow;
    if (interface != "wbt0") return absl::NotFoundError("no interface " + interface);
    if (mode == AttachMode::kNative)
      return absl::FailedPreconditionError("driver has no native XDP");
    Finding finding{"lro", "warning", "wbt0", "LRO is on", "ethtool -K wbt0 lro off"};
    return AttachResult{interface, AttachMode::kGeneric, "LRO is on", {finding}};
  }
  absl::StatusOr<std::vector<WarmResult>> Warm(const std::vector<std::string>& urls,
                                               const absl::Notification&) override {
    warm_batches.push_back(urls.size());
    std::vector<WarmResult> results;
    for (const std::string& url : urls) {
      const bool ok = !url.ends_with("/missing");
      results.push_back({url, ok, ok ? "" : "status 404", ok ? 100u : 0u, ok ? 1u : 0u});
    }
    return results;
  }
  absl::StatusOr<DetachResult> Detach(const DetachRequest& request,
                                      const absl::Notification& stop) override {
    detach = request;
    if (request.interface == "busy0") {
      detach_running.Notify();
      stop.WaitForNotification();
      return absl::CancelledError("accelerd is stopping");
    }
    if (request.deadline_s == 1 && !request.force)
      return absl::DeadlineExceededError("3 connections left");
    return DetachResult{4, request.force ? 3u : 0u, 0.25};
  }

  std::atomic<int> calls{0};
  std::atomic<uint64_t> reason_calls{0};
  std::atomic<int> denied{0};
  std::atomic<uint32_t> denied_uid{0};
  std::string object_url;
  ConnectionFilter connection_filter;
  CacheFilter filter;
  PurgeRequest purge;
  DetachRequest detach;
  std::vector<size_t> warm_batches;
  std::string last_domain;
  bool last_enabled = false;
  bool throw_on_purge = false;
  std::string reload_errors;
  bool last_shadow = false;
  absl::Notification detach_running;

 private:
  absl::Status SetDomain(const std::string& name, bool enabled) {
    last_domain = name;
    last_enabled = enabled;
    return name == "site.test" ? absl::OkStatus() : absl::NotFoundError("no domain " + name);
  }
};

}  // namespace wb::api

#endif  // TESTS_UNIT_API_FAKE_H_
