// SPDX-License-Identifier: Apache-2.0
// What the data path knows of time: accelerd's heartbeat (ARCHITECTURE.md, invariant 6: hits live
// on a lease) and the texts of the Date field, written ahead of need so that a reader never sees
// half a text. Called from the thread that watches the files: when that thread hangs, the lease
// runs out.
#ifndef WEBBOOSTER_CTL_ACCELERD_CLOCK_H_
#define WEBBOOSTER_CTL_ACCELERD_CLOCK_H_

#include <cstdint>

#include "ctl/kern/programs.h"

namespace wb::accelerd {

class Clock {
 public:
  explicit Clock(kern::Programs& programs) : programs_(programs) {}
  void Tick();

 private:
  kern::Programs& programs_;
  uint32_t written_ = 0;  // last second whose text is there
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_CLOCK_H_
