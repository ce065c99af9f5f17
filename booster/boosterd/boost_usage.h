// SPDX-License-Identifier: Apache-2.0
// What boosted domains cost this booster, from the workers' counters: boost::Usage. Rates are of
// the last 0.2 to 0.5 s.
#ifndef BOOSTER_BOOSTERD_BOOST_USAGE_H_
#define BOOSTER_BOOSTERD_BOOST_USAGE_H_

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/boost/load.h"
#include "booster/boosterd/worker.h"

namespace wb::boosterd {

class BoostUsage final : public boost::Usage {
 public:
  // Packets of the clients of a domain that the director moves, total; none: of another one.
  using PacketsOf = std::function<std::optional<uint64_t>(const std::string& domain)>;

  // Borrowed; the workers run as long as this lives.
  BoostUsage(const std::vector<std::unique_ptr<Worker>>& workers,
             std::shared_ptr<const front::Snapshot> snapshot, PacketsOf packets)
      : workers_(workers), packets_(std::move(packets)), snapshot_(std::move(snapshot)) {}

  void Adopt(std::shared_ptr<const front::Snapshot> snapshot);
  All Total() override;
  double Rate(const std::string& domain) override;
  double Demand(const std::string& domain) override;

 private:
  using Clock = std::chrono::steady_clock;

  // A count at two times, the older one first.
  class Speed {
   public:
    double Of(Clock::time_point now, double count);  // a second

   private:
    struct Mark {
      Clock::time_point at;
      double count = 0;
    };
    std::array<Mark, 2> marks_ = {};
    int marked_ = 0;
    double last_ = 0;
  };

  uint64_t Requests(uint32_t slot) const;

  const std::vector<std::unique_ptr<Worker>>& workers_;
  const PacketsOf packets_;
  std::mutex mutex_;  // of all below
  std::shared_ptr<const front::Snapshot> snapshot_;
  absl::flat_hash_map<std::string, Speed> domains_, demands_;
  Speed cpu_, requests_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_BOOST_USAGE_H_
