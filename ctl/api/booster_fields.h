// SPDX-License-Identifier: Apache-2.0
// The JSON field names of boosterd's structs; see fields.h. Private to ctl/api/json.cc.
#ifndef CTL_API_BOOSTER_FIELDS_H_
#define CTL_API_BOOSTER_FIELDS_H_

#include "ctl/api/booster.h"
#include "ctl/api/report_fields.h"

namespace wb::api {

void Fields(auto& a, Is<BoosterWorker> auto& s) {
  a("connections", s.connections);
  a("accepted", s.accepted);
  a("load", s.load);
  a("cpu_seconds", s.cpu_seconds);
  a("turns", s.turns);
}

void Fields(auto& a, Is<BoosterListener> auto& s) {
  a("address", s.address);
  a("tls", s.tls);
  a("proxy_protocol", s.proxy_protocol);
}

void Fields(auto& a, Is<BoosterConnections> auto& s) {
  a("open", s.open);
  a("max", s.max);
  a("accepted", s.accepted);
  a("ended", s.ended);
  a("tls_handshakes", s.tls_handshakes);
  a("tls_resumed", s.tls_resumed);
  a("h2", s.h2);
  a("buffered_bytes", s.buffered_bytes);
}

void Fields(auto& a, Is<BoosterRates> auto& s) {
  a("requests_per_s", s.requests_per_s);
  a("response_bytes_per_s", s.response_bytes_per_s);
}

void Fields(auto& a, Is<BoosterOrigin> auto& s) {
  a("address", s.address);
  a("weight", s.weight);
  a("up", s.up);
  a("changes", s.changes);
  a("links", s.links);
  a("catalogued_keys", s.catalogued_keys);
  a("waiting", s.waiting);
  a("busy", s.busy);
  a("hits", s.hits);
  a("misses", s.misses);
  a("retries", s.retries);
  a("coalesced", s.coalesced);
}

void Fields(auto& a, Is<BoosterDomain> auto& s) {
  a("name", s.name);
  a("mode", s.mode);
  a("aliases", s.aliases);
  a("responses", s.responses);
  a("active", s.active);
  a("refused", s.refused);
  a("request_bytes", s.request_bytes);
  a("response_bytes", s.response_bytes);
  a("rates", s.rates);
  a("origins", s.origins);
}

void Fields(auto& a, Is<BoosterLog> auto& s) {
  a("enabled", s.enabled);
  a("written", s.written);
  a("failed", s.failed);
  a("lost", s.lost);
}

void Fields(auto& a, Is<BoosterStatus> auto& s) {
  a("version", s.version);
  a("instance", s.instance);
  a("pid", s.pid);
  a("started_at", s.started_at);
  a("uptime_s", s.uptime_s);
  a("draining", s.draining);
  a("workers", s.workers);
  a("listeners", s.listeners);
  a("connections", s.connections);
  a("unrouted", s.unrouted);
  a("rates", s.rates);
  a("access_log", s.access_log);
  a("domains", s.domains);
}

void Fields(auto& a, Is<BoosterDomainList> auto& s) { a("domains", s.domains); }

void Fields(auto& a, Is<BoosterReload> auto& s) {
  a("domains", s.domains);
  a("restart", s.restart);
  a("warnings", s.warnings);
}

void Fields(auto& a, Is<BoosterUpgrade> auto& s) {
  a("old_pid", s.old_pid);
  a("old_version", s.old_version);
  a("new_pid", s.new_pid);
  a("new_version", s.new_version);
}

}  // namespace wb::api

#endif  // CTL_API_BOOSTER_FIELDS_H_
