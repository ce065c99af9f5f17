// SPDX-License-Identifier: Apache-2.0
// What the engine is told and tells. Plain values.
#ifndef BOOSTER_BOOST_CONTROL_STATUS_H_
#define BOOSTER_BOOST_CONTROL_STATUS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "booster/boost/decision_log.h"
#include "booster/boost/load.h"
#include "booster/boost/parameters.h"
#include "booster/boost/reason.h"
#include "booster/boost/store.h"

namespace wb::boost {

struct DomainConfig {
  std::string name;
  Parameters parameters;
};

struct SetRequest {
  Mode mode = Mode::kAuto;
  std::optional<double> at = {};                          // percent instead of raise; with auto
  std::optional<std::chrono::milliseconds> lasting = {};  // then the mode before
};

struct Outcome {
  Mode mode = Mode::kOff;
  State state = State::kCalm;
  Duration took{};      // until it was in force for new connections
  uint64_t kept = 0;    // connections that stay where they are
  uint64_t resets = 0;  // of clients, meanwhile
};

struct DomainStatus {
  std::string name;
  Mode mode = Mode::kOff;
  State state = State::kCalm;
  Reason reason = Reason::kConfigured;            // of the state
  WallTime since;                                 // of the state
  double raise = 0, lower = 0;                    // percent, in force
  std::optional<std::chrono::milliseconds> left;  // of a mode for a time
  std::chrono::milliseconds hold_left{};
  Budget::Left budget;
  Priority priority = Priority::kNormal;
  std::optional<double> relief;    // points of the origin's load, while boosted
  std::optional<double> would_be;  // percent, without the boost
  std::optional<Sample> load;      // none: no report of the last second
  uint64_t kept = 0;               // connections, while draining
};

struct ControlStatus {
  std::vector<DomainStatus> domains;  // by name
  double booster_cpu = 0;             // percent of all its CPUs
  double capacity = 0;
  double request_cost = 0;  // percent of its CPU times seconds, as learnt
  bool leads = true;        // decides for auto domains
  std::string store_kind;
  StoreHealth store;
  std::string lost;  // why kept modes could not be read; empty: they were
};

struct Explanation {
  DomainStatus domain;
  Reason now = Reason::kBelowRaise;  // why it stays as it is
  std::string text;                  // for people
  std::vector<Decision> decisions;   // the youngest first
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_CONTROL_STATUS_H_
