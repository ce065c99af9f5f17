// SPDX-License-Identifier: Apache-2.0
// The parameters of a query. InvalidArgument says which one is wrong and what it may be.
#ifndef CTL_API_PARAMS_H_
#define CTL_API_PARAMS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"

namespace wb::api {

using Params = std::multimap<std::string, std::string>;

// Calls `read` for each; a doubled one is an error.
absl::Status ReadParams(
    const Params& params,
    const std::function<absl::Status(const std::string& name, const std::string& value)>& read);
absl::Status UnknownParam(const std::string& name);
// Decimal digits.
absl::Status ReadNumber(const std::string& name, const std::string& text, uint64_t max,
                        uint64_t& out);
// true or false.
absl::Status ReadFlag(const std::string& name, const std::string& text, bool& out);
// An IPv4 or IPv6 address, in its canonical form afterwards; IPv4-mapped ones are IPv4.
absl::Status ReadAddress(const std::string& name, const std::string& text, std::string& out);

}  // namespace wb::api

#endif  // CTL_API_PARAMS_H_
