// SPDX-License-Identifier: Apache-2.0
// From the data path's record of answered requests (abi/observe.h) to lines of an access log.
#ifndef WEBBOOSTER_CTL_OBSERVE_HIT_LINE_H_
#define WEBBOOSTER_CTL_OBSERVE_HIT_LINE_H_

#include <cstddef>
#include <string>

#include "ctl/config/config.h"

namespace wb::observe {

// Appends one line, with its line end, for each request that was chosen. `data`: a record as it
// came from the ring buffer. Returns the number of lines; 0 for what is no such record.
// `time_local` of nginx: the local time zone of the process. Thread-safe.
size_t AppendHitLines(const void* data, size_t size, config::LogFormat format, std::string* out);

}  // namespace wb::observe

#endif  // WEBBOOSTER_CTL_OBSERVE_HIT_LINE_H_
