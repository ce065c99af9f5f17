// SPDX-License-Identifier: Apache-2.0
// The targets as the director's program sees them, an index for each. An index whose target is not
// wanted any more is left as it is, because flows may still lead there, and is given away again
// only when no unused one is left, the oldest first. Not thread-safe, but for SetAlive().
#ifndef BOOSTER_DIRECTOR_TARGET_TABLE_H_
#define BOOSTER_DIRECTOR_TARGET_TABLE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/director/target.h"
#include "ctl/kern/mapped.h"
#include "ctl/kern/next_hop.h"

namespace wb::director {

struct TargetState {
  Target target;
  bool alive = false;
  absl::Status way;  // why it cannot be reached
};

class TargetTable {
 public:
  TargetTable() = default;
  // Adopts what is in the map. `tunnel`: our addresses in outer headers, at most one of a family;
  // without one, the address that the kernel would send from.
  TargetTable(kern::Mapped<wb_target> map, std::vector<SocketAddress> tunnel);

  // The index of the target, which is entered if it is new: alive, and not reachable before
  // ResolveNew(). ResourceExhausted: WB_DIRECTOR_TARGETS are wanted already.
  [[nodiscard]] absl::StatusOr<uint16_t> Enter(const Target& target);
  // Looks for the way to those that are new; waits a fifth of a second at most for their answers.
  void ResolveNew();
  // Those that are wanted from now on; the others rest.
  void Keep(const std::set<TargetId>& wanted);

  // False: not entered.
  bool SetAlive(const TargetId& id, bool alive) const;
  // Among the boosters: what all of them hash this machine by.
  void SetHere(const SocketAddress& self);
  // Looks again for the way to each that is wanted.
  void Refresh();
  std::vector<TargetState> States() const;

 private:
  struct Entry {
    Target target;
    uint16_t index = 0;
    bool sought = false;
    absl::Status way = absl::UnavailableError("not looked for yet");
  };

  void Resolve(Entry& entry, const absl::StatusOr<kern::Neighbours>& neighbours);
  absl::StatusOr<wb_target> Ready(const Entry& entry, const kern::NextHop& way) const;
  absl::StatusOr<uint16_t> FreeIndex();

  kern::Mapped<wb_target> map_;
  std::vector<SocketAddress> tunnel_;
  std::map<TargetId, Entry> entries_;
  std::deque<TargetId> resting_;
  uint32_t unused_ = WB_DIRECTOR_HERE + 1;  // from here on
};

}  // namespace wb::director

#endif  // BOOSTER_DIRECTOR_TARGET_TABLE_H_
