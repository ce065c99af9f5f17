// SPDX-License-Identifier: Apache-2.0
// The keys that an origin's accelerator holds, as its booster knows them (docs/DESIGN.md,
// "Catalogue"). One writer, the channel's thread; any number of readers, without locks. What a
// reader sees may be some milliseconds old or, for a moment, an absent key too many: a request for
// a key that is gone is answered by the web server all the same.
#ifndef BOOSTER_LINK_CATALOGUE_H_
#define BOOSTER_LINK_CATALOGUE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace wb::link {

// The first 16 bytes of the HMAC (webbooster/abi/key_field.h).
using Key = std::array<uint8_t, 16>;

class Catalogue {
 public:
  // Room for `capacity` keys; more are not taken.
  explicit Catalogue(size_t capacity);
  ~Catalogue();
  Catalogue(const Catalogue&) = delete;
  Catalogue& operator=(const Catalogue&) = delete;

  // Bytes of the whole reply, head and body, when the key is held. Any thread.
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
