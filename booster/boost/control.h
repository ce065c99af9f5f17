// SPDX-License-Identifier: Apache-2.0
// The engine: looks each 20 ms at the domains that may change, decides (Decider, Arbiter), carries
// it out (Switch), keeps it (Store) and tells why (DecisionLog). An operator's word is carried out
// in the caller's thread, at once.
//
// A domain that is calm costs nothing but memory: it is looked at when a report says that one of
// its origins is busy.
//
// Boosters that share a store: one of them (Options::leads) decides for `auto` domains, the others
// follow what it keeps; each decides for itself while the store is away.
#ifndef BOOSTER_BOOST_CONTROL_H_
#define BOOSTER_BOOST_CONTROL_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boost/arbiter.h"
#include "booster/boost/clock.h"
#include "booster/boost/control_status.h"
#include "booster/boost/decider.h"
#include "booster/boost/decision_log.h"
#include "booster/boost/load.h"
#include "booster/boost/saver.h"
#include "booster/boost/store.h"
#include "booster/boost/switch.h"

namespace wb::boost {

// Thread-safe.
class Control {
 public:
  struct Parts {  // borrowed; they outlive it
    Switch& way;
    Loads& loads;
    Usage& usage;
    Store& store;
    Clock& clock;
  };
  struct Options {
    BoosterParameters booster;
    std::string id;               // of this booster, in records
    std::function<bool()> leads;  // none: always; must not call back
  };

  Control(Options options, const Parts& parts);
  ~Control();

  // Reads the store; the domains are as they were kept when it returns. Once, before all else.
  // Errors: the store's.
  [[nodiscard]] absl::Status Open(const std::vector<DomainConfig>& domains);
  // Begins to decide. Stop() ends that, and writes what is not kept yet; the domains stay as they
  // are.
  void Start();
  void Stop();
  // The same, until the next Start().
  void Pause();

  // The domains from now on. Those that stay keep mode, state and budget; a mode that nobody said
  // follows the configuration. Those that go are not switched: the director forgets them.
  void Adopt(const std::vector<DomainConfig>& domains);

  // Returns when it is in force for new connections, and kept. NotFound: no such domain;
  // InvalidArgument: `at` or `lasting` that does not fit; the errors of Switch, and then mode and
  // state are as before. A store that fails is no error here: ControlStatus tells, and it is tried
  // again.
  [[nodiscard]] absl::StatusOr<Outcome> Set(const std::string& domain, const SetRequest& request);

  ControlStatus Status();
  // NotFound: no such domain.
  [[nodiscard]] absl::StatusOr<Explanation> Explain(const std::string& domain);
  const DecisionLog& log() const { return log_; }

  // What the thread does each kTick.
  void Tick();
  static constexpr std::chrono::milliseconds kTick{20};

 private:
  struct Wish {  // a state that comes from outside: kept, or of another booster
    bool boosted;
    Reason reason;
    double per_request;
  };
  struct Domain {
    Domain(std::string n, const Parameters& p) : name(std::move(n)), decider(p) {}
    const std::string name;
    Decider decider;
    Mode mode = Mode::kOff, before = Mode::kOff;
    Reason mode_reason = Reason::kConfigured;
    State state = State::kCalm;
    Reason reason = Reason::kConfigured;  // of the state
    bool busy = false;                    // being switched, without the mutex
    bool gone = false;
    bool idle = false;  // of this turn: need not be looked at
    std::optional<Wish> wish;
    std::optional<WallTime> until;  // of the mode
    WallTime since;                 // of the state
    uint64_t mode_revision = 0, revision = 0;
    std::string writer;
    TimePoint again;      // not to be switched by itself before: the last time failed
    TimePoint told;       // of the last refusal in the log
    TimePoint asked;      // for its kept connections
    uint64_t kept = 0;    // connections, while draining
    double requests = 1;  // at this booster, of each that its demand tells, when last boosted
    double lately = 0;    // requests a second at this booster, the most of late
    TimePoint looked;     // for it
    std::vector<std::string> competitors;  // of the last ruling
  };
  using DomainPtr = std::shared_ptr<Domain>;
  struct Change {
    DomainPtr domain;
    bool boosted;
    Reason reason;
    bool automatic = false;
    std::optional<Sample> sample = {};
    std::optional<double> per_request = {};  // from outside: the relief that is known there
    std::vector<std::string> competitors = {};
    absl::StatusOr<Effect> effect = Effect{};
  };
  struct Looked {
    DomainPtr domain;
    Verdict verdict;
    std::optional<Sample> sample;
    double rate = 0, demand = 0;  // while boosted
  };

  void Run();
  // All below are called with the mutex held.
  void NoteLapse(TimePoint now);
  void TakeChanges();
  void TakeRecord(Domain& domain, const Record& record, Reason reason);
  void Expire();
  void Wake();
  std::vector<Change> Decide(TimePoint now);
  static bool Settled(const Domain& domain);
  void Look(const DomainPtr& domain, TimePoint now, bool decides, std::vector<Change>* changes,
            std::vector<Looked>* others);
  std::optional<Change> FollowWish(const Looked& looked, bool decides);
  std::optional<Change> Judged(TimePoint now, Looked& looked, bool decides);
  void Arbitrate(TimePoint now, std::vector<Looked>& all, std::vector<Change>* changes);
  Contender ContenderOf(TimePoint now, const Looked& looked) const;
  void Refuse(TimePoint now, const Looked& looked, Reason reason);
  void Prune();
  void Activate(const DomainPtr& domain);
  void CarryOut(std::unique_lock<std::mutex>& lock, std::vector<Change>& changes);
  void AskKept(std::unique_lock<std::mutex>& lock, TimePoint now);
  void Commit(Change& change);
  void Release(Domain& domain);
  void Keep(Domain& domain, bool mode_changed);
  Record RecordOf(const Domain& domain) const;
  void Learn(const Usage::All& total);
  void FindLeastRaise();
  Decision DecisionOf(const Domain& domain, TimePoint now, Reason why,
                      const std::optional<Sample>& sample) const;
  DomainStatus StatusOf(const Domain& domain, TimePoint now);
  DomainPtr Make(const DomainConfig& config);
  bool Decides() const { return !leads_ || leads_() || !parts_.store.health().healthy; }
  void TakeRequest(const DomainPtr& held, const SetRequest& request);

  const BoosterParameters booster_;
  const std::string id_;
  const std::function<bool()> leads_;
  const Parts parts_;
  DecisionLog log_;

  std::mutex mutex_;  // of all below
  std::condition_variable released_, stopped_;
  bool stop_ = false;
  absl::flat_hash_map<std::string, DomainPtr> domains_;
  absl::flat_hash_set<DomainPtr> active_;               // to be looked at
  absl::flat_hash_set<DomainPtr> timed_;                // with a mode for a time
  absl::flat_hash_map<std::string, Record> strangers_;  // kept, of domains that are not configured
  std::string lost_;
  bool opened_ = false;
  double least_raise_ = 100;
  double request_cost_;
  unsigned turn_ = 0;
  std::vector<std::string> names_;  // Wake()'s, kept for its memory

  std::mutex changes_mutex_;  // of this, which the store's thread fills
  std::vector<Record> changes_;

  std::unique_ptr<Saver> saver_;
  std::thread thread_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_CONTROL_H_
