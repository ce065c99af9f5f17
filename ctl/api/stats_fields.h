// SPDX-License-Identifier: Apache-2.0
// The JSON field names of the structs of stats.h; see fields.h, which includes this.
#ifndef CTL_API_STATS_FIELDS_H_
#define CTL_API_STATS_FIELDS_H_

#include "ctl/api/report_fields.h"
#include "ctl/api/stats.h"

namespace wb::api {

void Fields(auto& a, Is<VersionInfo> auto& s) {
  a("version", s.version);
  a("commit", s.commit);
  a("api", s.api);
}

void Fields(auto& a, Is<InterfaceInfo> auto& s) {
  a("name", s.name);
  a("ifindex", s.ifindex);
  a("mode", s.mode);
  a("why", s.why);
  a("since", s.since);
  a("shadow", s.shadow);
  a("bulk", s.bulk);
  a("bulk_why", s.bulk_why);
}

void Fields(auto& a, Is<Distribution> auto& s) {
  a("count", s.count);
  a("sum", s.sum);
  a("buckets", s.buckets);
}

void Fields(auto& a, Is<BulkStats> auto& s) {
  a("active", s.active);
  a("begun", s.begun);
  a("done", s.done);
  a("given_up", s.given_up);
  a("reset", s.reset);
  a("refused", s.refused);
  a("bytes", s.bytes);
  a("segments", s.segments);
  a("fast_retransmits", s.fast_retransmits);
  a("timeout_retransmits", s.timeout_retransmits);
  a("tail_probes", s.tail_probes);
  a("window_probes", s.window_probes);
  a("frames", s.frames);
  a("device_dropped", s.device_dropped);
  a("stalls", s.stalls);
  a("objects", s.objects);
  a("memory_used", s.memory_used);
  a("memory", s.memory);
  a("huge_pages", s.huge_pages);
  a("cpu_s", s.cpu_s);
  a("rtt_s", s.rtt_s);
  a("cwnd", s.cwnd);
}

void Fields(auto& a, Is<ShadowStats> auto& s) {
  a("requests_total", s.requests_total);
  a("bytes_total", s.bytes_total);
  a("segments_total", s.segments_total);
  a("ratio", s.ratio);
}

void Fields(auto& a, Is<AccessLogStats> auto& s) {
  a("enabled", s.enabled);
  a("written", s.written);
  a("failed", s.failed);
  a("lost", s.lost);
}

void Fields(auto& a, Is<RedirectStats> auto& s) {
  a("enabled", s.enabled);
  a("packets", s.packets);
  a("boosted", s.boosted);
  a("lingering", s.lingering);
}

void Fields(auto& a, Is<CatalogueStats> auto& s) {
  a("enabled", s.enabled);
  a("connections", s.connections);
  a("entries", s.entries);
  a("snapshots", s.snapshots);
  a("sent_bytes", s.sent_bytes);
  a("refused_address", s.refused_address);
  a("refused_handshake", s.refused_handshake);
  a("refused_limit", s.refused_limit);
}

void Fields(auto& a, Is<ConnectionStats> auto& s) {
  a("followed", s.followed);
  a("spliced", s.spliced);
  a("max", s.max);
  a("opened_total", s.opened_total);
  a("refused", s.refused);
}

void Fields(auto& a, Is<Staleness> auto& s) {
  a("count", s.count);
  a("sum_s", s.sum_s);
  a("max_s", s.max_s);
  a("p99_s", s.p99_s);
  a("buckets", s.buckets);
}

void Fields(auto& a, Is<VerificationStats> auto& s) {
  a("same", s.same);
  a("mismatch", s.mismatch);
  a("renewed", s.renewed);
  a("gone", s.gone);
  a("unknown", s.unknown);
}

void Fields(auto& a, Is<CacheStats> auto& s) {
  a("objects", s.objects);
  a("variants", s.variants);
  a("bytes_used", s.bytes_used);
  a("bytes_budget", s.bytes_budget);
  a("arena_bytes", s.arena_bytes);
  a("fills_total", s.fills_total);
  a("fills_failed", s.fills_failed);
  a("fills_refused", s.fills_refused);
  a("evictions", s.evictions);
  a("purges", s.purges);
  a("invalidations", s.invalidations);
  a("staleness", s.staleness);
  a("verifications", s.verifications);
  a("watch_overflows", s.watch_overflows);
}

void Fields(auto& a, Is<RepairStats> auto& s) {
  a("sack", s.sack);
  a("request", s.request);
  a("timer", s.timer);
}

void Fields(auto& a, Is<ConfigStats> auto& s) {
  a("hash", s.hash);
  a("loaded_at", s.loaded_at);
  a("last_reload_successful", s.last_reload_successful);
  a("reloads", s.reloads);
  a("reloads_failed", s.reloads_failed);
}

void Fields(auto& a, Is<ServerStatus> auto& s) {
  a("version", s.version);
  a("pid", s.pid);
  a("uptime_s", s.uptime_s);
  a("mode", s.mode);
  a("started_at", s.started_at);
  a("adopted", s.adopted);
  a("interfaces", s.interfaces);
  a("connections", s.connections);
  a("cache", s.cache);
  a("hits_total", s.hits_total);
  a("misses_total", s.misses_total);
  a("hit_ratio", s.hit_ratio);
  a("bytes_total", s.bytes_total);
  a("segments_total", s.segments_total);
  a("repairs", s.repairs);
  a("heartbeat_age_ms", s.heartbeat_age_ms);
  a("lease_ms", s.lease_ms);
  a("domains", s.domains);
  a("config", s.config);
  a("api_denied_total", s.api_denied_total);
  a("shadow", s.shadow);
  a("access_log", s.access_log);
  a("bulk", s.bulk);
  a("catalogue", s.catalogue);
  a("redirect", s.redirect);
}

void Fields(auto& a, Is<FillStats> auto& s) {
  a("window", s.window);
  a("running", s.running);
  a("waiting", s.waiting);
  a("dropped", s.dropped);
  a("answer_ms", s.answer_ms);
  a("paused_ms", s.paused_ms);
}

void Fields(auto& a, Is<DomainInfo> auto& s) {
  a("name", s.name);
  a("enabled", s.enabled);
  a("listeners", s.listeners);
  a("document_root", s.document_root);
  a("objects", s.objects);
  a("bytes_used", s.bytes_used);
  a("hits_total", s.hits_total);
  a("hits_keyed_total", s.hits_keyed_total);
  a("misses_total", s.misses_total);
  a("bytes_total", s.bytes_total);
  a("segments_total", s.segments_total);
  a("shadow_hits_total", s.shadow_hits_total);
  a("shadow_bytes_total", s.shadow_bytes_total);
  a("shadow_segments_total", s.shadow_segments_total);
  a("body_bytes", s.body_bytes);
  a("arena_bytes", s.arena_bytes);
  a("overhead_bytes", s.overhead_bytes);
  a("share_bytes", s.share_bytes);
  a("bound_bytes", s.bound_bytes);
  a("evictions", s.evictions);
  a("not_admitted", s.not_admitted);
  a("fills", s.fills);
}

}  // namespace wb::api

#endif  // CTL_API_STATS_FIELDS_H_
