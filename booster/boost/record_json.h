// SPDX-License-Identifier: Apache-2.0
// Records as JSON, in the file and in etcd.
#ifndef BOOSTER_BOOST_RECORD_JSON_H_
#define BOOSTER_BOOST_RECORD_JSON_H_

#include "absl/status/statusor.h"
#include "booster/boost/store.h"
#include "nlohmann/json.hpp"

namespace wb::boost {

nlohmann::json ToJson(const Record& record);
// InvalidArgument: no record, and which member is wrong. Unknown members are of a later version,
// and passed over.
[[nodiscard]] absl::StatusOr<Record> FromJson(const nlohmann::json& json);

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_RECORD_JSON_H_
