// SPDX-License-Identifier: Apache-2.0
// Who is told as keys come and go in the maps of the accelerator (ctl/kern/object_store.h).
#ifndef BOOSTER_LINK_KEY_OBSERVER_H_
#define BOOSTER_LINK_KEY_OBSERVER_H_

#include <cstdint>

#include "booster/link/link_key.h"

namespace wb::link {

// Called from any thread, with locks of the cache held: must not wait. Calls about one key come in
// the order in which the map changed.
class KeyObserver {
 public:
  // A key names that slot from now on, whose reply to GET has so many bytes, head and body, and is
  // one that XDP sends.
  virtual void Set(const Key& key, uint32_t slot, uint32_t bytes) = 0;
  virtual void Drop(const Key& key) = 0;
  // Keys that are there may be answered no more, or again.
  virtual void Recheck() = 0;

 protected:
  ~KeyObserver() = default;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_KEY_OBSERVER_H_
