// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/boost_switch.h"

#include <utility>

#include "webbooster/base/posix_error.h"

namespace wb::boosterd {

absl::Status BoostSwitch::Open(const front::Redirect& redirect) {
  if (redirect.interfaces.empty()) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(director_, DirectorWay::Open(redirect));
  return absl::OkStatus();
}

absl::Status BoostSwitch::Adopt(const front::Config& config,
                                const std::vector<OriginChannel>& origins) {
  if (director_) WB_RETURN_IF_ERROR(director_->Adopt(config, origins));
  absl::flat_hash_set<std::string> bounced;
  for (const front::Domain& domain : config.domains) {
    if (!domain.redirect.vips.empty() && domain.redirect.by == front::Way::kBounce)
      bounced.insert(domain.name);
  }
  bounce_.Adopt(config, origins);
  const std::lock_guard lock(mutex_);
  bounced_ = std::move(bounced);
  return absl::OkStatus();
}

bool BoostSwitch::Bounced(const std::string& domain) const {
  const std::lock_guard lock(mutex_);
  return bounced_.contains(domain);
}

void BoostSwitch::Enforce(const std::string& domain, bool boosted) {
  const bool bounced = Bounced(domain);
  bounce_.Set(domain, bounced && boosted);
  // What an origin bounces comes in by a tunnel, whatever the mode.
  if (director_) director_->SetMode(domain, !bounced && boosted);
}

void BoostSwitch::Leave() {
  if (director_) director_->Rest();
  bounce_.Leave();
}

std::optional<DirectorWay::Came> BoostSwitch::Packets(const std::string& domain) const {
  if (!director_ || Bounced(domain)) return std::nullopt;
  return director_->Packets(domain);
}

void BoostSwitch::Describe(api::BoostDomain* domain) const {
  domain->by = Bounced(domain->name) ? "bounce" : "director";
  if (director_) domain->counters = director_->Counters(domain->name);
}

absl::StatusOr<boost::Effect> BoostSwitch::Apply(const std::string& domain, bool boosted) {
  if (!begun_) {
    Enforce(domain, boosted);
    return boost::Effect{};
  }
  if (Bounced(domain)) return bounce_.Apply(domain, boosted);
  if (!director_) return absl::FailedPreconditionError("there is no director here");
  return director_->Apply(domain, boosted);
}

boost::Duration BoostSwitch::TakeLapse() {
  return director_ ? director_->TakeLapse() : boost::Duration::zero();
}

uint64_t BoostSwitch::Kept(const std::string& domain) {
  if (Bounced(domain)) return bounce_.Here(domain);
  return director_ ? director_->Here(domain) : 0;
}

}  // namespace wb::boosterd
