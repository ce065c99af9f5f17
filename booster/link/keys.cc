// SPDX-License-Identifier: Apache-2.0
#include "booster/link/keys.h"

#include "booster/http/chars.h"

namespace wb::link {
namespace {

constexpr size_t kYoung = 16384;

}  // namespace

bool RequestName::Read(const http::RequestHead& head, std::string_view scheme,
                       bool ignore_cookies) {
  if (head.method != "GET" || head.framing != http::Framing::kNone || head.upgrade ||
      head.minor == 0 || head.authority.host.empty()) {
    return false;
  }
  if (head.authority.port != 0 && head.authority.port != (scheme == "https" ? 443 : 80)) {
    return false;
  }
  std::string_view encoding;
  bool encoded = false;
  for (const http::Field& field : head.fields) {
    if (field.connection_named) continue;
    if (field.info.flags & (http::kHarmless | http::kHopByHop | http::kForged)) continue;
    if (field.info.id == http::Name::kCookie && ignore_cookies) continue;
    if (field.info.id != http::Name::kAcceptEncoding || encoded) return false;
    encoding = field.value;
    encoded = !encoding.empty();
    if (!encoded) return false;  // an empty field is not the same as none
  }
  text_.clear();
  for (const char c : head.authority.host) text_.push_back(http::Lower(c));
  host_ = text_.size();
  text_.push_back('\0');
  text_.append(head.target.path).append(head.target.query);
  target_ = text_.size();
  text_.push_back('\0');
  text_.append(encoding);
  return true;
}

const Keys::Entry* Keys::Of(const http::RequestHead& head, std::string_view scheme,
                            bool ignore_cookies) {
  if (!name_.Read(head, scheme, ignore_cookies)) return nullptr;
  if (const auto at = young_.find(name_.text()); at != young_.end()) return &at->second;
  Entry entry;
  if (const auto at = old_.find(name_.text()); at != old_.end()) {
    entry = at->second;
  } else {
    if (!maker_.Make(name_.host(), name_.target(), name_.encoding(), &entry.key)) return nullptr;
    entry.hex = HexOf(entry.key);
  }
  if (young_.size() >= kYoung) {
    old_ = std::move(young_);
    young_.clear();
  }
  return &young_.emplace(name_.text(), std::move(entry)).first->second;
}

}  // namespace wb::link
