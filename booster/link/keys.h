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

class Keys {
 public:
  explicit Keys(const Secret& secret) : maker_(secret) {}

  struct Entry {
    Key key;
    std::string hex;
  };
  // The key of a request that an accelerator may answer whatever its fields say: GET without a
  // body, with nothing but Accept-Encoding, once, that could change the reply. Else none. `scheme`
  // as of Ask. Valid until the next call.
  const Entry* Of(const http::RequestHead& head, std::string_view scheme, bool ignore_cookies);

 private:
  const Entry* Find(std::string_view host, std::string_view target, std::string_view encoding);

  const KeyMaker maker_;
  std::string name_;  // what a key is made of
  // Two generations: when the young one is full it becomes the old one, and what is still asked for
  // comes over.
  absl::flat_hash_map<std::string, Entry> young_;
  absl::flat_hash_map<std::string, Entry> old_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_KEYS_H_
