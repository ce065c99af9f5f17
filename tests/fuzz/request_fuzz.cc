// SPDX-License-Identifier: Apache-2.0
// The data path's request scanner. Input: the payload of one packet. What it would answer, the
// strict parser of tests/bpf accepts too and reads alike, and the other way round; what it follows
// is one request whose end and body are those of a plain reading of RFC 9112; nothing depends on
// what the buffer held before.
#include <set>

#include "tests/bpf/strict_request.h"
#include "tests/fuzz/datapath.h"
#include "tests/fuzz/fuzz.h"
#include "webbooster/abi/limits.h"

namespace wb::fuzz {
namespace {

constexpr std::string_view kNames[DP_VALUES] = {
    "host",       "accept-encoding", "if-none-match", "if-modified-since",
    "connection", "content-length",  "range"};

// One request whose end nobody can dispute.
struct Framing {
  size_t end = 0;
  bool head = false;
  bool query = false;
  bool cookie = false;
  std::map<std::string, std::string> values;  // of kNames
};

bool IsVisible(char c) { return c > 0x20 && c < 0x7f; }

std::optional<Framing> ReadFraming(std::string_view text) {
  static const std::set<std::string> kChanges = {"transfer-encoding", "upgrade", "expect",
                                                 "http2-settings", "trailer"};
  const auto head = ReadHead(text);
  if (!head) return std::nullopt;
  Framing f{.end = head->end};
  for (const char c : text.substr(0, head->end))
    if ((static_cast<uint8_t>(c) < 0x20 && c != '\r' && c != '\n') || c == 0x7f)
      return std::nullopt;
  const std::string_view first = head->lines[0];
  const size_t method = first.find(' '), target = first.rfind(' ');
  if (method == std::string_view::npos || target <= method || first.substr(target) != " HTTP/1.1" ||
      first[method + 1] != '/')
    return std::nullopt;
  static const std::set<std::string_view> kMethods = {"GET", "HEAD",  "POST",
                                                      "PUT", "PATCH", "DELETE"};
  if (!kMethods.contains(first.substr(0, method))) return std::nullopt;
  f.head = first.substr(0, method) == "HEAD";
  for (const char c : first.substr(method + 1, target - method - 1)) {
    if (!IsVisible(c)) return std::nullopt;
    f.query |= c == '?';
  }
  for (size_t i = 1; i < head->lines.size(); ++i) {
    if (head->lines[i].find_first_of("\r\n") != std::string_view::npos) return std::nullopt;
    const auto field = ReadField(head->lines[i]);
    if (!field || field->name.empty() || kChanges.contains(field->name)) return std::nullopt;
    for (const char c : field->name)
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return std::nullopt;
    f.cookie |= field->name == "cookie";
    if (std::ranges::find(kNames, field->name) != std::end(kNames) &&
        !f.values.emplace(field->name, field->value).second && field->name != "range")
      return std::nullopt;
  }
  if (f.values.contains("connection") && Lower(f.values["connection"]) != "keep-alive")
    return std::nullopt;
  return f;
}

// Cookies change nothing for the scanner, whether they matter is the domain's business: as fields
// that are on the list, which they are not.
std::string WithoutCookies(std::string_view text, const Head& head) {
  std::string other(text);
  for (const std::string_view line : head.lines)
    if (Lower(line).starts_with("cookie:"))
      other.replace(static_cast<size_t>(line.data() - text.data()), 6, "pragma");
  return other;
}

void CheckAnswered(const dp_request& r, std::string_view text, const bpf_test::StrictRequest& s) {
  FUZZ_CHECK(r.end == text.size(), "end %u of %zu", r.end, text.size());
  FUZZ_CHECK((r.head != 0) == s.head, "method");
  FUZZ_CHECK(s.target == std::string_view(r.target, r.target_len), "target %s", s.target.c_str());
  for (size_t i = r.target_len; i < sizeof(r.target); ++i)
    FUZZ_CHECK(r.target[i] == 0, "key not padded with zeros");
  for (size_t i = 0; i < DP_VALUES; ++i) {
    const auto it = s.fields.find(std::string(kNames[i]));
    FUZZ_CHECK(((r.seen >> i) & 1) == (it != s.fields.end()), "field %zu", i);
    if (it == s.fields.end()) continue;
    FUZZ_CHECK(text.substr(r.value[i].off, r.value[i].len) == it->second, "value of field %zu", i);
  }
}

void CheckFollowed(const dp_request& r, std::string_view text) {
  const auto f = ReadFraming(text);
  FUZZ_CHECK(f.has_value(), "followed, but not certainly one request");
  FUZZ_CHECK(r.end == f->end, "end %u, not %zu", r.end, f->end);
  FUZZ_CHECK((r.head != 0) == f->head, "method");
  FUZZ_CHECK((r.query != 0) == f->query, "query");
  FUZZ_CHECK((r.cookie != 0) == f->cookie, "cookie");
  const auto it = f->values.find("content-length");
  FUZZ_CHECK(((r.seen >> DP_LENGTH) & 1) == (it != f->values.end()), "Content-Length");
  if (it == f->values.end() || r.body < 0) return;
  FUZZ_CHECK(Decimal(it->second) == static_cast<uint64_t>(r.body), "body of %ld",
             static_cast<long>(r.body));
}

bool Same(const dp_request& a, const dp_request& b) {
  bool same = a.verdict == b.verdict && a.end == b.end && a.head == b.head && a.query == b.query &&
              a.cookie == b.cookie && a.seen == b.seen && a.body == b.body &&
              std::string_view(a.target, sizeof(a.target)) ==
                  std::string_view(b.target, sizeof(b.target)) &&
              a.target_len == b.target_len;
  for (size_t i = 0; i < DP_VALUES; ++i)
    same = same && a.value[i].off == b.value[i].off && a.value[i].len == b.value[i].len;
  return same;
}

void One(std::string_view text) {
  const auto length = static_cast<uint32_t>(text.size());
  const dp_request r = dp_scan_request(Bytes(text), length, 'a');
  FUZZ_CHECK(Same(r, dp_scan_request(Bytes(text), length, '\n')), "depends on stale bytes");
  if (r.verdict >= 0) CheckFollowed(r, text);
  const auto head = ReadHead(text);
  std::optional<bpf_test::StrictRequest> strict;
  if (head) strict = bpf_test::ParseStrict(WithoutCookies(text, *head));
  if (r.verdict == 0) {
    FUZZ_CHECK(strict.has_value(), "would be answered, but is not of the positive list");
    CheckAnswered(r, text, *strict);
  } else {
    FUZZ_CHECK(!strict || strict->target.size() >= WB_TARGET_MAX, "is of the positive list: %d",
               r.verdict);
  }
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0 && size <= DP_SCAN_MAX) wb::fuzz::One(wb::fuzz::Text(data, size));
  return 0;
}
