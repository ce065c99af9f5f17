// SPDX-License-Identifier: Apache-2.0
#include "booster/http/fields.h"

#include "booster/http/chars.h"

namespace wb::http {
namespace {

constexpr size_t kFirstFields = 16;  // most heads have no more

}  // namespace

const Field* Fields::Find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (EqualsNoCase(field.name, name)) return &field;
  }
  return nullptr;
}

const Field* Fields::Find(Name id, size_t* count) const {
  const Field* first = nullptr;
  size_t n = 0;
  for (const Field& field : fields_) {
    if (field.info.id != id) continue;
    if (n++ == 0) first = &field;
    if (!count) break;
  }
  if (count) *count = n;
  return first;
}

Refusal FieldSection::Add(std::string_view buffer, size_t begin, size_t end) {
  const std::string_view line = buffer.substr(begin, end - begin);
  if (line.front() == ' ' || line.front() == '\t') {
    return {400, "white space at the start of a line"};  // obs-fold (RFC 9112, 5.2), or 2.2
  }
  size_t colon = 0;
  while (colon < line.size() && Is(line[colon], kTokenChar)) ++colon;
  if (colon == line.size()) return {400, "field line without a colon"};
  if (line[colon] == ' ' || line[colon] == '\t') {
    return {400, "white space in or behind a field name"};  // RFC 9112, 5.1
  }
  if (line[colon] != ':') return {400, "field name is no token"};
  if (colon == 0) return {400, "field without a name"};
  const std::string_view value = TrimOws(line.substr(colon + 1));
  Place place = {};
  place.name = static_cast<uint32_t>(begin);
  place.name_end = static_cast<uint32_t>(begin + colon);
  if (!value.empty()) {
    place.value = static_cast<uint32_t>(value.data() - buffer.data());
    place.value_end = static_cast<uint32_t>(place.value + value.size());
  }
  place.info = Classify(line.substr(0, colon));
  if (places_.empty()) places_.reserve(kFirstFields);
  places_.push_back(place);
  return {};
}

void FieldSection::Finish(std::string_view buffer, Fields& fields) const {
  fields.fields_.clear();
  fields.fields_.reserve(places_.size());
  for (const Place& place : places_) {
    fields.fields_.push_back({.name = buffer.substr(place.name, place.name_end - place.name),
                              .value = buffer.substr(place.value, place.value_end - place.value),
                              .info = place.info});
  }
}

Refusal ConnectionOptions::Option(std::string_view option, Fields& fields) {
  if (!AllAre(option, kTokenChar)) return {400, "Connection option is no token"};
  close = close || EqualsNoCase(option, "close");
  keep_alive = keep_alive || EqualsNoCase(option, "keep-alive");
  upgrade = upgrade || EqualsNoCase(option, "upgrade");
  for (Field& field : fields.fields_) {
    if (EqualsNoCase(field.name, option)) field.connection_named = true;
  }
  return {};
}

Refusal ConnectionOptions::Read(Fields& fields, size_t most) {
  size_t options = 0;
  Refusal refusal;
  for (const Field& field : fields) {
    if (field.info.id != Name::kConnection) continue;
    ForEachMember(field.value, [&](std::string_view option) {
      if (refusal) return;
      refusal =
          ++options > most ? Refusal{431, "too many Connection options"} : Option(option, fields);
    });
  }
  return refusal;
}

bool Persists(const ConnectionOptions& options, int minor) {
  return !options.close && (minor >= 1 || options.keep_alive);
}

std::optional<uint64_t> ReadDecimal(std::string_view text) {
  if (text.empty() || text.size() > 18 || !AllAre(text, kDigitChar)) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) value = value * 10 + static_cast<uint64_t>(c - '0');
  return value;
}

ContentLength ReadContentLength(const Fields& fields) {
  size_t count = 0;
  const Field* field = fields.Find(Name::kContentLength, &count);
  if (!field) return {};
  if (count > 1) return {.refusal = {400, "several Content-Length fields"}};
  if (field->value.empty() || !AllAre(field->value, kDigitChar)) {
    return {.refusal = {400, "Content-Length is no number"}};
  }
  const std::optional<uint64_t> bytes = ReadDecimal(field->value);
  if (!bytes) return {.refusal = {400, "Content-Length is too large"}};
  return {.bytes = bytes};
}

TransferCoding ReadTransferCoding(const Fields& fields, int minor) {
  size_t count = 0;
  const Field* field = fields.Find(Name::kTransferEncoding, &count);
  if (!field) return {};
  if (minor == 0) return {.refusal = {400, "Transfer-Encoding in HTTP/1.0"}};
  if (fields.Find(Name::kContentLength)) {
    return {.refusal = {400, "Content-Length and Transfer-Encoding"}};
  }
  if (count > 1) return {.refusal = {400, "several Transfer-Encoding fields"}};
  if (!EqualsNoCase(field->value, "chunked")) {
    return {.refusal = {501, "transfer coding other than chunked"}};
  }
  return {.chunked = true};
}

}  // namespace wb::http
