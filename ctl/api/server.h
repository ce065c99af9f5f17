// SPDX-License-Identifier: Apache-2.0
// The control API: HTTP/1.1 with JSON over a UNIX socket (docs/API.md). One request per connection.
// Requests run on a few threads of the server and call the Service there.
#ifndef CTL_API_SERVER_H_
#define CTL_API_SERVER_H_

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "ctl/api/peer.h"
#include "ctl/api/service.h"

namespace wb::api {

inline constexpr size_t kMaxBodyBytes = 1 << 20;
inline constexpr size_t kServerThreads = 8;

class Server {
 public:
  struct Options {
    std::string socket_path;  // Absolute; its directory is made with mode 0750 if absent.
    mode_t socket_mode = 0660;
    PeerPolicy allow = {};                       // Others get 403 and are told to the Service.
    std::chrono::milliseconds read_time{5000};   // For a whole request to arrive.
    std::chrono::milliseconds write_time{5000};  // For a client to take a part of the reply.
  };

  // Answers from the return on. `service` is borrowed and must outlive the server. Errors: those of
  // SocketPlace::Prepare(), and Internal when the socket cannot be bound. Sets SIGPIPE to ignored
  // (httplib does).
  static absl::StatusOr<std::unique_ptr<Server>> Start(Service& service, const Options& options);

  ~Server();

  // Removes the socket, tells running calls to end (their Notification), lets begun replies out,
  // and returns when all threads have ended: within a second unless the Service blocks longer.
  // Thread-safe, may be called again.
  void Stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wb::api

#endif  // CTL_API_SERVER_H_
