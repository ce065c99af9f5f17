// SPDX-License-Identifier: Apache-2.0
// What accelerd knows of the cache's contents: objects by (domain, target), their variants, the
// file paths they depend on, and which variant to evict next. A pure data structure: it frees no
// memory and writes no map; whoever removes something here does that. Not thread-safe.
//
// Eviction is SIEVE (Zhang et al., NSDI '24), for each domain on its own: variants queue in the
// order of admission; the hand goes from the oldest to the newest and takes the first without a hit
// since it last came by. "Visited" is a hit counter that has moved.
#ifndef CTL_CACHE_INDEX_H_
#define CTL_CACHE_INDEX_H_

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ctl/cache/arena.h"
#include "ctl/cache/neighbours.h"

namespace wb::cache {

struct ObjectKey {
  uint16_t domain = 0;
  std::string target;
  auto operator<=>(const ObjectKey&) const = default;
};

struct Variant {
  uint32_t slot = 0;       // index in wb_variants; unique among live variants, not 0
  uint16_t encodings = 0;  // bit i: class i of Accept-Encoding is answered with it
  ArenaRange range;
  uint32_t bytes = 0;  // of the response to GET
  int64_t admitted_ns = 0;
  uint32_t body_bytes = 0;  // of these, without the header
};

enum class ObjectState {
  kLive,     // has variants
  kRefused,  // known not to be cacheable until retry_ns
};

struct Object {
  ObjectState state = ObjectState::kLive;
  std::string reason;                                   // kRefused: why
  int64_t retry_ns = 0;                                 // kRefused
  std::list<const ObjectKey*>::iterator refused_place;  // kRefused; the index's own
  std::vector<Variant> variants;
  std::set<std::string> paths;     // real paths that it depends on (Location::paths)
  std::set<uint32_t> generations;  // indices of wb_generations that its variants depend on
};

struct Eviction {
  ObjectKey key;
  Variant variant;
};

// The variant that eviction would take next.
struct Victim {
  uint32_t slot = 0;
  const ObjectKey* key = nullptr;  // valid until the index changes
  uint32_t arena_bytes = 0;
};

struct DomainUse {
  uint64_t objects = 0;  // with variants
  uint64_t bytes = 0;    // Variant::bytes
  uint64_t variants = 0;
  uint64_t body_bytes = 0;   // Variant::body_bytes
  uint64_t arena_bytes = 0;  // ranges
};

// For a path whose last name begins with "index.": that of all such names in its directory, on
// which an object depends that is asked for by the directory's name. Else "".
std::string AnyIndexOf(std::string_view path);

// Whether an event on `event_path` concerns what depends on `path` (one of Location::paths): it is
// that path, its precompressed sibling, what it is a sibling of, or a directory above it.
bool Concerns(std::string_view event_path, std::string_view path);

class Index {
 public:
  // Hits of a slot so far; anything but the last answer counts as a visit.
  using HitsReader = std::function<uint64_t(uint32_t slot)>;
  // The hand passes a variant that had so many hits since it last came by.
  using HitsSeen = std::function<void(const ObjectKey& key, uint64_t hits)>;

  // At most `max_refused` objects are remembered as refused.
  Index(HitsReader hits, size_t max_refused, HitsSeen seen = {})
      : hits_(std::move(hits)), seen_(std::move(seen)), max_refused_(max_refused) {}
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  const Object* Find(const ObjectKey& key) const;
  // The variant for a class of Accept-Encoding; null when there is none.
  const Variant* FindVariant(const ObjectKey& key, uint8_t encoding) const;
  const ObjectKey* FindSlot(uint32_t slot) const;

  // Adds a variant and the paths that the object depends on; the object is made when new, and is
  // kLive. Classes that other variants of it answered are taken from them; those with none left are
  // removed and returned, for the caller to retire.
  [[nodiscard]] std::vector<Variant> AddVariant(const ObjectKey& key, const Variant& variant,
                                                const std::vector<std::string>& paths,
                                                const std::vector<uint32_t>& generations = {});
  // One class more for a variant that is there. It is taken from the variant that answered it,
  // which is removed and returned if it has none left.
  [[nodiscard]] std::vector<Variant> ShareVariant(uint32_t slot, uint8_t encoding);

  // Takes classes from the object, to which others must be left; variants that have none left are
  // removed and returned.
  [[nodiscard]] std::vector<Variant> DropClasses(const ObjectKey& key, uint16_t encodings);

  // Forgets variants and state, and remembers why. Only for an object without variants. Returns the
  // object that had to be forgotten for it.
  [[nodiscard]] std::optional<ObjectKey> Refuse(const ObjectKey& key, std::string_view reason,
                                                int64_t retry_ns);

  // Removes the object and returns its variants, for the caller to retire.
  [[nodiscard]] std::vector<Variant> Remove(const ObjectKey& key);

  // Moves the domain's hand to its next victim. nullopt: there are no variants, or none of the next
  // `steps` is without a hit since the hand last came by. `must`: in that case the one behind them.
  std::optional<Victim> NextVictim(uint16_t domain, size_t steps = SIZE_MAX, bool must = true);
  // The victim stays: the hand leaves it, until it comes by again.
  void Spare(uint16_t domain);
  // Removes and returns the next victim; its object goes with its last variant. nullopt: no
  // variants.
  [[nodiscard]] std::optional<Eviction> Evict(uint16_t domain, size_t steps = SIZE_MAX);
  // The same of a variant that is there.
  [[nodiscard]] Eviction EvictSlot(uint32_t slot);
  // Which variants to evict, the one of `slot` among them, so that `bytes` in a row become free;
  // empty when that cannot be. See neighbours.h.
  std::vector<uint32_t> Window(
      uint32_t slot, uint64_t bytes,
      const std::function<std::optional<uint32_t>(const ObjectKey&)>& worth) const;

  // Objects that an event on `path` concerns by one of their paths, as Concerns() has it.
  std::vector<ObjectKey> AffectedBy(std::string_view path) const;
  // Objects that depend on any file: all are in doubt after an overflow.
  void VisitWatched(const std::function<void(const ObjectKey&, const Object&)>& visit) const;

  // At most `limit` objects from `from` on, in order of domain and target. Returns where to go on;
  // nullopt: that was the last. A walk in pieces sees all that is there from its begin to its end.
  std::optional<ObjectKey> Visit(
      const ObjectKey& from, size_t limit,
      const std::function<void(const ObjectKey&, const Object&)>& visit) const;
  // At most `limit` objects, the first ones.
  std::vector<ObjectKey> WithPrefix(uint16_t domain, std::string_view target_prefix,
                                    size_t limit) const;
  DomainUse Use(uint16_t domain) const;
  // Objects of which a variant depends, or did while it lived, on that index of wb_generations.
  uint64_t DependingOn(uint32_t generation) const;

  size_t objects() const { return objects_.size(); }
  size_t variants() const { return slots_.size(); }
  size_t refused() const { return refused_.size(); }
  uint64_t body_bytes() const { return body_bytes_; }    // Variant::bytes of all
  uint64_t arena_bytes() const { return arena_bytes_; }  // ranges of live variants

 private:
  struct Slot {
    const ObjectKey* key;
    uint64_t seen_hits;
    std::list<uint32_t>::iterator place;
  };
  struct Domain {
    DomainUse use;
    std::list<uint32_t> queue;  // slots, oldest first
    std::list<uint32_t>::iterator hand = queue.end();
  };
  using Objects = std::map<ObjectKey, Object>;

  std::vector<Variant> TakeClasses(const ObjectKey& key, Object& object, uint16_t encodings);
  void Unlink(const ObjectKey& key, const Variant& variant);
  void Forget(Objects::iterator it);
  void AddPaths(Objects::iterator it, const std::vector<std::string>& paths);

  HitsReader hits_;
  HitsSeen seen_;
  size_t max_refused_;
  Objects objects_;  // node-based: the addresses of keys are kept below
  std::map<std::string, std::set<const ObjectKey*>, std::less<>> by_path_;
  std::unordered_map<uint32_t, Slot> slots_;
  std::unordered_map<uint16_t, Domain> domains_;  // node-based: iterators into it are kept
  Neighbours neighbours_;
  std::list<const ObjectKey*> refused_;               // oldest first
  std::unordered_map<uint32_t, uint64_t> depending_;  // objects by Object::generations
  uint64_t body_bytes_ = 0;
  uint64_t arena_bytes_ = 0;
};

}  // namespace wb::cache

#endif  // CTL_CACHE_INDEX_H_
