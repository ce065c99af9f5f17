// SPDX-License-Identifier: Apache-2.0
// The one call whose reply does not end by itself.
#include <httplib.h>
#include <sys/socket.h>

#include <exception>

#include "absl/strings/str_cat.h"
#include "ctl/api/client.h"
#include "ctl/api/errors.h"
#include "ctl/api/socket.h"
#include "ctl/api/tap_route.h"

namespace wb::api {
namespace {

constexpr int kAnyPort = 1;
constexpr size_t kMaxErrorBytes = 64 << 10;

}  // namespace

absl::Status Client::Tap(const TapRequest& request,
                         const std::function<bool(const char* data, size_t size)>& take) {
  // Why it cannot be reached, if so: httplib does not say.
  if (absl::Status probe = ProbeSocket(socket_path_); !probe.ok()) return GetStatus().status();
  try {
    httplib::Client http(socket_path_, kAnyPort);
    http.set_address_family(AF_UNIX);
    http.set_read_timeout(timeouts_.query);  // for each piece: statistics come all the time
    int status = 0;
    std::string error;
    bool left = false;
    const httplib::Result result = http.Get(
        kTapPath + TapQuery(request), {{"Host", "accelerd"}},
        [&](const httplib::Response& response) {
          status = response.status;
          return true;
        },
        [&](const char* data, size_t size) {
          if (status == 200) return !(left = !take(data, size));
          error.append(data, size);
          return error.size() <= kMaxErrorBytes;
        });
    if (status != 0 && status != 200) return StatusFromErrorJson(status, error);
    if (result || left) return absl::OkStatus();
    return absl::UnavailableError(
        absl::StrCat("accelerd ended the tap: ", httplib::to_string(result.error())));
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("HTTP client: ", e.what()));
  }
}

}  // namespace wb::api
