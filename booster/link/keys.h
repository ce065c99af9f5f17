// SPDX-License-Identifier: Apache-2.0
// Keys of requests (webbooster/abi/key_field.h), remembered, since the same objects are asked for
// again and again. One for a worker and an origin. Not thread-safe.
#ifndef BOOSTER_LINK_KEYS_H_
#define BOOSTER_LINK_KEYS_H_

#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "booster/http/request.h"
#include "booster/link/link_key.h"

namespace wb::link {

// What an accelerator may answer whatever the request's fields say: GET without a body, with
// nothing but Accept-Encoding, once, that could change the reply. By this alone two requests are
// the same.
class RequestName {
 public:
  // False: another kind of request. `scheme` as of Ask. The views hold until the next call.
  bool Read(const http::RequestHead& head, std::string_view scheme, bool ignore_cookies);

  const std::string& text() const { return text_; }  // all three, with NUL between them
  std::string_view host() const { return View().substr(0, host_); }
  std::string_view target() const { return View().substr(host_ + 1, target_ - host_ - 1); }
  std::string_view encoding() const { return View().substr(target_ + 1); }

 private:
  std::string_view View() const { return text_; }

  std::string text_;
  size_t host_ = 0;  // ends there, as does the target
  size_t target_ = 0;
};

class Keys {
 public:
  explicit Keys(const Secret& secret) : maker_(secret) {}

  struct Entry {
    Key key;
    std::string hex;
  };
  // The key of a request that has a name. Else none. Valid until the next call.
  const Entry* Of(const http::RequestHead& head, std::string_view scheme, bool ignore_cookies);

 private:
  const KeyMaker maker_;
  RequestName name_;  // what a key is made of
  // Two generations: when the young one is full it becomes the old one, and what is still asked for
  // comes over.
  absl::flat_hash_map<std::string, Entry> young_;
  absl::flat_hash_map<std::string, Entry> old_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_KEYS_H_
