// SPDX-License-Identifier: Apache-2.0
// The bulk objects of the cache, by variant: header, body in the bulk sender's memory, and whose
// turn it is to be evicted (SIEVE, as in ctl/cache/index.h, over all domains). Thread-safe. Bytes
// of what was dropped are free when the last reply of them is over.
#ifndef WEBBOOSTER_CTL_ACCELERD_BULK_OBJECTS_H_
#define WEBBOOSTER_CTL_ACCELERD_BULK_OBJECTS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "booster/bulk/response.h"
#include "booster/bulk/store.h"
#include "ctl/cache/partial.h"
#include "ctl/cache/template.h"

namespace wb::accelerd {

using BulkDigest = std::array<uint8_t, 32>;  // SHA-256
BulkDigest DigestOf(std::string_view body);

struct BulkObject {
  uint32_t gen = 0;                // of the variant
  std::string header;              // as the web server sent it
  uint16_t date_off = WB_NO_DATE;  // in it
  BulkDigest digest = {};          // of the body
  std::shared_ptr<const bulk::Object> body;
  std::optional<cache::PartialHeader> partial;  // none: ranges are the web server's

  // As it is sent, but for the Date.
  std::string Text() const;
  // What XDP has promised; nullopt: that is not of this object.
  std::optional<bulk::Response> Reply(const wb_bulk& promised) const;
};

class BulkObjects {
 public:
  explicit BulkObjects(std::unique_ptr<bulk::Store> store) : store_(std::move(store)) {}

  // Makes an object of a response, proved to hold its bytes; without any lock for long. nullptr:
  // there is no room for it. `digest`: of its body.
  std::shared_ptr<BulkObject> Make(const cache::TemplateSource& source,
                                   const BulkDigest& digest) const;
  // Whether the variant answers ranges just so.
  bool SameRanges(uint32_t slot, uint32_t gen,
                  const std::optional<cache::PartialHeader>& partial) const;
  // It is the variant's from now on; and may be evicted once it has been entered.
  void Put(uint32_t slot, uint32_t gen, std::shared_ptr<BulkObject> object);
  void Enter(uint32_t slot);
  // It is not answered any more, and is dropped soon.
  void Retire(uint32_t slot);
  void Drop(uint32_t slot);
  // nullptr: there is none of that generation.
  std::shared_ptr<const BulkObject> Find(uint32_t slot, uint32_t gen) const;
  // Whether the response is the same, whatever its Date. `digest`: of its body.
  bool Same(uint32_t slot, uint32_t gen, const cache::TemplateSource& source,
            const BulkDigest& digest) const;

  // The variant to evict next, which leaves the queue; nullopt: there is none. `hits`: of a variant
  // so far.
  std::optional<uint32_t> TakeVictim(const std::function<uint64_t(uint32_t)>& hits);
  // Whether less than an eighth of the memory would be free after so many bytes more.
  bool Short(uint64_t bytes) const;

  bulk::Store& store() const { return *store_; }
  size_t count() const;

 private:
  struct Entry {
    std::shared_ptr<const BulkObject> object;
    uint64_t seen = 0;  // hits
    std::optional<std::list<uint32_t>::iterator> place;
  };
  static uint64_t BytesOf(const Entry& entry) { return entry.object->body->bytes(); }
  void Unlink(Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::unique_ptr<bulk::Store> store_;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<uint32_t, Entry> entries_ ABSL_GUARDED_BY(mu_);  // by slot
  std::list<uint32_t> queue_ ABSL_GUARDED_BY(mu_);                     // slots, oldest first
  uint64_t retired_bytes_ ABSL_GUARDED_BY(mu_) = 0;                    // of entries in no queue
  std::list<uint32_t>::iterator hand_ ABSL_GUARDED_BY(mu_) = queue_.end();
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_BULK_OBJECTS_H_
