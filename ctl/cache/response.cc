// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/response.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace wb::cache {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(absl::string_view(a.data(), a.size()),
                                absl::string_view(b.data(), b.size()));
}

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsTextChar(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u == '\t' || (u >= 0x20 && u != 0x7f);
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<int> ParseStatusLine(std::string_view line) {
  // "HTTP/1.1 200 " and a reason that may be empty; some servers leave out the last space.
  if (line.size() < 12 || line.substr(0, 9) != "HTTP/1.1 ") return std::nullopt;
  if (line.size() > 12 && line[12] != ' ') return std::nullopt;
  int status = 0;
  for (char c : line.substr(9, 3)) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    status = status * 10 + (c - '0');
  }
  for (char c : line) {
    if (!IsTextChar(c)) return std::nullopt;
  }
  return status >= 100 && status <= 599 ? std::optional<int>(status) : std::nullopt;
}

std::optional<Field> ParseField(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  for (char c : line.substr(0, colon)) {
    if (!IsTokenChar(c)) return std::nullopt;
  }
  for (char c : line.substr(colon + 1)) {
    if (!IsTextChar(c)) return std::nullopt;
  }
  return Field{line.substr(0, colon), Trim(line.substr(colon + 1))};
}

std::optional<uint64_t> ParseLength(std::string_view text) {
  if (text.empty() || text.size() > 15) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

}  // namespace

size_t Response::Count(std::string_view name) const {
  size_t n = 0;
  for (const Field& field : fields) n += SameName(field.name, name) ? 1 : 0;
  return n;
}

std::optional<std::string_view> Response::Find(std::string_view name) const {
  for (const Field& field : fields) {
    if (SameName(field.name, name)) return field.value;
  }
  return std::nullopt;
}

absl::StatusOr<Response> ParseResponse(std::string_view raw) {
  Response response;
  response.raw = raw;
  size_t at = 0;
  for (bool first = true;; first = false) {
    const size_t end = raw.find("\r\n", at);
    if (end == std::string_view::npos) return absl::InvalidArgumentError("no end of the header");
    const std::string_view line = raw.substr(at, end - at);
    at = end + 2;
    if (first) {
      const std::optional<int> status = ParseStatusLine(line);
      if (!status) return absl::InvalidArgumentError("not an HTTP/1.1 status line");
      response.status = *status;
      continue;
    }
    if (line.empty()) break;
    const std::optional<Field> field = ParseField(line);
    if (!field) return absl::InvalidArgumentError("malformed field line");
    if (SameName(field->name, "Content-Length")) {
      if (response.content_length) return absl::InvalidArgumentError("two Content-Length fields");
      response.content_length = ParseLength(field->value);
      if (!response.content_length) return absl::InvalidArgumentError("Content-Length no number");
    }
    response.fields.push_back(*field);
  }
  response.header_len = at;
  response.body = raw.substr(at);
  return response;
}

TemplateSource SourceOf(const Response& response) {
  TemplateSource source;
  source.bytes = response.raw;
  source.header_len = static_cast<uint16_t>(response.header_len);
  if (const auto date = response.Find("Date")) {
    source.date_off = static_cast<uint16_t>(response.OffsetOf(*date));
  }
  return source;
}

}  // namespace wb::cache
