// SPDX-License-Identifier: Apache-2.0
// The schema of `redirect`, and what must hold between it and the rest. Private to ctl/config.
#ifndef CTL_CONFIG_REDIRECT_H_
#define CTL_CONFIG_REDIRECT_H_

#include "ctl/config/config.h"
#include "ctl/config/reader.h"

namespace wb::config {

// `config`: its boosters and domains have been read.
void ReadRedirect(const Value& value, const Config& config, Redirect* redirect);

}  // namespace wb::config

#endif  // CTL_CONFIG_REDIRECT_H_
