// SPDX-License-Identifier: Apache-2.0
// What Content's files hand to each other: variants on their way into the index, and out of it into
// a list.
#ifndef WEBBOOSTER_CTL_ACCELERD_CONTENT_PARTS_H_
#define WEBBOOSTER_CTL_ACCELERD_CONTENT_PARTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ctl/cache/index.h"
#include "ctl/cache/room.h"
#include "webbooster/abi/object.h"

namespace wb::accelerd {

struct Proven {
  cache::ObjectKey key;
  cache::Variant variant;
  std::vector<std::string> paths;
};
struct Listed {
  cache::ObjectKey key;
  cache::Variant variant;
  wb_variant live;
};
// Written, but not answered yet.
struct Draft {
  cache::Place place;
  bool own_freshness = false;
  std::vector<uint32_t> generations;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_CONTENT_PARTS_H_
