// SPDX-License-Identifier: Apache-2.0
// The data path's per-CPU counters, summed.
#ifndef WEBBOOSTER_CTL_KERN_COUNTERS_H_
#define WEBBOOSTER_CTL_KERN_COUNTERS_H_

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "ctl/kern/programs.h"
#include "webbooster/abi/reasons.h"

namespace wb::kern {

struct ReasonText {
  const char* label;
  const char* hook;
  const char* text;
};
// By enum wb_reason.
const std::array<ReasonText, WB_R_COUNT>& ReasonTexts();

absl::StatusOr<std::array<uint64_t, WB_R_COUNT>> ReadReasons(const Programs& programs);
// All that was counted for the domain is forgotten.
absl::Status ResetDomain(const Programs& programs, uint32_t domain);
absl::StatusOr<wb_domain_stats> ReadDomain(const Programs& programs, uint32_t domain);

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_COUNTERS_H_
