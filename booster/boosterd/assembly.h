// SPDX-License-Identifier: Apache-2.0
// From a configuration to what workers use: keys and certificates are read, origins that stay keep
// their health and catalogue. Belongs to the main thread.
#ifndef BOOSTER_BOOSTERD_ASSEMBLY_H_
#define BOOSTER_BOOSTERD_ASSEMBLY_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/front/snapshot.h"
#include "booster/link/settings.h"

namespace wb::boosterd {

class Assembly {
 public:
  // One of the snapshot's origins, with what else is to be done for it.
  struct OriginInUse {
    std::shared_ptr<const link::Origin> origin;
    std::optional<front::Endpoint> catalogue;  // where its catalogue is told
    front::Health health;                      // how it is checked,
    std::string host;                          // and as which host
  };

  // `clients`: for policies; outlives all snapshots.
  explicit Assembly(front::ClientTable& clients) : clients_(clients) {}

  // Reads the key files. Errors name the file and the domain; then nothing has changed.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const front::Snapshot>> Make(
      const front::Config& config);
  // Of the last snapshot that was made.
  const std::vector<OriginInUse>& origins() const { return origins_; }

 private:
  // Address, key, and what else makes two origins two.
  using Identity = std::tuple<std::string, std::optional<link::Secret>, std::string, std::string>;

  absl::StatusOr<std::shared_ptr<const link::Origin>> OriginOf(const front::Domain& domain,
                                                               const front::Origin& origin);
  uint32_t SlotOf(const std::string& domain);

  front::ClientTable& clients_;
  std::shared_ptr<const front::Snapshot> last_;
  std::map<Identity, OriginInUse> by_identity_;  // of the last snapshot
  std::map<Identity, OriginInUse> next_;
  std::vector<OriginInUse> origins_;
  std::map<std::string, uint32_t> slots_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_ASSEMBLY_H_
