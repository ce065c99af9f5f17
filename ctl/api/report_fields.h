// SPDX-License-Identifier: Apache-2.0
// The JSON field names of the structs of reports.h; see fields.h, which includes this.
#ifndef CTL_API_REPORT_FIELDS_H_
#define CTL_API_REPORT_FIELDS_H_

#include <concepts>
#include <type_traits>

#include "ctl/api/reports.h"

namespace wb::api {

// The struct itself, const for a writer.
template <typename S, typename T>
concept Is = std::same_as<std::remove_const_t<S>, T>;

void Fields(auto& a, Is<ObjectVariant> auto& s) {
  a("encodings", s.encodings);
  a("etag", s.etag);
  a("last_modified", s.last_modified);
  a("bytes", s.bytes);
  a("arena_bytes", s.arena_bytes);
  a("overhead_bytes", s.overhead_bytes);
  a("segments", s.segments);
  a("hits", s.hits);
  a("age_s", s.age_s);
  a("expires_in_s", s.expires_in_s);
  a("freshness", s.freshness);
  a("ranges", s.ranges);
  a("header", s.header);
}

void Fields(auto& a, Is<RefusedEncoding> auto& s) {
  a("encoding", s.encoding);
  a("retry_in_s", s.retry_in_s);
}

void Fields(auto& a, Is<ObjectReport> auto& s) {
  a("url", s.url);
  a("domain", s.domain);
  a("state", s.state);
  a("reason", s.reason);
  a("retry_in_s", s.retry_in_s);
  a("filling", s.filling);
  a("watched", s.watched);
  a("depends_on", s.depends_on);
  a("variants", s.variants);
  a("refused_encodings", s.refused_encodings);
}

void Fields(auto& a, Is<DomainReport> auto& s) {
  a("name", s.name);
  a("enabled", s.enabled);
  a("enabled_configured", s.enabled_configured);
  a("aliases", s.aliases);
  a("ports", s.ports);
  a("origin", s.origin);
  a("fill_from", s.fill_from);
  a("document_root", s.document_root);
  a("cookies", s.cookies);
  a("query", s.query);
  a("exclude", s.exclude);
  a("objects", s.objects);
  a("bytes_used", s.bytes_used);
  a("arena_bytes", s.arena_bytes);
  a("share_bytes", s.share_bytes);
  a("bound_bytes", s.bound_bytes);
  a("evictions", s.evictions);
  a("not_admitted", s.not_admitted);
  a("hits_total", s.hits_total);
  a("hits_keyed_total", s.hits_keyed_total);
  a("misses_total", s.misses_total);
  a("hit_ratio", s.hit_ratio);
  a("bytes_total", s.bytes_total);
  a("segments_total", s.segments_total);
  a("refused_objects", s.refused_objects);
}

void Fields(auto& a, Is<ConnectionInfo> auto& s) {
  a("remote", s.remote);
  a("local", s.local);
  a("interface", s.interface);
  a("age_s", s.age_s);
  a("hits", s.hits);
  a("bytes", s.bytes);
  a("unacked_bytes", s.unacked_bytes);
  a("replies_in_flight", s.replies_in_flight);
  a("srtt_us", s.srtt_us);
  a("cwnd_bytes", s.cwnd_bytes);
  a("peer_window_bytes", s.peer_window_bytes);
  a("mss", s.mss);
  a("d_in", s.d_in);
  a("d_out", s.d_out);
  a("flags", s.flags);
  a("bulk_bytes", s.bulk_bytes);
  a("bulk_acked_bytes", s.bulk_acked_bytes);
  a("bulk_retransmits", s.bulk_retransmits);
}

void Fields(auto& a, Is<ConnectionList> auto& s) {
  a("total", s.total);
  a("connections", s.connections);
}

}  // namespace wb::api

#endif  // CTL_API_REPORT_FIELDS_H_
