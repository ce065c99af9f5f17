// SPDX-License-Identifier: Apache-2.0
#include "booster/http/request_builder.h"

#include <algorithm>

#include "booster/http/chars.h"
#include "booster/http/request_rules.h"

namespace wb::http {
namespace {

constexpr size_t kFieldBytes = 32;   // of each (RFC 9113, 10.5.1)
constexpr size_t kFirstBytes = 512;  // most heads are no longer
constexpr std::array<std::string_view, 4> kPseudoNames = {":method", ":scheme", ":authority",
                                                          ":path"};

uint16_t PortOf(const Authority& authority, std::string_view scheme) {
  if (authority.port != 0) return authority.port;
  return scheme == "https" ? 443 : 80;
}

}  // namespace

Refusal CheckField(std::string_view name, std::string_view value) {
  if (name.empty()) return {400, "field without a name"};
  for (const char c : name) {
    if (!Is(c, kTokenChar) || c != Lower(c)) return {400, "field name is no token in lower case"};
  }
  if (!AllAre(value, kTextChar)) return {400, "control character in a field"};
  if (value.size() != TrimOws(value).size()) return {400, "white space around a field value"};
  switch (Classify(name).id) {
    case Name::kConnection:
    case Name::kTransferEncoding:
    case Name::kUpgrade:
      return {400, "field of the connection"};
    case Name::kTe:
      if (value != "trailers") return {400, "TE other than trailers"};
      break;
    default:
      if (name == "keep-alive" || name == "proxy-connection") {
        return {400, "field of the connection"};
      }
  }
  return {};
}

bool RequestBuilder::Add(std::string_view name, std::string_view value) {
  list_bytes_ += name.size() + value.size() + kFieldBytes;
  if (refusal_) return list_bytes_ <= 2 * limits_.head_bytes;
  if (list_bytes_ > limits_.head_bytes) {
    refusal_ = {431, "head is too long"};
  } else if (name.starts_with(':')) {
    refusal_ = AddPseudo(name, value);
  } else {
    refusal_ = AddField(name, value);
  }
  return true;
}

// RFC 9113, 8.3: before all other fields, each of them once, and no others.
Refusal RequestBuilder::AddPseudo(std::string_view name, std::string_view value) {
  if (in_fields_) return {400, "pseudo-header field behind a field"};
  const auto at = std::find(kPseudoNames.begin(), kPseudoNames.end(), name);
  if (at == kPseudoNames.end()) return {400, "unknown pseudo-header field"};
  Place& place = pseudo_[static_cast<size_t>(at - kPseudoNames.begin())];
  if (place.there) return {400, "pseudo-header field twice"};
  if (text_.empty()) text_.reserve(kFirstBytes);
  place = {text_.size(), text_.size() + value.size(), true};
  text_.append(value);
  return {};
}

Refusal RequestBuilder::AddField(std::string_view name, std::string_view value) {
  in_fields_ = true;
  if (const Refusal refusal = CheckField(name, value)) return refusal;
  if (name == "cookie") {
    if (!cookie_.empty() && !value.empty()) cookie_.append("; ");
    cookie_.append(value);
    return {};
  }
  return AddLine(name, value);
}

Refusal RequestBuilder::AddLine(std::string_view name, std::string_view value) {
  if (section_.size() == limits_.fields) return {431, "too many fields"};
  const size_t begin = text_.size();
  text_.append(name).append(":").append(value);
  return section_.Add(text_, begin, text_.size());
}

std::string_view RequestBuilder::Value(Pseudo which) const {
  const Place& place = pseudo_[which];
  return std::string_view(text_).substr(place.begin, place.end - place.begin);
}

Refusal RequestBuilder::Finish(bool body) {
  if (!refusal_ && !cookie_.empty()) refusal_ = AddLine("cookie", cookie_);
  if (refusal_) return refusal_;
  cookie_ = {};
  section_.Finish(text_, head_.fields);
  head_.http2 = true;
  Refusal refusal = ReadTargetOf();
  if (!refusal) refusal = ReadAuthorityOf();
  if (!refusal) refusal = ReadBodyOf(body);
  if (!refusal) refusal = ReadExpectations(head_);
  if (!refusal) ReadFlags({}, head_);
  return refusal;
}

// RFC 9113, 8.3.1. :path is an origin-form or "*", never an absolute-form.
Refusal RequestBuilder::ReadTargetOf() {
  head_.method = Value(kMethod);
  if (const Refusal refusal = CheckMethod(head_.method, limits_)) return refusal;
  if (head_.method == "CONNECT") return {501, "CONNECT"};
  const std::string_view scheme = Value(kScheme), path = Value(kPath);
  if (scheme != "http" && scheme != "https") return {400, "scheme other than http and https"};
  if (path != "*" && !path.starts_with('/')) return {400, "path without a slash"};
  const Refusal refusal = ReadTarget(path, head_.method == "OPTIONS", limits_, head_.target);
  head_.target.scheme = scheme;
  return refusal;
}

// One of :authority and Host, or both, and then of one origin.
Refusal RequestBuilder::ReadAuthorityOf() {
  size_t count = 0;
  const Field* host = head_.fields.Find(Name::kHost, &count);
  if (count > 1) return {400, "several Host fields"};
  if (!host && !pseudo_[kAuthority].there) return {400, "no authority"};
  if (pseudo_[kAuthority].there) {
    head_.authority = ReadAuthority(Value(kAuthority));
    if (head_.authority.host.empty()) return {400, "malformed authority"};
  }
  if (!host) return {};
  const Authority named = ReadAuthority(host->value);
  if (named.host.empty()) return {400, "malformed Host field"};
  if (!pseudo_[kAuthority].there) {
    head_.authority = named;
    return {};
  }
  const bool same =
      EqualsNoCase(named.host, head_.authority.host) &&
      PortOf(named, head_.target.scheme) == PortOf(head_.authority, head_.target.scheme);
  return same ? Refusal{} : Refusal{400, "authority and Host differ"};
}

Refusal RequestBuilder::ReadBodyOf(bool body) {
  const bool length = head_.fields.Find(Name::kContentLength) != nullptr;
  if (const Refusal refusal = ReadFraming(limits_, {.chunked = body && !length}, head_)) {
    return refusal;
  }
  if (!body && head_.content_length > 0) return {400, "Content-Length without a body"};
  return {};
}

}  // namespace wb::http
