// SPDX-License-Identifier: Apache-2.0
// One thread of boosterd with its loop: it accepts clients by its own listening sockets and asks
// origins by its own links. Workers share nothing but the snapshot and the bounds on connections.
#ifndef BOOSTER_BOOSTERD_WORKER_H_
#define BOOSTER_BOOSTERD_WORKER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/boosterd/access_log.h"
#include "booster/boosterd/thinned_links.h"
#include "booster/front/client_table.h"
#include "booster/front/connection.h"
#include "booster/front/fair_gate.h"
#include "booster/front/services.h"
#include "booster/link/dispatcher.h"
#include "booster/net/event_loop.h"
#include "booster/tls/context.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boosterd {

// What workers share. Thread-safe.
struct Shared {
  std::unique_ptr<tls::CertificateStore> certificates;  // none: no listener with TLS
  AccessLog log;
  std::unique_ptr<front::ClientTable> clients;
  std::unique_ptr<link::AckThinning> thinning;  // none: acknowledged as the kernel does
  std::atomic<uint32_t> connections = 0;        // of all workers
  std::atomic<uint64_t> buffered = 0;           // bytes that wait for clients, of all workers
};

struct ListeningSocket {
  base::UniqueFd fd;
  bool tls = false;
  bool proxy_protocol = false;
};

// What only a worker's own thread can tell.
struct WorkerReport {
  uint64_t turns = 0;  // of its loop
  std::vector<link::OriginFigures> origins;
};

class Worker final : private front::ConnectionOwner {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Worker>> Make(
      Shared& shared, std::shared_ptr<const front::Snapshot> snapshot,
      std::vector<ListeningSocket> sockets);
  ~Worker();

  // On all of its sockets, also those that are only bound. Before Start().
  [[nodiscard]] absl::Status Listen();
  void Start();
  // From any thread, in force with the next request.
  void Adopt(std::shared_ptr<const front::Snapshot> snapshot);
  // Those that wait are accepted and then no more, and no further requests are wanted; `left` is
  // counted down when the last connection has ended. Idle ones end at once, or, `patient`, with the
  // response to their next request, if it comes before EndIdle().
  void Drain(std::atomic<int>& left, bool patient);
  void EndIdle();
  void Stop();  // and waits for the thread

  // Its listening sockets, until Drain().
  std::vector<int> listening() const;
  const front::WorkerCounters& counters() const { return counters_; }
  // From any thread: `tell` is called on the worker's, soon, if it runs.
  void Report(std::function<void(WorkerReport)> tell);
  // Of its thread, as long as that runs.
  std::chrono::nanoseconds CpuTime() const;
  const link::DispatchCounts& dispatched() const { return dispatcher_->counts(); }

 private:
  class Listener;

  Worker(Shared& shared, std::unique_ptr<net::EventLoop> loop,
         std::shared_ptr<const front::Snapshot> snapshot);
  bool Accept(const ListeningSocket& socket);
  void Admit(base::UniqueFd fd, const net::Address& client, const ListeningSocket& socket);
  bool TurnBegins(net::Clock::duration took);
  void ConnectionEnded(front::Connection& connection) override;
  void AdoptLog();

  Shared& shared_;
  const std::unique_ptr<net::EventLoop> loop_;
  base::UniqueFd spare_;  // given up for a connection that there is no descriptor for
  std::vector<char> scratch_;
  front::WorkerCounters counters_;
  WorkerLog log_;
  std::shared_ptr<const front::Snapshot> snapshot_;
  front::FairGate gate_;
  std::optional<ThinnedLinks> thinned_;
  std::unique_ptr<link::Dispatcher> dispatcher_;
  front::Services services_;
  uint64_t buffered_told_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<front::Connection>> connections_;
  std::vector<std::unique_ptr<front::Connection>> ended_;  // until the end of the turn
  net::Deferred bury_;
  std::atomic<int>* drained_ = nullptr;  // to be counted down
  std::thread thread_;
};

}  // namespace wb::boosterd

#endif  // BOOSTER_BOOSTERD_WORKER_H_
