// SPDX-License-Identifier: Apache-2.0
// What the web server answered to a fill, and whether it may be published. Pure, but for a look at
// the document root.
#ifndef WEBBOOSTER_CTL_ACCELERD_CANDIDATE_H_
#define WEBBOOSTER_CTL_ACCELERD_CANDIDATE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/accelerd/bulk_objects.h"
#include "ctl/cache/docroot.h"
#include "ctl/cache/fetch.h"
#include "ctl/cache/index.h"
#include "ctl/cache/partial.h"
#include "ctl/cache/proof.h"
#include "ctl/cache/response.h"
#include "ctl/cache/template.h"
#include "ctl/cache/watcher.h"
#include "ctl/config/config.h"

namespace wb::accelerd {

// A fill between its beginning and its publication.
struct OpenFill {
  cache::ObjectKey key;
  uint8_t encoding = 0;
  std::optional<cache::Location> location;  // none: not a file of a document root
  cache::Watcher::Handle handle;
  bool dirty = false;                      // something changed, or it was purged
  bool insist = false;                     // whatever it displaces
  uint64_t begun = 0;                      // purges of tags before it
  std::optional<cache::Proof> proof = {};  // made after the files were watched
};

// What became of a fill.
struct FillResult {
  bool ok = false;
  std::string reason;  // a stable word; behind a colon what it is about, if anything
  uint64_t bytes = 0;
  uint64_t segments = 0;
};

using Sources = std::array<std::optional<cache::TemplateSource>, WB_PART_KINDS>;
// Too large for XDP: for the bulk sender.
inline bool IsBulk(const cache::TemplateSource& source) {
  return source.bytes.size() > WB_BODY_MAX;
}
// Of the arena.
size_t BytesOf(const Sources& sources);

struct Candidate {
  std::string reason;  // why it may not be published; empty: it may
  std::string detail;
  absl::StatusOr<cache::Response> get = absl::UnavailableError("");
  cache::Judgement judgement;
  std::vector<std::string> tags;
  Sources sources;                              // of `fetched`
  BulkDigest digest = {};                       // of the body, of what is bulk
  std::optional<cache::PartialHeader> partial;  // likewise, if ranges may be answered
  bool other_place = false;  // there is a file now, or no such domain or class any more
  bool answered = false;     // the web server answered for good: what it answered before is wrong
};
Candidate Examine(const config::Config& config, const OpenFill& fill,
                  const absl::StatusOr<cache::FetchedObject>& fetched);

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_CANDIDATE_H_
