// SPDX-License-Identifier: Apache-2.0
// The bounce of an origin: wb_xdp_bounce, its maps, and what is told to it (docs/REDIRECTION.md, "A
// packet at the bouncing origin"). Pinned beside the data path, and adopted: who is boosted, and
// who still has connections at the booster, outlives accelerd.
#ifndef WEBBOOSTER_CTL_KERN_BOUNCE_H_
#define WEBBOOSTER_CTL_KERN_BOUNCE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/link/channel.h"
#include "ctl/kern/mapped.h"
#include "ctl/kern/next_hop.h"
#include "webbooster/abi/bounce.h"

struct xdp_bounce_bpf;

namespace wb::kern {

struct BounceReasonText {
  const char* label;
  const char* text;
};
// By enum wb_bounce_reason.
const std::array<BounceReasonText, WB_B_COUNT>& BounceReasonTexts();

class Bounce {
 public:
  struct Service {
    std::string domain;
    IpAddress vip = {};
    uint16_t port = 0;
  };
  struct Options {
    std::string pin_dir;                              // with the layout version
    int ingress = -1;                                 // the XDP program for packets that stay
    std::vector<IpAddress> sources;                   // that may send tunnelled packets
    std::optional<IpAddress> booster = std::nullopt;  // none: nothing is bounced
    std::optional<IpAddress> local = std::nullopt;    // outer source; none: the kernel's choice
    std::vector<Service> services = {};
    uint64_t lease_ns = 0;
  };
  // As FindNextHop(); replaced by tests.
  using FindWay = std::function<absl::StatusOr<NextHop>(const IpAddress& to,
                                                        const std::optional<IpAddress>& source)>;

  // Loads, or adopts what is pinned; nothing is attached. Errors: of the kernel;
  // ResourceExhausted: too many domains.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Bounce>> Load(Options options,
                                                                    FindWay find_way = FindNextHop);
  ~Bounce();
  Bounce(const Bounce&) = delete;
  Bounce& operator=(const Bounce&) = delete;

  // To be attached to interfaces in the place of `ingress`.
  int program() const;
  // The booster's word, which is its heartbeat, too: which domains are boosted, from the next
  // packet on. A domain that is not there is calm. NotFound: a domain that has no service here;
  // Unavailable: one is boosted, and the way to the booster is not known (yet); the rest is done
  // all the same. Not thread-safe; does not wait.
  [[nodiscard]] absl::Status Apply(std::span<const link::BounceEntry> entries);
  // Of packets, by enum wb_bounce_reason. Thread-safe. Errors: of the kernel.
  [[nodiscard]] absl::StatusOr<std::array<uint64_t, WB_B_COUNT>> Counts() const;
  // By name, of those that have services here. Thread-safe.
  std::map<std::string, link::BounceMode> Modes() const;

 private:
  Bounce(Options options, FindWay find_way)
      : options_(std::move(options)), find_way_(std::move(find_way)) {}
  absl::Status Open();
  absl::Status PlaceDomains();
  absl::Status EnterServices();
  absl::Status EnterSources();
  absl::Status RefreshWay();

  const Options options_;
  const FindWay find_way_;
  struct xdp_bounce_bpf* skel_ = nullptr;
  Mapped<wb_bounce_control> control_;
  Mapped<wb_bounce_domain> domains_;
  std::map<std::string, uint32_t, std::less<>> places_;
  uint64_t way_until_ns_ = 0;  // looked up again then
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_BOUNCE_H_
