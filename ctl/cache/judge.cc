// SPDX-License-Identifier: Apache-2.0
// The rules of response.h: which responses may be kept. Reasons are stable words; docs and
// operators know them.
#include <algorithm>
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "ctl/cache/http_date.h"
#include "ctl/cache/response.h"

namespace wb::cache {
namespace {

// The Date must lie within the first segment of the smallest size class; 536 bytes (RFC 9293 3.7.1)
// less options.
constexpr size_t kDateWithin = 480;

// A template that lives less would be fetched, four to six requests each time, for next to no hits.
constexpr std::chrono::seconds kMinLifetime{2};

std::string Lower(std::string_view text) {
  return absl::AsciiStrToLower(absl::string_view(text.data(), text.size()));
}

// Calls `visit` with every element of the comma-separated lists in the fields called `name`, commas
// in quoted strings respected, white space around it gone. False: an unfinished quoted string.
bool ForEachElement(const Response& response, std::string_view name,
                    const std::function<void(std::string_view)>& visit) {
  for (const Field& field : response.fields) {
    if (Lower(field.name) != Lower(name)) continue;
    bool quoted = false;
    size_t start = 0;
    for (size_t i = 0; i <= field.value.size(); ++i) {
      const char c = i < field.value.size() ? field.value[i] : ',';
      if (quoted && i == field.value.size()) return false;
      if (quoted && c == '\\') {
        ++i;
      } else if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        std::string_view element = field.value.substr(start, i - start);
        while (!element.empty() && (element.front() == ' ' || element.front() == '\t')) {
          element.remove_prefix(1);
        }
        while (!element.empty() && (element.back() == ' ' || element.back() == '\t')) {
          element.remove_suffix(1);
        }
        if (!element.empty()) visit(element);
        start = i + 1;
      }
    }
    if (quoted) return false;
  }
  return true;
}

bool OnlyElement(const Response& response, std::string_view field, std::string_view allowed) {
  bool only = true;
  const bool whole = ForEachElement(
      response, field, [&](std::string_view element) { only &= Lower(element) == allowed; });
  return whole && only;
}

struct CacheControl {
  std::string_view refused;
  std::optional<uint64_t> max_age;
  std::optional<uint64_t> s_maxage;
  std::optional<uint64_t> stale_while_revalidate;
  bool must_revalidate = false;
  bool immutable = false;
};

bool IsToken(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// cache-directive (RFC 9111 5.2): token [ "=" ( token / quoted-string ) ]. Others may read what is
// not of this form in another way than we.
bool IsDirective(std::string_view element) {
  const size_t equals = element.find('=');
  if (!IsToken(element.substr(0, equals))) return false;
  if (equals == std::string_view::npos) return true;
  const std::string_view value = element.substr(equals + 1);
  if (!value.starts_with('"')) return IsToken(value);
  size_t end = 1;
  while (end < value.size() && value[end] != '"') end += value[end] == '\\' ? 2 : 1;
  return end + 1 == value.size();
}

// delta-seconds (RFC 9111 1.2.2). Doubled with another value, quoted or no number: refused.
void ReadSeconds(std::string_view text, std::optional<uint64_t>& into, std::string_view& refused) {
  uint64_t value = 0;
  bool ok = !text.empty();
  for (char c : text) {
    ok = ok && c >= '0' && c <= '9';
    value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(c - '0'), 1u << 31);
  }
  if (!ok || (into && *into != value)) {
    refused = "cache_control_malformed";
  } else {
    into = value;
  }
}

CacheControl ReadCacheControl(const Response& response) {
  CacheControl cc;
  const bool whole = ForEachElement(response, "Cache-Control", [&](std::string_view element) {
    if (!IsDirective(element)) cc.refused = "cache_control_malformed";
    const size_t equals = element.find('=');
    const std::string name = Lower(element.substr(0, equals));
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : element.substr(equals + 1);
    if (name == "no-store") cc.refused = "no_store";
    if (name == "no-cache")
      cc.refused = "no_cache";  // with field names too: nobody would strip them
    if (name == "private") cc.refused = "private";
    if (name == "max-age") ReadSeconds(value, cc.max_age, cc.refused);
    if (name == "s-maxage") ReadSeconds(value, cc.s_maxage, cc.refused);
    if (name == "stale-while-revalidate") ReadSeconds(value, cc.stale_while_revalidate, cc.refused);
    if (name == "must-revalidate" || name == "proxy-revalidate") cc.must_revalidate = true;
    if (name == "immutable") cc.immutable = true;
  });
  if (!whole) cc.refused = "cache_control_malformed";
  return cc;
}

// What holds for each of the three responses.
std::string_view CommonFault(const Response& response) {
  if (response.Count("Transfer-Encoding") != 0) return "transfer_encoding";
  if (response.header_len > WB_BODY_MAX) return "too_large";
  if (response.Count("Set-Cookie") != 0) return "set_cookie";
  if (!OnlyElement(response, "Connection", "keep-alive")) return "connection";
  if (!OnlyElement(response, "Vary", "accept-encoding")) return "vary";
  if (response.Count("WWW-Authenticate") != 0) return "www_authenticate";
  if (response.Count("Content-Range") != 0) return "content_range";
  // From another cache: the number would stand still in the template.
  if (response.Count("Age") != 0) return "age";
  if (response.Count("Pragma") != 0) return "pragma";
  for (std::string_view name : {"ETag", "Last-Modified", "Expires"}) {
    if (response.Count(name) > 1) return "doubled_field";
  }
  if (response.Count("Date") != 1) return "date_missing_or_doubled";
  const std::string_view date = *response.Find("Date");
  if (!ParseHttpDate(date)) return "date_malformed";
  if (response.OffsetOf(date) + WB_HTTP_DATE > kDateWithin) return "date_too_far";
  return ReadCacheControl(response).refused;
}

// RFC 9111 4.2.1: s-maxage, else max-age, else Expires less Date. An Expires that is no date has
// passed.
std::optional<std::chrono::seconds> Freshness(const Response& response, const CacheControl& cc) {
  if (cc.s_maxage) return std::chrono::seconds(*cc.s_maxage);
  if (cc.max_age) return std::chrono::seconds(*cc.max_age);
  const auto expires = response.Find("Expires");
  if (!expires) return std::nullopt;
  const auto until = ParseHttpDate(*expires);
  if (!until) return std::chrono::seconds(0);
  return std::chrono::seconds(
      std::max<int64_t>(0, *until - *ParseHttpDate(*response.Find("Date"))));
}

// RFC 9110 8.8.3: DQUOTE *etagc DQUOTE.
std::string_view ReadEtag(const Response& response) {
  std::string_view etag = response.Find("ETag").value_or("");
  if (etag.substr(0, 2) == "W/") etag.remove_prefix(2);
  if (etag.size() < 2 || etag.size() > WB_ETAG_MAX || etag.front() != '"' || etag.back() != '"') {
    return {};
  }
  const std::string_view inner = etag.substr(1, etag.size() - 2);
  return inner.find_first_of("\" \t") == std::string_view::npos ? etag : std::string_view();
}

std::string_view SameValidators(const Response& part, const Response& get, bool may_lack) {
  for (std::string_view name : {"ETag", "Last-Modified"}) {
    const auto value = part.Find(name);
    if (!value && may_lack) continue;
    if (value != get.Find(name)) return "validators_differ";
  }
  return {};
}

}  // namespace

Judgement Judge(const Response& response, const Policy& policy) {
  Judgement judgement;
  const auto refuse = [&](std::string_view reason) {
    judgement.reason = reason;
    return judgement;
  };
  if (response.status != 200) return refuse("status");
  if (response.Count("Transfer-Encoding") != 0) return refuse("transfer_encoding");
  if (!response.content_length) return refuse("no_content_length");
  if (response.header_len + *response.content_length > policy.most_bytes)
    return refuse("too_large");
  if (*response.content_length != response.body.size()) return refuse("length_mismatch");
  if (const std::string_view fault = CommonFault(response); !fault.empty()) return refuse(fault);

  const CacheControl cc = ReadCacheControl(response);
  judgement.fresh = Freshness(response, cc);
  judgement.immutable = cc.immutable;
  const bool has_expires = response.Find("Expires").has_value();
  if (judgement.fresh && (!policy.watched || has_expires || cc.immutable)) {
    judgement.lifetime = std::chrono::milliseconds(*judgement.fresh) / (has_expires ? 2 : 1);
  }
  // An Expires that has passed would tell every client so.
  if (judgement.lifetime && !has_expires && !cc.must_revalidate)
    judgement.stale = std::chrono::seconds(cc.stale_while_revalidate.value_or(0));
  judgement.etag = ReadEtag(response);
  const std::string_view modified = response.Find("Last-Modified").value_or("");
  if (ParseHttpDate(modified)) judgement.last_modified = modified;
  if (!policy.watched && judgement.fresh.value_or(std::chrono::seconds(0)).count() <= 0) {
    return refuse("no_freshness");
  }
  if (judgement.lifetime && *judgement.lifetime + judgement.stale < kMinLifetime) {
    return refuse("freshness_too_short");
  }
  judgement.ok = true;
  return judgement;
}

std::string_view JudgeHead(const Response& head, const Response& get) {
  if (head.status != 200) return "status";
  if (!head.body.empty()) return "length_mismatch";
  if (head.content_length != get.content_length) return "length_mismatch";
  if (const std::string_view fault = CommonFault(head); !fault.empty()) return fault;
  return SameValidators(head, get, /*may_lack=*/false);
}

std::string_view JudgeNotModified(const Response& not_modified, const Response& get) {
  if (not_modified.status != 304) return "status";
  if (!not_modified.body.empty()) return "length_mismatch";
  if (const std::string_view fault = CommonFault(not_modified); !fault.empty()) return fault;
  return SameValidators(not_modified, get, /*may_lack=*/true);
}

std::string Differences(const Response& a, const Response& b) {
  std::string names;
  const auto add = [&](std::string_view name) {
    if (names.empty() || !absl::StrContains(names, absl::string_view(name.data(), name.size())))
      names.append(names.empty() ? "" : ", ").append(name);
  };
  if (a.status != b.status) add("status");
  if (a.fields.size() != b.fields.size()) add("fields");
  for (size_t i = 0; i < std::min(a.fields.size(), b.fields.size()); i++)
    if (Lower(a.fields[i].name) != "date" &&
        (a.fields[i].name != b.fields[i].name || a.fields[i].value != b.fields[i].value))
      add(a.fields[i].name);
  if (a.body != b.body) add("body");
  return names;
}

uint64_t RetryAfter(const Response& response) {
  const std::string_view value = response.Find("Retry-After").value_or("");
  std::optional<uint64_t> seconds;
  std::string_view malformed;
  ReadSeconds(value, seconds, malformed);
  if (seconds) return *seconds;
  const auto until = ParseHttpDate(value), now = ParseHttpDate(response.Find("Date").value_or(""));
  return until && now && *until > *now ? static_cast<uint64_t>(*until - *now) : 0;
}

bool SameButForDate(const Response& a, const Response& b) {
  const size_t at = SourceOf(a).date_off;
  if (a.raw.size() != b.raw.size() || at != SourceOf(b).date_off) return false;
  const size_t after = at + WB_HTTP_DATE;
  return a.raw.substr(0, at) == b.raw.substr(0, at) && a.raw.substr(after) == b.raw.substr(after);
}

}  // namespace wb::cache
