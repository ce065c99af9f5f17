// SPDX-License-Identifier: Apache-2.0
// The JSON field names of every struct of the API, once for writing and reading. Private to
// ctl/api/json.cc. Fields(a, s) calls a(name, member) per field, or a.Need(name, member) where a
// request must carry it.
#ifndef CTL_API_FIELDS_H_
#define CTL_API_FIELDS_H_

#include "ctl/api/json.h"
#include "ctl/api/report_fields.h"
#include "ctl/api/service.h"
#include "ctl/api/stats_fields.h"

namespace wb::api {

void Fields(auto& a, Is<CacheEntry> auto& s) {
  a("url", s.url);
  a("domain", s.domain);
  a("encoding", s.encoding);
  a("etag", s.etag);
  a("bytes", s.bytes);
  a("arena_bytes", s.arena_bytes);
  a("segments", s.segments);
  a("hits", s.hits);
  a("age_s", s.age_s);
  a("expires_in_s", s.expires_in_s);
}

void Fields(auto& a, Is<CacheList> auto& s) {
  a("total", s.total);
  a("entries", s.entries);
}

void Fields(auto& a, Is<WarmResult> auto& s) {
  a("url", s.url);
  a("ok", s.ok);
  a("reason", s.reason);
  a("bytes", s.bytes);
  a("segments", s.segments);
}

void Fields(auto& a, Is<Finding> auto& s) {
  a("id", s.id);
  a("severity", s.severity);
  a("subject", s.subject);
  a("message", s.message);
  a("remedy", s.remedy);
}

void Fields(auto& a, Is<AttachResult> auto& s) {
  a("interface", s.interface);
  a("mode", s.mode);
  a("why", s.why);
  a("findings", s.findings);
  a("shadow", s.shadow);
}

void Fields(auto& a, Is<DetachResult> auto& s) {
  a("drained_connections", s.drained_connections);
  a("reset_connections", s.reset_connections);
  a("seconds", s.seconds);
}

void Fields(auto& a, Is<ReloadResult> auto& s) {
  a("hash", s.hash);
  a("changes", s.changes);
  a("warnings", s.warnings);
}

void Fields(auto& a, Is<ReasonCount> auto& s) {
  a("hook", s.hook);
  a("label", s.label);
  a("text", s.text);
  a("count", s.count);
}

void Fields(auto& a, Is<DomainList> auto& s) { a("domains", s.domains); }
void Fields(auto& a, Is<ReasonList> auto& s) { a("reasons", s.reasons); }
void Fields(auto& a, Is<WarmReply> auto& s) { a("results", s.results); }
void Fields(auto& a, Is<PurgeReply> auto& s) { a("purged", s.purged); }

void Fields(auto& a, Is<DomainReply> auto& s) {
  a("name", s.name);
  a("enabled", s.enabled);
}

void Fields(auto& a, Is<EmptyBody> auto&) { (void)a; }
void Fields(auto& a, Is<WarmBody> auto& s) { a.Need("urls", s.urls); }

void Fields(auto& a, Is<AttachBody> auto& s) {
  a("mode", s.mode);
  a("shadow", s.shadow);
}

void Fields(auto& a, Is<PurgeRequest> auto& s) {
  a.Need("kind", s.kind);
  a("value", s.value);
  a("domain", s.domain);
}

void Fields(auto& a, Is<DetachBody> auto& s) {
  a("force", s.force);
  a("deadline_seconds", s.deadline_seconds);
}

void Fields(auto& a, Is<ErrorBody> auto& s) {
  a("code", s.code);
  a("message", s.message);
}

void Fields(auto& a, Is<ErrorReply> auto& s) { a("error", s.error); }

}  // namespace wb::api

#endif  // CTL_API_FIELDS_H_
