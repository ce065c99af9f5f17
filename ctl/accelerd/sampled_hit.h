// SPDX-License-Identifier: Apache-2.0
// Sampled verification: what is asked of the web server, and what came of it. See verifier.h.
#ifndef WEBBOOSTER_CTL_ACCELERD_SAMPLED_HIT_H_
#define WEBBOOSTER_CTL_ACCELERD_SAMPLED_HIT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "ctl/accelerd/bulk_objects.h"
#include "ctl/cache/index.h"

namespace wb::accelerd {

// A hit that the web server is asked for, too.
struct SampledHit {
  cache::ObjectKey key;
  uint8_t encoding = 0;
  uint32_t slot = 0;
  uint32_t gen = 0;      // of the variant
  std::string response;  // as it is answered; of what is bulk the header
  std::shared_ptr<const BulkObject> bulk = nullptr;
};
enum class Verdict {
  kSame,      // the same bytes
  kMismatch,  // other bytes, though nothing says that they may differ: quarantined
  kRenewed,   // other bytes, as the document's own freshness allows: dropped, to be fetched anew
  kGone,      // changed or purged meanwhile
  kUnknown,   // the web server did not answer, or not now (429, 5xx)
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_SAMPLED_HIT_H_
