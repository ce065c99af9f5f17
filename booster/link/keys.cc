// SPDX-License-Identifier: Apache-2.0
#include "booster/link/keys.h"

#include "booster/http/chars.h"

namespace wb::link {
namespace {

constexpr size_t kYoung = 16384;

}  // namespace

const Keys::Entry* Keys::Of(const http::RequestHead& head, std::string_view scheme,
                            bool ignore_cookies) {
  if (head.method != "GET" || head.framing != http::Framing::kNone || head.upgrade ||
      head.minor == 0 || head.authority.host.empty()) {
    return nullptr;
  }
  if (head.authority.port != 0 && head.authority.port != (scheme == "https" ? 443 : 80)) {
    return nullptr;
  }
  std::string_view encoding;
  bool encoded = false;
  for (const http::Field& field : head.fields) {
    if (field.connection_named) continue;
    if (field.info.flags & (http::kHarmless | http::kHopByHop | http::kForged)) continue;
    if (field.info.id == http::Name::kCookie && ignore_cookies) continue;
    if (field.info.id != http::Name::kAcceptEncoding || encoded) return nullptr;
    encoding = field.value;
    encoded = !encoding.empty();
    if (!encoded) return nullptr;  // an empty field is not the same as none
  }
  name_.clear();
  for (const char c : head.authority.host) name_.push_back(http::Lower(c));
  const size_t host = name_.size();
  name_.push_back('\0');
  name_.append(head.target.path).append(head.target.query);
  const size_t target = name_.size();
  name_.push_back('\0');
  name_.append(encoding);
  const std::string_view name = name_;
  return Find(name.substr(0, host), name.substr(host + 1, target - host - 1),
              name.substr(target + 1));
}

const Keys::Entry* Keys::Find(std::string_view host, std::string_view target,
                              std::string_view encoding) {
  if (const auto at = young_.find(name_); at != young_.end()) return &at->second;
  Entry entry;
  if (const auto at = old_.find(name_); at != old_.end()) {
    entry = at->second;
  } else {
    if (!maker_.Make(host, target, encoding, &entry.key)) return nullptr;
    entry.hex = HexOf(entry.key);
  }
  if (young_.size() >= kYoung) {
    old_ = std::move(young_);
    young_.clear();
  }
  return &young_.emplace(name_, std::move(entry)).first->second;
}

}  // namespace wb::link
