// SPDX-License-Identifier: Apache-2.0
//
// Reading of a network device by the SIOCETHTOOL ioctl, in the network namespace of the calling
// thread. Devices lack much of it (lo has next to nothing): what cannot be read is nullopt or
// empty.
#ifndef CTL_DOCTOR_ETHTOOL_H_
#define CTL_DOCTOR_ETHTOOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ctl/doctor/probe.h"

namespace wb::doctor {

class Ethtool {
 public:
  struct Channels {
    uint32_t rx, tx, combined, max_rx, max_combined;
  };

  explicit Ethtool(const std::string& interface);
  ~Ethtool();
  Ethtool(const Ethtool&) = delete;
  Ethtool& operator=(const Ethtool&) = delete;

  std::string Driver() const;
  std::optional<Channels> GetChannels() const;
  Features ActiveFeatures() const;
  std::optional<uint64_t> Statistic(const std::string& name) const;

 private:
  bool Call(void* command) const;
  std::vector<std::string> Strings(uint32_t set) const;

  std::string interface_;
  int fd_;
};

}  // namespace wb::doctor

#endif  // CTL_DOCTOR_ETHTOOL_H_
