// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/partial.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ctl/cache/http_date.h"

namespace wb::cache {
namespace {

constexpr std::string_view kDigits = "0-0";  // of the sample's Content-Range

bool Is(const Field& field, absl::string_view name) {
  return absl::EqualsIgnoreCase(absl::string_view(field.name.data(), field.name.size()), name);
}

// The fields in which a 206 and the 200 must not differ.
std::vector<Field> Common(const Response& response) {
  std::vector<Field> common;
  for (const Field& field : response.fields)
    if (!Is(field, "Date") && !Is(field, "Content-Length") && !Is(field, "Content-Range") &&
        !Is(field, "Accept-Ranges"))
      common.push_back(field);
  return common;
}

bool SameFields(const Response& a, const Response& b) {
  const std::vector<Field> one = Common(a), other = Common(b);
  if (one.size() != other.size()) return false;
  for (size_t i = 0; i < one.size(); i++)
    if (one[i].name != other[i].name || one[i].value != other[i].value) return false;
  return true;
}

}  // namespace

std::optional<PartialHeader> PartialHeader::Make(const Response& sample, const Response& get) {
  if (sample.status != 206 || sample.header_len > WB_BODY_MAX || get.body.empty() ||
      sample.body != get.body.substr(0, 1) || !SameFields(sample, get))
    return std::nullopt;
  if (const auto accepts = sample.Find("Accept-Ranges"); accepts && accepts != "bytes")
    return std::nullopt;
  if (sample.Count("Date") != 1 || sample.Count("Content-Length") != 1 ||
      sample.Count("Content-Range") != 1 || sample.Count("Accept-Ranges") > 1)
    return std::nullopt;
  const std::string_view date = *sample.Find("Date"), length = *sample.Find("Content-Length"),
                         range = *sample.Find("Content-Range");
  const std::string wanted = absl::StrCat("bytes 0-0/", get.body.size());
  if (!ParseHttpDate(date) || length != "1" || range != wanted) return std::nullopt;

  PartialHeader header;
  header.text_ = sample.raw.substr(0, sample.header_len);
  header.date_off_ = sample.OffsetOf(date);
  header.length_off_ = sample.OffsetOf(length);
  header.range_off_ = sample.OffsetOf(range) + range.find(kDigits);
  header.text_.replace(header.date_off_, WB_HTTP_DATE, WB_HTTP_DATE, ' ');
  header.text_.replace(header.range_off_, kDigits.size(), "-");
  // What lies behind moves forward.
  const size_t digits = kDigits.size() - 1;
  const auto moved = [&](size_t at) { return at > header.range_off_ ? at - digits : at; };
  header.date_off_ = moved(header.date_off_);
  header.length_off_ = moved(header.length_off_);
  header.text_.erase(header.length_off_, length.size());
  if (header.date_off_ > header.length_off_) header.date_off_ -= length.size();
  if (header.range_off_ > header.length_off_) header.range_off_ -= length.size();
  return header;
}

std::string PartialHeader::Text(uint64_t first, uint64_t bytes, std::string_view date) const {
  std::string text = text_;
  text.replace(date_off_, WB_HTTP_DATE, date);
  const auto put_range = [&] {
    text.replace(range_off_, 1, absl::StrCat(first, "-", first + bytes - 1));
  };
  // The one behind first: it moves nothing of the other.
  if (range_off_ > length_off_) put_range();
  text.insert(length_off_, absl::StrCat(bytes));
  if (range_off_ < length_off_) put_range();
  return text;
}

bool PartialHeader::Makes(const Response& answer, uint64_t first, std::string_view part) const {
  const auto date = answer.Find("Date");
  return !part.empty() && date && date->size() == WB_HTTP_DATE && answer.body == part &&
         answer.raw.substr(0, answer.header_len) == Text(first, part.size(), *date);
}

}  // namespace wb::cache
