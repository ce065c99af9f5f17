// SPDX-License-Identifier: Apache-2.0
// What is written down of each variant for the next accelerd. A variant is believed only if its
// seal is that of everything it stands for; the seal is written when all else is there, and broken
// before anything of it changes, so that a process that dies between any two stores leaves nothing
// that is believed wrongly. Not thread-safe.
#ifndef WEBBOOSTER_CTL_KERN_LEDGER_H_
#define WEBBOOSTER_CTL_KERN_LEDGER_H_

#include <cstdint>
#include <string_view>

#include "ctl/kern/programs.h"
#include "webbooster/abi/ledger.h"

namespace wb::kern {

// Raised whenever the bytes that accelerd makes of an answer, or what may be answered, become
// others: what an earlier version cached is then fetched anew.
inline constexpr uint32_t kCacheFormat = 1;

class Ledger {
 public:
  explicit Ledger(Programs& programs) : programs_(programs) {}

  // Before the arena's range is written to. The seal is broken.
  void Enter(uint32_t slot, const wb_ledger& entry);
  // After the variant is published and its path points at it. `site`: the domain's name and what
  // its objects are made from.
  void Seal(uint32_t slot, std::string_view site, std::string_view target);
  // Before anything of the variant changes.
  void Break(uint32_t slot);
  // The range is nobody's.
  void Forget(uint32_t slot);

  const wb_ledger& at(uint32_t slot) const { return programs_.ledger[slot]; }
  // Is the variant live, of the present generation of its domain, and sealed so?
  bool Holds(uint32_t slot, std::string_view site, std::string_view target) const;

 private:
  Programs& programs_;
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_LEDGER_H_
