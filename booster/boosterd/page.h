// SPDX-License-Identifier: Apache-2.0
// The status page: HTML for people, without anything from elsewhere and without need of scripts.
// Names from the configuration are escaped; its Content-Security-Policy lets nothing run but its
// own few lines, by their hashes.
#ifndef BOOSTER_BOOSTERD_PAGE_H_
#define BOOSTER_BOOSTERD_PAGE_H_

#include <cstddef>
#include <string>

#include "booster/boosterd/figures.h"

namespace wb::boosterd {

inline constexpr size_t kMostCards = 100;  // domains that are shown, the busiest first

std::string StatusPage(const View& view, const std::string& version);
// Of its Content-Security-Policy field.
std::string PagePolicy();

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_PAGE_H_
