// SPDX-License-Identifier: Apache-2.0
// The keys that an origin's accelerator holds, as its booster knows them (docs/DESIGN.md,
// "The catalogue"). One writer, the channel's thread; any number of readers, without locks. What a
// reader sees may be some milliseconds old or, for a moment, a key too many or too few: a request
// for a key that is gone is answered by the web server all the same, and one that is not known to
// be held goes by itself.
#ifndef BOOSTER_LINK_CATALOGUE_H_
#define BOOSTER_LINK_CATALOGUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "booster/link/link_key.h"

namespace wb::link {

class Catalogue {
 public:
  // Room for `capacity` keys, of 48 to 96 bytes each; more are not taken.
  explicit Catalogue(size_t capacity);
  ~Catalogue();
  Catalogue(const Catalogue&) = delete;
  Catalogue& operator=(const Catalogue&) = delete;

  // Bytes of the whole reply, head and body, when the key is held. Any thread; never waits for the
  // writer.
  std::optional<uint32_t> Find(const Key& key) const;
  size_t size() const;

  // The writer's. False: no room.
  bool Put(const Key& key, uint32_t reply_bytes);
  void Remove(const Key& key);
  void Clear();

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CATALOGUE_H_
