// SPDX-License-Identifier: Apache-2.0
#include "booster/http/names.h"

#include <array>

#include "booster/http/chars.h"
#include "webbooster/abi/key_field.h"

namespace wb::http {
namespace {

struct Known {
  std::string_view name;
  Name id;
  uint8_t flags;
};

constexpr uint8_t kHop = kHopByHop | kNoTrailer;
constexpr uint8_t kProxy = kForged | kNoTrailer;
constexpr std::string_view kForwardedPrefix = "x-forwarded-";

// By length, for Classify().
constexpr auto kKnown = std::to_array<Known>({
    {"te", Name::kTe, kHop},
    {"age", Name::kOther, kNoTrailer},
    {"dnt", Name::kOther, kHarmless},
    {"date", Name::kDate, kNoTrailer},
    {"host", Name::kHost, kHop},
    {"vary", Name::kOther, kNoTrailer},
    {"range", Name::kOther, kNoTrailer},
    {"cookie", Name::kCookie, kNoTrailer},
    {"expect", Name::kExpect, kHop},
    {"pragma", Name::kOther, kNoTrailer | kHarmless},
    {WB_KEY_FIELD_NAME, Name::kOther, kHop},
    {"accept", Name::kOther, kHarmless},
    {"expires", Name::kOther, kNoTrailer},
    {"trailer", Name::kTrailer, kHop},
    {"upgrade", Name::kUpgrade, kHop},
    {"warning", Name::kOther, kNoTrailer},
    {"referer", Name::kOther, kHarmless},
    {"sec-gpc", Name::kOther, kHarmless},
    {"if-match", Name::kOther, kNoTrailer},
    {"if-range", Name::kOther, kNoTrailer},
    {"location", Name::kOther, kNoTrailer},
    {"priority", Name::kOther, kHarmless},
    {"forwarded", Name::kForwarded, kProxy},
    {"x-real-ip", Name::kOther, kProxy},
    {"sec-ch-ua", Name::kOther, kHarmless},
    {"connection", Name::kConnection, kHop},
    {"keep-alive", Name::kOther, kHop},
    {"set-cookie", Name::kOther, kNoTrailer},
    {"tracestate", Name::kOther, kHarmless},
    {"user-agent", Name::kOther, kHarmless},
    {"retry-after", Name::kOther, kNoTrailer},
    {"traceparent", Name::kOther, kHarmless},
    {"content-type", Name::kOther, kNoTrailer},
    {"max-forwards", Name::kMaxForwards, kNoTrailer},
    {"authorization", Name::kOther, kNoTrailer},
    {"cache-control", Name::kOther, kNoTrailer | kHarmless},
    {"content-range", Name::kOther, kNoTrailer},
    {"if-none-match", Name::kOther, kNoTrailer},
    {"content-length", Name::kContentLength, kHop},
    {"http2-settings", Name::kOther, kHop},
    {"sec-fetch-site", Name::kOther, kHarmless},
    {"sec-fetch-mode", Name::kOther, kHarmless},
    {"sec-fetch-dest", Name::kOther, kHarmless},
    {"sec-fetch-user", Name::kOther, kHarmless},
    {"x-forwarded-for", Name::kXForwardedFor, kProxy},
    {"accept-encoding", Name::kAcceptEncoding, 0},
    {"accept-language", Name::kOther, kHarmless},
    {"content-encoding", Name::kOther, kNoTrailer},
    {"proxy-connection", Name::kOther, kHop},
    {"www-authenticate", Name::kOther, kNoTrailer},
    {"sec-ch-ua-mobile", Name::kOther, kHarmless},
    {"if-modified-since", Name::kOther, kNoTrailer},
    {"transfer-encoding", Name::kTransferEncoding, kHop},
    {"x-forwarded-proto", Name::kXForwardedProto, kProxy},
    {"proxy-authenticate", Name::kOther, kHop},
    {"sec-ch-ua-platform", Name::kOther, kHarmless},
    {"authentication-info", Name::kOther, kNoTrailer},
    {"if-unmodified-since", Name::kOther, kNoTrailer},
    {"proxy-authorization", Name::kOther, kHop},
    {"proxy-authentication-info", Name::kOther, kHop},
    {"upgrade-insecure-requests", Name::kOther, kHarmless},
});
constexpr size_t kLongest = kKnown.back().name.size();

// Where the names of each length begin.
constexpr auto kBegin = [] {
  std::array<uint8_t, kLongest + 2> begin = {};
  for (size_t length = 0, i = 0; length < begin.size(); ++length) {
    while (i < kKnown.size() && kKnown[i].name.size() < length) ++i;
    begin[length] = static_cast<uint8_t>(i);
  }
  return begin;
}();

static_assert([] {
  for (size_t i = 1; i < kKnown.size(); ++i) {
    if (kKnown[i - 1].name.size() > kKnown[i].name.size()) return false;
  }
  return true;
}());

constexpr char Fold(char c) { return c == '_' ? '-' : Lower(c); }

bool Same(std::string_view name, std::string_view known) {
  for (size_t i = 0; i < known.size(); ++i) {
    if (Fold(name[i]) != Lower(known[i])) return false;
  }
  return true;
}

}  // namespace

NameInfo Classify(std::string_view name) {
  NameInfo info;
  const size_t length = name.size();
  if (length <= kLongest) {
    for (size_t i = kBegin[length]; i < kBegin[length + 1]; ++i) {
      if (!Same(name, kKnown[i].name)) continue;
      info = {kKnown[i].id, kKnown[i].flags};
      break;
    }
  }
  if (info.id == Name::kOther && length > kForwardedPrefix.size() &&
      Same(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix)) {
    info.flags = kProxy;
  }
  // Masked: not the field, and never forwarded.
  if (info.flags & (kHopByHop | kForged) && name.find('_') != std::string_view::npos) {
    info = {Name::kOther, kHop};
  }
  return info;
}

}  // namespace wb::http
