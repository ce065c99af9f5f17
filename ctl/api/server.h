// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1.1 server for operators, whatever is asked: the control APIs over a UNIX socket
// (docs/API.md), or a port for Prometheus and a status page. One request per connection. Requests
// run on a few threads of the server; what waits for these is bounded, and so are the bytes and the
// time of each, so that no client can hold or exhaust the process.
#ifndef CTL_API_SERVER_H_
#define CTL_API_SERVER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "ctl/api/dispatch.h"
#include "ctl/api/peer.h"
#include "ctl/api/service.h"

namespace wb::api {

inline constexpr size_t kMaxBodyBytes = 1 << 20;
inline constexpr size_t kServerThreads = 8;

class Server {
 public:
  // Called on several threads at once.
  struct Handler {
    // `stop` is notified when the server ends.
    std::function<ApiResponse(const ApiRequest& request, const absl::Notification& stop)> respond;
    std::function<void(const DeniedPeer& peer)> denied = {};  // of a UNIX socket
  };
  struct Options {
    std::string socket_path;  // Absolute; its directory is made with mode 0750 if absent.
    mode_t socket_mode = 0660;
    PeerPolicy allow = {};             // Others get 403 and are told to the handler.
    std::string program = "accelerd";  // That they may not control.
    std::string host = {};             // If set: TCP on this address or name, and
    uint16_t port = 0;                 // this port; 0: the kernel's choice.
    // Another server of ours answers there, which is to go: see AllowSuccessor() and TakePlace().
    bool beside = false;
    std::chrono::milliseconds read_time{5000};   // For a whole request to arrive.
    std::chrono::milliseconds write_time{5000};  // For a client to take a part of the reply.
  };

  // Answers from the return on. Errors: those of SocketPlace::Prepare(), Internal when the socket
  // cannot be bound; of TCP, InvalidArgument for what is no address, and those of bind(2). Sets
  // SIGPIPE to ignored (httplib does).
  static absl::StatusOr<std::unique_ptr<Server>> Start(Handler handler, const Options& options);
  // accelerd's. `service` is borrowed and must outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Service& service, const Options& options);

  ~Server();

  // Removes the socket, tells running calls to end (their Notification), lets begun replies out,
  // and returns when all threads have ended: within a second unless the Service blocks longer.
  // Thread-safe, may be called again.
  void Stop();
  // From now on another process of ours may listen on the TCP port, too.
  void AllowSuccessor();
  // Takes the name of the UNIX socket from the other that has it; who connects asks us from then
  // on. Before that we answer on the name with ".new" behind it.
  absl::Status TakePlace();
  uint16_t port() const;  // of TCP

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wb::api

#endif  // CTL_API_SERVER_H_
