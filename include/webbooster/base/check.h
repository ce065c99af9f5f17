// SPDX-License-Identifier: Apache-2.0
// WB_CHECK(condition, why): aborts with file, line and reason when an invariant of our own is
// broken; never for input or the environment, those are a Status. (Debian's Abseil is older than
// absl/log/check.h.) Thread-safe.
#ifndef WEBBOOSTER_BASE_CHECK_H_
#define WEBBOOSTER_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace wb::base {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition,
                                     const char* why) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", file, line, why, condition);
  std::abort();
}

}  // namespace wb::base

#define WB_CHECK(condition, why)                                                    \
  do {                                                                              \
    if (!(condition)) ::wb::base::CheckFailed(__FILE__, __LINE__, #condition, why); \
  } while (0)

#endif  // WEBBOOSTER_BASE_CHECK_H_
