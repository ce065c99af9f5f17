// SPDX-License-Identifier: Apache-2.0
// Time as the bulk sender has it: nanoseconds of one monotonic clock that the caller reads.
#ifndef BOOSTER_BULK_TIME_H_
#define BOOSTER_BULK_TIME_H_

#include <cstdint>

namespace wb::bulk {

inline constexpr uint64_t kMs = 1'000'000;
inline constexpr uint64_t kSecond = 1000 * kMs;
inline constexpr uint64_t kNever = UINT64_MAX;

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_TIME_H_
