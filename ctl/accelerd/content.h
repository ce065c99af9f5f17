// SPDX-License-Identifier: Apache-2.0
// The cache of one accelerd: what is in it, published and withdrawn so that the data path and the
// files never disagree for longer than it takes to read an inotify event. Order of a fill (PITFALLS
// 28): watch, fetch, read the events that have come meanwhile, and publish only if none of them
// concerns the object. Thread-safe. The lock is never held for long: the thread that vouches for
// the files by renewing the heartbeat takes it too. One class, because one lock guards what belongs
// together (index, room, watches, what is being filled); by role in files of its own: filling is in
// content_fill.cc, who gets the memory in content_room.cc, purges are in content_purge.cc, lists in
// content_report.cc, changes of the configuration in content_apply.cc, the taking over of what an
// earlier process cached in content_adopt.cc.
#ifndef WEBBOOSTER_CTL_ACCELERD_CONTENT_H_
#define WEBBOOSTER_CTL_ACCELERD_CONTENT_H_

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "ctl/accelerd/aging.h"
#include "ctl/accelerd/bulk_objects.h"
#include "ctl/accelerd/candidate.h"
#include "ctl/accelerd/content_parts.h"
#include "ctl/accelerd/prover.h"
#include "ctl/accelerd/reload_plan.h"
#include "ctl/accelerd/sampled_hit.h"
#include "ctl/accelerd/site.h"
#include "ctl/accelerd/staleness.h"
#include "ctl/api/service.h"
#include "ctl/cache/index.h"
#include "ctl/cache/room.h"
#include "ctl/cache/watcher.h"
#include "ctl/config/config.h"
#include "ctl/config/snapshot.h"
#include "ctl/kern/ledger.h"
#include "ctl/kern/object_store.h"

namespace wb::accelerd {

// Objects that are looked at under one hold of the lock.
inline constexpr size_t kPiece = 256;
// The reason of an object whose sampled verification failed.
inline constexpr std::string_view kQuarantined = "quarantined";

// Does the change concern the class of Accept-Encoding of an object of the domain?
bool Concerns(const Losses& losses, uint16_t domain, uint8_t encoding);

int64_t WallClock();  // seconds since 1970

class Content {
 public:
  using BoosterKey = std::array<uint8_t, config::kBoosterKeyBytes>;
  static absl::StatusOr<std::unique_ptr<Content>> Create(const config::Config& config,
                                                         kern::Programs& programs,
                                                         kern::ObjectStore& store,
                                                         std::optional<BoosterKey> key,
                                                         BulkObjects* bulk = nullptr);

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
  // A miss of it was reported. False: it would displace what is asked for more, so do not fetch it.
  bool Wanted(const cache::ObjectKey& key, uint8_t encoding);
  // "no_room" is what a fill would end with just now: what was evicted must rest first.
  bool Full() const;

  // Objects purged. None of them is answered any more when this returns, whatever is being filled.
  uint64_t PurgeUrl(uint16_t domain, const std::string& target);
  // A directory's, a tag's and a domain's take one store, and DrainWatch() cleans up afterwards;
  // those of other prefixes take the objects one by one.
  uint64_t PurgePrefix(uint16_t domain, const std::string& prefix);
  uint64_t PurgeTag(uint16_t domain, const std::string& tag);
  uint64_t PurgeDomain(uint16_t domain);

  // Documents that are stale, answered while they are asked for anew (stale-while-revalidate), and
  // were asked for since: to be filled again. To be called a few times a second.
  std::vector<std::pair<cache::ObjectKey, uint8_t>> TakeStale(uint64_t now_ns);

  // Sampled verification. nullopt: the slot is not answered.
  std::optional<SampledHit> Sample(uint32_t slot) const;
  Verdict Verify(const SampledHit& hit, const absl::StatusOr<std::string>& fetched);

  api::CacheList List(const api::CacheFilter& filter) const;
  // nullopt: nothing is known of it.
  std::optional<api::ObjectReport> Show(const cache::ObjectKey& key) const;
  // Objects that are known not to be cacheable, by reason.
  std::map<std::string, uint64_t> RefusedObjects(uint16_t domain) const;
  void AddStats(api::CacheStats& stats) const;
  void AddDomain(uint16_t domain, api::DomainInfo& info) const;

  // Gives memory back that no reply under way can need; `in_flight`: variants of unacknowledged
  // replies, read after `now_ns`. To be called a few times a second.
  void Reclaim(const absl::flat_hash_set<uint32_t>& in_flight, uint64_t now_ns);
  // Takes over what an earlier process cached: what is proved to be as it was is live from now on
  // as if this process had filled it, the rest is ended. To be called once, before any fill.
  struct Adoption {
    size_t objects = 0;
    size_t variants = 0;
    size_t dropped = 0;  // variants that were live and are not proved
  };
  Adoption Adopt();
  // False, too, while the cache is busy: the caller has timers to look after.
  bool HasRetired() const;

  std::optional<uint16_t> FindDomain(const std::string& host) const;
  // The configuration in force.
  config::Snapshot config() const;
  // Puts another one in force, arranged as that one is (reload_plan.h), and drops what does not
  // hold any more: when this returns nothing of it is answered, whatever is being filled. Objects
  // of other domains stay as they are. Another booster key gives all objects new keys. One caller
  // at a time.
  void Apply(config::Config next, std::optional<BoosterKey> key);
  // The id is another domain's from now on.
  void ResetCounters(uint16_t domain);
  bool OtherKey(const std::optional<BoosterKey>& key) const;

 private:
  Content(const config::Config& config, kern::Programs& programs, kern::ObjectStore& store,
          std::optional<BoosterKey> key, BulkObjects* bulk, cache::Watcher watcher);
  static std::optional<api::CacheEntry> Describe(const config::Config& config, const Listed& listed,
                                                 const api::CacheFilter& filter);
  api::ObjectVariant ShowVariant(const config::Config& config, const cache::Variant& variant,
                                 uint64_t now_ns) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DrainLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnEvent(const cache::WatchEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MeasureStaleness(const cache::WatchEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Withdraw(const cache::ObjectKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Quarantine(const SampledHit& hit, std::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Retire(const cache::ObjectKey& key, const cache::Variant& variant)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Replace(const cache::ObjectKey& key, uint8_t encoding, uint32_t slot,
               const std::vector<cache::Variant>& old) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WritePath(const cache::ObjectKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Refuse(const OpenFill& fill, std::string reason, const std::string& detail = "",
                    bool answered = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<Draft> Write(const config::Config& config, const OpenFill& fill,
                             const Candidate& candidate, std::shared_ptr<BulkObject> bulk)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What is too large for the arena; nullptr: there is no room for it, or it is not.
  std::shared_ptr<BulkObject> MakeBulk(const OpenFill& fill, const Candidate& candidate);
  // Whether the slot holds exactly that part, whatever its Date.
  bool Holds(uint32_t slot, uint32_t kind, const cache::TemplateSource& source,
             const BulkDigest& digest) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Discard(uint16_t domain, const Draft& draft) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Publish(OpenFill& fill, const Candidate& candidate, const Draft& draft)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Changed(const config::Config& config, const OpenFill& fill, const Candidate& candidate)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t RaiseGeneration(uint32_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Share(const OpenFill& fill, const cache::Variant& twin)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const cache::Variant* FindTwin(const OpenFill& fill, const Candidate& candidate) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Fresh(const cache::Variant& variant, uint64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FillResult Filled(const cache::Variant& variant) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void Log(const absl::Status& status);
  void Warn(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<std::string> Key(const cache::ObjectKey& key, uint8_t encoding) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ProvePath(const config::Config& config, const cache::ObjectKey& key, const wb_path& path,
                 std::vector<Proven>& proven) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t GiveUpOthers(const std::vector<bool>& kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Note(uint32_t slot, const OpenFill& fill, const cache::ArenaRange& range, uint32_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Seal(uint32_t slot, const cache::ObjectKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EnterKeys(const cache::ObjectKey& key, const cache::Variant& variant)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropLosses(const Losses& losses, const config::Config& next);
  void ChangeKey(std::optional<BoosterKey> key);
  void DropClasses(const cache::ObjectKey& key, uint16_t encodings)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetBounds(const config::Config& config) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Trim();
  bool Admitted(const OpenFill& fill, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Evicted(const cache::Eviction& victim) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Live(uint32_t slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Removes the object if one of its variants has been ended, or purged with its domain.
  bool DropDead(const cache::ObjectKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Doom(const std::vector<cache::ObjectKey>& keys) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DoomWatched() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool BelowPurged(const cache::ObjectKey& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetBelow(uint16_t domain, const std::string& prefix) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tidy() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t PurgeAll(const std::vector<cache::ObjectKey>& keys) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  kern::Programs& programs_;
  kern::ObjectStore& store_ ABSL_GUARDED_BY(mu_);
  kern::Ledger ledger_ ABSL_GUARDED_BY(mu_);
  const Prover prover_;
  BulkObjects* const bulk_;  // null: there are none
  int watch_fd_ = -1;

  mutable absl::Mutex config_mu_;  // within mu_, or alone
  config::Snapshot config_ ABSL_GUARDED_BY(config_mu_);

  mutable absl::Mutex mu_;
  std::optional<BoosterKey> key_ ABSL_GUARDED_BY(mu_);
  cache::Watcher watcher_ ABSL_GUARDED_BY(mu_);
  cache::Index index_ ABSL_GUARDED_BY(mu_);
  cache::Room room_ ABSL_GUARDED_BY(mu_);
  const cache::Room::Evicted evicted_;  // with the lock held
  std::list<OpenFill> fills_ ABSL_GUARDED_BY(mu_);
  std::map<cache::ObjectKey, cache::Watcher::Handle> handles_ ABSL_GUARDED_BY(mu_);
  // A class of Accept-Encoding of an object that has others: known not to be cacheable until then.
  std::map<std::pair<cache::ObjectKey, uint8_t>, uint64_t> refused_classes_ ABSL_GUARDED_BY(mu_);
  Aging aging_ ABSL_GUARDED_BY(mu_);
  uint64_t tag_purges_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<uint32_t, uint64_t> tag_purged_ ABSL_GUARDED_BY(mu_);  // by generation: when
  Losses blocked_ ABSL_GUARDED_BY(mu_);  // of a change that is under way: not filled
  // Where the search for objects that were ended, and are to be removed, goes on; and whether it
  // has to begin anew, since more were ended behind it.
  std::optional<cache::ObjectKey> tidy_from_ ABSL_GUARDED_BY(mu_);
  bool tidy_again_ ABSL_GUARDED_BY(mu_) = false;
  // Domains and prefixes in which what is known to be uncacheable is to be forgotten, too: by the
  // search that is under way, and by the next one.
  std::set<std::pair<uint16_t, std::string>> tidy_below_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<uint16_t, std::string>> purged_below_ ABSL_GUARDED_BY(mu_);
  uint64_t quiet_until_ns_ ABSL_GUARDED_BY(mu_) = 0;  // no warning of fills before
  api::CacheStats stats_ ABSL_GUARDED_BY(mu_);
  StalenessHistogram staleness_ ABSL_GUARDED_BY(mu_);
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_CONTENT_H_
