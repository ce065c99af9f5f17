// SPDX-License-Identifier: Apache-2.0
// The JSON field names of boost.h; see fields.h. Private to ctl/api/json.cc.
#ifndef CTL_API_BOOST_FIELDS_H_
#define CTL_API_BOOST_FIELDS_H_

#include "ctl/api/boost.h"
#include "ctl/api/report_fields.h"

namespace wb::api {

void Fields(auto& a, Is<BoostLoad> auto& s) {
  a("cpu_percent", s.cpu_percent);
  a("softirq_percent", s.softirq_percent);
  a("listen_queue_percent", s.listen_queue_percent);
  a("listen_overflows", s.listen_overflows);
  a("requests_per_s", s.requests_per_s);
  a("connections", s.connections);
  a("age_ms", s.age_ms);
}

void Fields(auto& a, Is<BoostDomain> auto& s) {
  a("name", s.name);
  a("mode", s.mode);
  a("state", s.state);
  a("by", s.by);
  a("reason", s.reason);
  a("since", s.since);
  a("raise_percent", s.raise_percent);
  a("lower_percent", s.lower_percent);
  a("until_s", s.until_s);
  a("hold_left_ms", s.hold_left_ms);
  a("switches_left", s.switches_left);
  a("switches_left_hour", s.switches_left_hour);
  a("priority", s.priority);
  a("relief_percent", s.relief_percent);
  a("load", s.load);
  a("counters", s.counters);
}

void Fields(auto& a, Is<BoostPeer> auto& s) {
  a("address", s.address);
  a("alive", s.alive);
}

void Fields(auto& a, Is<BoostStatus> auto& s) {
  a("domains", s.domains);
  a("peers", s.peers);
  a("booster_cpu_percent", s.booster_cpu_percent);
  a("capacity_percent", s.capacity_percent);
  a("store", s.store);
  a("store_healthy", s.store_healthy);
  a("store_error", s.store_error);
  a("interfaces", s.interfaces);
  a("counters", s.counters);
}

void Fields(auto& a, Is<BoostDecision> auto& s) {
  a("at", s.at);
  a("domain", s.domain);
  a("from", s.from);
  a("to", s.to);
  a("reason", s.reason);
  a("text", s.text);
}

void Fields(auto& a, Is<BoostExplanation> auto& s) {
  a("domain", s.domain);
  a("text", s.text);
  a("decisions", s.decisions);
}

void Fields(auto& a, Is<BoostRequest> auto& s) {
  a.Need("mode", s.mode);
  a("at_percent", s.at_percent);
  a("for_s", s.for_s);
}

void Fields(auto& a, Is<BoostOutcome> auto& s) {
  a("name", s.name);
  a("mode", s.mode);
  a("state", s.state);
  a("took_ms", s.took_ms);
  a("connections_kept", s.connections_kept);
  a("resets_seen", s.resets_seen);
}

}  // namespace wb::api

#endif  // CTL_API_BOOST_FIELDS_H_
