// SPDX-License-Identifier: Apache-2.0
// Calls of etcd's v3 API through its JSON gateway (etcd 3.4 and later: /v3/...). Over TLS for
// https:// endpoints; with user and password where given. The process ignores SIGPIPE, which TLS on
// a connection that has ended raises.
#ifndef BOOSTER_BOOST_ETCD_CLIENT_H_
#define BOOSTER_BOOST_ETCD_CLIENT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace wb::boost {

struct EtcdAccess {
  std::vector<std::string> endpoints;    // http://HOST:PORT or https://HOST:PORT, at least one
  std::string user = {}, password = {};  // both empty: no authentication
  std::string ca_file = {};              // of https; empty: the system's
  std::string chain_file = {}, key_file = {};  // of https; empty: no client certificate
  std::chrono::milliseconds timeout{500};      // of a connection, and between bytes of an answer
};

std::string ToBase64(std::string_view bytes);
// Empty: no base64.
std::string FromBase64(std::string_view text);
// The least key that is behind all that begin with `prefix` (range_end of etcd).
std::string EndOf(std::string prefix);

// Calls come from one thread; Abort() from any.
class EtcdClient {
 public:
  explicit EtcdClient(EtcdAccess access);
  ~EtcdClient();

  // The answer to `body` at `path` (such as /v3/kv/range). When an endpoint does not answer, the
  // next call goes to the next. Errors: Unavailable, with the cause as far as it is known here, or
  // what etcd says; InvalidArgument: no URL, or a file that cannot be used.
  [[nodiscard]] absl::StatusOr<nlohmann::json> Call(const std::string& path,
                                                    const nlohmann::json& body);
  // Each message of a stream, until `message` returns false, Abort(), or nothing came for `idle`:
  // OK. Errors as above.
  [[nodiscard]] absl::Status Stream(const std::string& path, const nlohmann::json& body,
                                    std::chrono::milliseconds idle,
                                    const std::function<bool(const nlohmann::json&)>& message);
  // Ends what is under way.
  void Abort();

 private:
  struct Http;
  absl::Status Connect();
  absl::Status LogIn();
  absl::Status Failed(const absl::Status& status);

  const EtcdAccess access_;
  size_t endpoint_ = 0;
  std::string token_;
  std::unique_ptr<Http> http_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_ETCD_CLIENT_H_
