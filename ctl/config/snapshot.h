// SPDX-License-Identifier: Apache-2.0
// The configuration in force, held: it stays as it is for as long as the holder looks at it,
// whatever is reloaded meanwhile. Must be named before it is used, for a temporary would be gone
// before the end of a loop over one of its lists:
//
//     const config::Snapshot config = content.config();
//     for (const config::Domain& domain : config->domains) ...
//
// A domain's place in `domains` is its id, and a value's place in `accept_encodings` is its class
// less 1, for as long as accelerd runs. A place whose domain or value has been removed from the
// file is empty (no name, no text).
#ifndef CTL_CONFIG_SNAPSHOT_H_
#define CTL_CONFIG_SNAPSHOT_H_

#include <memory>
#include <utility>

#include "ctl/config/config.h"

namespace wb::config {

class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  const Config* operator->() const& { return config_.get(); }
  const Config& operator*() const& { return *config_; }
  const Config* operator->() const&& = delete;
  const Config& operator*() const&& = delete;
  // The same one, not one of the same contents.
  bool operator==(const Snapshot&) const = default;

 private:
  std::shared_ptr<const Config> config_;
};

}  // namespace wb::config

#endif  // CTL_CONFIG_SNAPSHOT_H_
