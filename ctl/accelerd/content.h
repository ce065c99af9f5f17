// SPDX-License-Identifier: Apache-2.0
// The cache of one accelerd: what is in it, published and withdrawn so that the data path and the
// files never disagree for longer than it takes to read an inotify event. Order of a fill (PITFALLS
// 28): watch, fetch, read the events that have come meanwhile, and publish only if none of them
// concerns the object. Thread-safe. The lock is never held for long: the thread that vouches for
// the files by renewing the heartbeat takes it too. Filling is in content_fill.cc, lists are in
// content_report.cc.
#ifndef WEBBOOSTER_CTL_ACCELERD_CONTENT_H_
#define WEBBOOSTER_CTL_ACCELERD_CONTENT_H_

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "ctl/api/service.h"
#include "ctl/cache/arena.h"
#include "ctl/cache/docroot.h"
#include "ctl/cache/fetch.h"
#include "ctl/cache/index.h"
#include "ctl/cache/response.h"
#include "ctl/cache/watcher.h"
#include "ctl/config/config.h"
#include "ctl/kern/object_store.h"

namespace wb::accelerd {

// How long a range and a slot rest once nothing points at them: a packet in the data path has long
// been sent by then.
inline constexpr uint64_t kRestNs = 1000000000;
// Objects that are looked at under one hold of the lock.
inline constexpr size_t kPiece = 256;

// A fill between its beginning and its publication.
struct OpenFill {
  cache::ObjectKey key;
  uint8_t encoding = 0;
  std::optional<cache::Location> location;  // none: not a file of a document root
  cache::Watcher::Handle handle;
  bool dirty = false;  // something changed, or it was purged
};

struct FillResult {
  bool ok = false;
  std::string reason;
  uint64_t bytes = 0;
  uint64_t segments = 0;
};

class Content {
 public:
  using BoosterKey = std::array<uint8_t, config::kBoosterKeyBytes>;
  static absl::StatusOr<std::unique_ptr<Content>> Create(const config::Config& config,
                                                         kern::Programs& programs,
                                                         kern::ObjectStore& store,
                                                         std::optional<BoosterKey> key);

  // Readable when DrainWatch() has something to do.
  int watch_fd() const { return watch_fd_; }
  void DrainWatch();

  // The three steps of a fill; the fetch lies between the first and the second. Begin returns a
  // finished result when there is nothing to do (cached already, refused a moment ago, excluded).
  using FillHandle = std::list<OpenFill>::iterator;
  std::optional<FillResult> Begin(const cache::ObjectKey& key, uint8_t encoding, bool insist,
                                  FillHandle* fill);
  // nullopt: something changed meanwhile; begin again, or give up, which is remembered for a while.
  std::optional<FillResult> Finish(FillHandle fill,
                                   const absl::StatusOr<cache::FetchedObject>& fetched);
  FillResult GiveUp(const cache::ObjectKey& key, uint8_t encoding);
  // "no_room" is what a fill would end with just now: what was evicted must rest first.
  bool Full() const;

  // Objects purged. None of them is answered any more when this returns, whatever is being filled.
  uint64_t PurgeUrl(uint16_t domain, const std::string& target);
  uint64_t PurgePrefix(uint16_t domain, const std::string& prefix);
  uint64_t PurgeDomain(uint16_t domain);

  api::CacheList List(const api::CacheFilter& filter) const;
  // nullopt: nothing is known of it.
  std::optional<api::ObjectReport> Show(const cache::ObjectKey& key) const;
  // Objects that are known not to be cacheable, by reason.
  std::map<std::string, uint64_t> RefusedObjects(uint16_t domain) const;
  void AddStats(api::CacheStats& stats) const;
  std::pair<uint64_t, uint64_t> DomainUse(uint16_t domain) const;  // objects, bytes

  // Gives memory back that no reply under way can need; `in_flight`: variants of unacknowledged
  // replies, read after `now_ns`. To be called a few times a second.
  void Reclaim(const absl::flat_hash_set<uint32_t>& in_flight, uint64_t now_ns);
  // Nothing may be filled before: slots of an earlier process are still in flight.
  void ReserveSlots(const absl::flat_hash_set<uint32_t>& in_flight);
  bool HasRetired() const;

  std::optional<uint16_t> FindDomain(const std::string& host) const;
  const config::Config& config() const { return config_; }

 private:
  struct Retired {
    uint64_t at_ns;
    uint32_t slot;
    cache::ArenaRange range;
  };
  struct Listed {
    cache::ObjectKey key;
    cache::Variant variant;
    wb_variant live;
  };
  Content(const config::Config& config, kern::Programs& programs, kern::ObjectStore& store,
          std::optional<BoosterKey> key, cache::Watcher watcher);
  std::optional<api::CacheEntry> Describe(const Listed& listed,
                                          const api::CacheFilter& filter) const;
  api::ObjectVariant ShowVariant(const cache::Variant& variant, uint64_t now_ns) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DrainLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnEvent(const cache::WatchEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Withdraw(const cache::ObjectKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Retire(const cache::ObjectKey& key, const cache::Variant& variant)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WritePath(const cache::ObjectKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Refuse(const OpenFill& fill, std::string reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  using Sources = std::array<std::optional<cache::TemplateSource>, WB_PART_KINDS>;
  FillResult Publish(OpenFill& fill, const Sources& sources, const cache::Judgement& judgement)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Share(const OpenFill& fill, const cache::Variant& twin)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const cache::Variant* FindTwin(const OpenFill& fill, const Sources& sources) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Fresh(const cache::Variant& variant, uint64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Filled(const cache::Variant& variant) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<cache::Location> Locate(const cache::ObjectKey& key) const;
  void Warn(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<cache::ArenaRange> MakeRoom(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string EncodingValue(uint8_t encoding) const;
  std::optional<std::string> Key(const cache::ObjectKey& key, uint8_t encoding) const;
  uint64_t PurgeAll(const std::vector<cache::ObjectKey>& keys) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const config::Config& config_;
  kern::Programs& programs_;
  kern::ObjectStore& store_ ABSL_GUARDED_BY(mu_);
  const std::optional<BoosterKey> key_;
  int watch_fd_ = -1;

  mutable absl::Mutex mu_;
  cache::Watcher watcher_ ABSL_GUARDED_BY(mu_);
  cache::Arena arena_ ABSL_GUARDED_BY(mu_);
  cache::Index index_ ABSL_GUARDED_BY(mu_);
  std::list<OpenFill> fills_ ABSL_GUARDED_BY(mu_);
  std::map<cache::ObjectKey, cache::Watcher::Handle> handles_ ABSL_GUARDED_BY(mu_);
  // A class of Accept-Encoding of an object that has others: known not to be cacheable until then.
  std::map<std::pair<cache::ObjectKey, uint8_t>, uint64_t> refused_classes_ ABSL_GUARDED_BY(mu_);
  std::deque<uint32_t> free_slots_ ABSL_GUARDED_BY(mu_);
  std::deque<Retired> retired_ ABSL_GUARDED_BY(mu_);
  uint64_t full_until_ns_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t quiet_until_ns_ ABSL_GUARDED_BY(mu_) = 0;  // no warning of fills before
  api::CacheStats stats_ ABSL_GUARDED_BY(mu_);
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_CONTENT_H_
