// SPDX-License-Identifier: Apache-2.0
// The catalogue at its origin: which keys there are, which of them are answered and so are told,
// and what each reader has yet to be told. A pure data structure, not thread-safe.
//
// A reader gets all that is told, walked through while it changes, and then the log of changes
// since the walk began: an entry that the walk has missed, or caught too early, is set right by the
// log. The log is short and is everyone's: a reader that falls behind it begins anew, so that slow
// ones cost nothing.
#ifndef BOOSTER_LINK_CATALOGUE_SOURCE_H_
#define BOOSTER_LINK_CATALOGUE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/link/channel.h"

namespace wb::link {

class CatalogueSource {
 public:
  // Until when (ns of CLOCK_MONOTONIC) a request with a key of that slot is answered; 0: it is not,
  // UINT64_MAX: until further notice.
  using AnsweredUntil = std::function<uint64_t(uint32_t slot)>;

  // Of one reader, from its beginning to its end.
  class Reader {
   private:
    friend class CatalogueSource;
    enum class State { kBegin, kWalk, kFollow };
    State state = State::kBegin;
    size_t walked = 0;  // entries
    uint64_t read = 0;  // changes
  };

  // The log holds `changes`, of 20 bytes each.
  CatalogueSource(AnsweredUntil answered_until, size_t changes)
      : answered_until_(std::move(answered_until)), log_(changes) {}

  // `bytes`: of the slot's reply, not 0. No slot is 0.
  void Set(const Key& key, uint32_t slot, uint32_t bytes, uint64_t now);
  void Drop(const Key& key);
  // Asks of all keys again whether they are answered.
  void Recheck(uint64_t now);
  // A key that is told is not answered any more from then on.
  uint64_t next_end() const { return next_end_; }

  // Appends frames until `out` has `enough` bytes (and at most a frame more) or there are no more.
  void Read(Reader* reader, size_t enough, std::string* out);
  // Has it something to read?
  bool Behind(const Reader& reader) const;

  size_t told() const { return told_; }
  uint64_t begun() const { return begun_; }  // readers that began, or began anew

 private:
  struct Entry {
    Held held = {};
    uint32_t slot = 0;  // 0: the entry is free
    bool told = false;
  };
  void Judge(Entry& entry, uint64_t until, uint64_t now);
  void Note(const Key& key, uint32_t bytes);
  void Walk(Reader* reader, std::string* out);
  void Follow(Reader* reader, size_t enough, std::string* out);

  const AnsweredUntil answered_until_;
  std::vector<Entry> entries_;  // they stay in their places, for those that walk
  std::vector<uint32_t> free_;
  absl::flat_hash_map<Key, uint32_t, KeyHash> places_;
  std::vector<Held> log_;  // a ring; bytes 0: removed
  uint64_t logged_ = 0;
  uint64_t next_end_ = UINT64_MAX;
  size_t told_ = 0;
  uint64_t begun_ = 0;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CATALOGUE_SOURCE_H_
