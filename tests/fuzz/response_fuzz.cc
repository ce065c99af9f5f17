// SPDX-License-Identifier: Apache-2.0
// The reading and judging of the web server's responses before they become templates. Input: the
// answers to GET, HEAD and If-None-Match, separated by the byte 0x1e. What is judged to be fit for
// everybody is so by a plain second reading too, and the data path sees the same end of it.
#include <time.h>

#include "ctl/cache/http_date.h"
#include "ctl/cache/response.h"
#include "tests/fuzz/datapath.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {
namespace {

using cache::Response;

// The C library's opinion.
bool IsDate(std::string_view text) {
  tm parts = {};
  const std::string date(text);
  const char* end = strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end != date.c_str() + date.size()) return false;
  const time_t second = timegm(&parts);
  char again[64];
  strftime(again, sizeof(again), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&second, &parts));
  return date == again;
}

// The words of a comma-separated list, quoted strings left out.
std::vector<std::string> Words(const std::string& list) {
  std::vector<std::string> words(1);
  bool quoted = false;
  for (size_t i = 0; i < list.size(); ++i) {
    if (quoted && list[i] == '\\') {
      ++i;
    } else if (list[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && list[i] == ',') {
      words.emplace_back();
    } else if (!quoted && list[i] != ' ' && list[i] != '\t') {
      words.back() += list[i];
    }
  }
  return words;
}

// That nothing in the header forbids what we do with the response.
void CheckFit(std::string_view raw, size_t header_len) {
  static const std::vector<std::string> kNever = {
      "set-cookie", "transfer-encoding", "www-authenticate", "content-range", "age", "pragma"};
  const auto head = ReadHead(raw);
  FUZZ_CHECK(head && head->end == header_len, "end of the header");
  size_t dates = 0;
  for (size_t i = 1; i < head->lines.size(); ++i) {
    const auto field = ReadField(head->lines[i]);
    FUZZ_CHECK(field.has_value(), "a line that is no field");
    FUZZ_CHECK(std::ranges::find(kNever, field->name) == kNever.end(), "%s", field->name.c_str());
    dates += field->name == "date" ? 1 : 0;
    if (field->name == "date") FUZZ_CHECK(IsDate(field->value), "%s", field->value.c_str());
    if (field->name != "cache-control" && field->name != "vary" && field->name != "connection")
      continue;
    for (const std::string& exact : Words(field->value)) {
      const std::string word = Lower(exact.substr(0, exact.find('=')));
      if (field->name == "cache-control")
        FUZZ_CHECK(word != "no-store" && word != "private" && word != "no-cache", "cache-control");
      if (field->name == "vary")
        FUZZ_CHECK(word.empty() || word == "accept-encoding", "vary: %s", word.c_str());
      if (field->name == "connection")
        FUZZ_CHECK(word.empty() || word == "keep-alive", "connection: %s", word.c_str());
    }
  }
  FUZZ_CHECK(dates == 1, "%zu dates", dates);
}

void CheckParsed(const Response& r) {
  FUZZ_CHECK(r.header_len + r.body.size() == r.raw.size(), "header and body");
  FUZZ_CHECK(r.raw.substr(0, r.header_len).ends_with("\r\n\r\n"), "end of the header");
  FUZZ_CHECK(r.status >= 100 && r.status <= 599, "status %d", r.status);
  for (const cache::Field& field : r.fields) {
    FUZZ_CHECK(r.OffsetOf(field.name) < r.header_len, "field outside of the header");
    FUZZ_CHECK(field.value.empty() || r.OffsetOf(field.value) < r.header_len, "value outside");
  }
}

// The data path, when it follows such a response, sees it end where it ends.
void CheckEnd(std::string_view raw, bool to_head) {
  dp_follow_begin(1, to_head ? 1 : 0, 'a');
  dp_follow(Bytes(raw), static_cast<uint32_t>(raw.size()));
  const dp_progress s = dp_follow_state();
  FUZZ_CHECK(s.lost || s.idle, "the data path awaits more: %u bytes", s.left);
}

void CheckSource(const Response& r) {
  const cache::TemplateSource source = cache::SourceOf(r);
  FUZZ_CHECK(source.bytes == r.raw && source.header_len == r.header_len, "source");
  FUZZ_CHECK(source.date_off + size_t{WB_HTTP_DATE} <= r.header_len, "date beyond the header");
  FUZZ_CHECK(IsDate(r.raw.substr(source.date_off, WB_HTTP_DATE)), "no date at its offset");
}

void CheckJudged(const Response& r, const cache::Judgement& j, const cache::Policy& policy) {
  FUZZ_CHECK(j.ok == j.reason.empty(), "reason");
  if (!j.ok) return;
  FUZZ_CHECK(r.status == 200 && r.content_length == r.body.size(), "status or length");
  FUZZ_CHECK(r.raw.size() <= WB_BODY_MAX, "too large");
  FUZZ_CHECK(policy.watched || (j.lifetime && j.lifetime->count() > 0), "no freshness");
  FUZZ_CHECK(j.etag.empty() || (j.etag.size() >= 2 && j.etag.size() <= WB_ETAG_MAX &&
                                j.etag.find('"', 1) == j.etag.size() - 1),
             "etag");
  FUZZ_CHECK(j.last_modified.empty() || IsDate(j.last_modified), "last-modified");
  CheckFit(r.raw, r.header_len);
  CheckSource(r);
  CheckEnd(r.raw, false);
}

void CheckPart(const Response& part, const Response& get, bool head) {
  const std::string_view fault =
      head ? cache::JudgeHead(part, get) : cache::JudgeNotModified(part, get);
  if (!fault.empty()) return;
  FUZZ_CHECK(part.status == (head ? 200 : 304) && part.body.empty(), "part");
  CheckFit(part.raw, part.header_len);
  CheckSource(part);
  CheckEnd(part.raw, true);
}

void CheckDate(std::string_view text) {
  const auto second = cache::ParseHttpDate(text);
  if (!second) return;
  FUZZ_CHECK(cache::FormatHttpDate(*second) == text && IsDate(text), "date");
}

void One(std::string_view text) {
  std::vector<std::string> raw(1);
  for (const char c : text) {
    if (c == '\x1e' && raw.size() < 3)
      raw.emplace_back();
    else
      raw.back() += c;
  }
  CheckDate(raw.back());
  const auto get = cache::ParseResponse(raw[0]);
  if (!get.ok()) return;
  CheckParsed(*get);
  bool ok = false;
  for (const bool watched : {true, false}) {
    const cache::Judgement j = cache::Judge(*get, {.watched = watched});
    CheckJudged(*get, j, {.watched = watched});
    ok = ok || j.ok;
  }
  if (ok) FUZZ_CHECK(cache::SameButForDate(*get, *get), "differs from itself");
  for (size_t i = 1; i < raw.size(); ++i) {
    const auto part = cache::ParseResponse(raw[i]);
    if (!part.ok()) continue;
    CheckParsed(*part);
    CheckPart(*part, *get, i == 1);
    if (ok && cache::Judge(*part, {.watched = true}).ok && cache::SameButForDate(*get, *part))
      FUZZ_CHECK(get->header_len == part->header_len, "the same, but not");
  }
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wb::fuzz::One(wb::fuzz::Text(data, size));
  return 0;
}
