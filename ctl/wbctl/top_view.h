// SPDX-License-Identifier: Apache-2.0
// One picture of `wbctl top`, as lines for people or as JSON. Pure functions.
#ifndef CTL_WBCTL_TOP_VIEW_H_
#define CTL_WBCTL_TOP_VIEW_H_

#include <cstddef>
#include <string>
#include <vector>

#include "ctl/wbctl/top_rates.h"

namespace wb::wbctl {

// Fits `rows`; as wide as it is.
std::vector<std::string> TopLines(const Sample& now, const Rates& rates, size_t rows);

// One line: what docs/wbctl.md says.
std::string TopJson(const Sample& now, const Rates& rates);

}  // namespace wb::wbctl

#endif  // CTL_WBCTL_TOP_VIEW_H_
