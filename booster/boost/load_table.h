// SPDX-License-Identifier: Apache-2.0
// The last reports of all origins. A domain belongs to the origins whose reports name it.
#ifndef BOOSTER_BOOST_LOAD_TABLE_H_
#define BOOSTER_BOOST_LOAD_TABLE_H_

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/boost/load.h"

namespace wb::boost {

// Thread-safe.
class LoadTable final : public Loads {
 public:
  // `load.at` is not before that of the origin's last report.
  void Report(const std::string& origin, Load load);
  // An origin that is configured no more.
  void Forget(const std::string& origin);

  std::optional<Sample> Of(const std::string& domain, TimePoint now) override;
  void Busy(double percent, std::vector<std::string>* domains) override;

 private:
  struct Origin {
    Load now;
    bool looked = false;  // by Busy()
    // Rates are of the time since the older mark: 200 to 500 ms with a report each 100 ms. A longer
    // time would tell less than the truth of a peak that has just begun.
    std::array<Load, 2> marks;  // the older one first
    int marked = 0;
    double rate = 0;  // of all its domains
  };
  static double RateOf(const Origin& origin, const std::string& domain);
  static double RateOfAll(const Origin& origin);

  std::mutex mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<Origin>> origins_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_LOAD_TABLE_H_
