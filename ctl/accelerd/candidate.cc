// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/candidate.h"

#include <utility>

#include "ctl/accelerd/site.h"
#include "ctl/cache/docroot.h"
#include "ctl/cache/generation.h"
#include "ctl/kern/programs.h"

namespace wb::accelerd {
namespace {

// Whether the web server's answer is one for good, so that what it answered before is wrong.
bool Definite(const cache::FetchedObject& fetched) {
  const auto get = cache::ParseResponse(fetched.get);
  return fetched.busy.empty() && get.ok() && get->status < 500;
}

}  // namespace

Candidate Examine(const config::Config& config, const OpenFill& fill,
                  const absl::StatusOr<cache::FetchedObject>& fetched) {
  Candidate c;
  c.other_place = !Exists(config, fill.key.domain, fill.encoding) ||
                  (!fill.location && Locate(config, fill.key).has_value());
  if (c.other_place) return c;
  const config::Domain& domain = config.domains[fill.key.domain];
  const auto refuse = [&](std::string_view reason, std::string detail = "") {
    c.reason = reason;
    c.detail = std::move(detail);
    return std::move(c);
  };
  if (!fetched.ok()) return refuse("fetch_failed");
  c.answered = Definite(*fetched);
  if (!fetched->refused.empty()) return refuse(fetched->refused, fetched->detail);
  c.get = cache::ParseResponse(fetched->get);
  c.judgement = cache::Judge(
      *c.get, {.watched = fill.location.has_value(), .most_bytes = LargestObject(config)});
  if (!c.judgement.ok) return refuse(c.judgement.reason);
  // Where there is a file, only the file is published: anything else would be answered unwatched
  // for its max-age although a change of the file may concern it.
  if (fill.location &&
      !cache::DocumentRoot(domain.document_root)
           .Verify(fill.key.target, *fill.location, c.get->Find("Content-Encoding").value_or(""),
                   c.get->body, c.judgement.last_modified)
           .ok())
    return refuse("not_the_file");
  if (!domain.tag_field.empty()) {
    auto tags = cache::ReadTags(*c.get, domain.tag_field);
    if (!tags) return refuse("tags");
    c.tags = *std::move(tags);
  }
  c.sources[WB_PART_GET] = cache::SourceOf(*c.get);
  if (IsBulk(*c.sources[WB_PART_GET])) {
    c.digest = DigestOf(c.get->body);
    if (auto partial = cache::ParseResponse(fetched->partial); partial.ok())
      c.partial = cache::PartialHeader::Make(*partial, *c.get);
  }
  if (auto head = cache::ParseResponse(fetched->head); head.ok())
    c.sources[WB_PART_HEAD] = cache::SourceOf(*head);
  if (auto nm = cache::ParseResponse(fetched->not_modified); nm.ok())
    c.sources[WB_PART_NOT_MODIFIED] = cache::SourceOf(*nm);
  return c;
}

size_t BytesOf(const Sources& sources) {
  size_t bytes = 0;
  for (const auto& s : sources)
    if (s && !IsBulk(*s)) bytes += cache::TemplateBytes(*s, kern::kSegmentSizes);
  return bytes;
}

}  // namespace wb::accelerd
