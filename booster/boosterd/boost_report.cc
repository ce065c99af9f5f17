// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/boost_report.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace wb::boosterd {
namespace {

std::string Time(boost::WallTime at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(at), absl::UTCTimeZone());
}

template <typename E>
std::string Text(E value) {
  return std::string(boost::NameOf(value));
}

uint64_t Milliseconds(boost::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(
      0, std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

api::BoostLoad LoadOf(const boost::Sample& sample, boost::TimePoint now) {
  return {.cpu_percent = sample.cpu,
          .softirq_percent = sample.softirq,
          .listen_queue_percent = sample.listen_queue,
          .listen_overflows = sample.overflows,
          .requests_per_s = sample.rate,
          .connections = sample.connections,
          .age_ms = Milliseconds(now - sample.at)};
}

}  // namespace

boost::DomainConfig DomainConfigOf(const front::Domain& domain) {
  const front::DomainRedirect& redirect = domain.redirect;
  boost::Parameters parameters;
  parameters.mode = static_cast<boost::Mode>(redirect.mode);
  parameters.priority = static_cast<boost::Priority>(domain.priority);
  parameters.raise = static_cast<float>(redirect.raise);
  parameters.lower = static_cast<float>(redirect.lower);
  parameters.rise = redirect.rise;
  parameters.hold = redirect.hold;
  parameters.switches = redirect.switches;
  parameters.switches_hour = redirect.switches_hour;
  return {domain.name, parameters};
}

static_assert(static_cast<int>(front::BoostMode::kAuto) == static_cast<int>(boost::Mode::kAuto) &&
              static_cast<int>(front::BoostMode::kOn) == static_cast<int>(boost::Mode::kOn));
static_assert(static_cast<int>(front::Priority::kHigh) ==
                  static_cast<int>(boost::Priority::kHigh) &&
              static_cast<int>(front::Priority::kLow) == static_cast<int>(boost::Priority::kLow));

absl::StatusOr<boost::SetRequest> SetRequestOf(const api::BoostRequest& request) {
  const auto mode = boost::ValueIn<boost::Mode>(boost::kModeNames, request.mode);
  if (!mode) return absl::InvalidArgumentError("mode: must be off, on or auto");
  boost::SetRequest out;
  out.mode = *mode;
  if (request.at_percent) out.at = static_cast<double>(*request.at_percent);
  if (request.for_s) out.lasting = std::chrono::seconds(*request.for_s);
  return out;
}

api::BoostDomain ReportOf(const boost::DomainStatus& domain, boost::TimePoint now) {
  api::BoostDomain out;
  out.name = domain.name;
  out.mode = Text(domain.mode);
  out.state = Text(domain.state);
  out.reason = Text(domain.reason);
  out.since = Time(domain.since);
  out.raise_percent = static_cast<uint64_t>(domain.raise);
  out.lower_percent = static_cast<uint64_t>(domain.lower);
  if (domain.left) out.until_s = (Milliseconds(*domain.left) + 999) / 1000;
  out.hold_left_ms = Milliseconds(domain.hold_left);
  out.switches_left = domain.budget.minute;
  out.switches_left_hour = domain.budget.hour;
  out.priority = Text(domain.priority);
  out.relief_percent = domain.relief;
  if (domain.load) out.load = LoadOf(*domain.load, now);
  return out;
}

api::BoostDecision ReportOf(const boost::Decision& decision) {
  return {.at = Time(decision.when),
          .domain = decision.domain,
          .from = Text(decision.from),
          .to = Text(decision.to),
          .reason = Text(decision.why),
          .text = decision.Text()};
}

api::BoostOutcome ReportOf(const std::string& domain, const boost::Outcome& outcome) {
  return {.name = domain,
          .mode = Text(outcome.mode),
          .state = Text(outcome.state),
          .took_ms = std::chrono::duration<double, std::milli>(outcome.took).count(),
          .connections_kept = outcome.kept,
          .resets_seen = outcome.resets};
}

}  // namespace wb::boosterd
