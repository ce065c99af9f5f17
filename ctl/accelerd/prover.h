// SPDX-License-Identifier: Apache-2.0
// Admission by proof: before a template is answered with, each of its segments is made by the code
// that serves it (wb_xdp_admit, by BPF_PROG_TEST_RUN, in every size class), taken apart by code
// that shares nothing with it, and the whole compared with what the web server answered.
// Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_PROVER_H_
#define WEBBOOSTER_CTL_ACCELERD_PROVER_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "ctl/cache/template.h"
#include "ctl/kern/programs.h"

namespace wb::accelerd {

class Prover {
 public:
  explicit Prover(kern::Programs& programs) : programs_(programs) {}

  // The variant in `slot`, written but not published, against its sources by kind. DataLoss: the
  // message says what differs. Other errors: nothing could be proved.
  absl::Status Prove(
      uint32_t slot,
      const std::array<std::optional<cache::TemplateSource>, WB_PART_KINDS>& sources) const;

 private:
  kern::Programs& programs_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_PROVER_H_
