// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <utility>

#include "booster/tls/tcp_stream.h"
#include "booster/tls/tls_stream.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr size_t kScratchBytes = 64 << 10;
constexpr int kAcceptsPerTurn = 64;
constexpr int kBacklog = 4096;
constexpr int kMostWaiting = 8192;  // twice what listeners have; more come meanwhile

}  // namespace

// Level-triggered: what is not accepted in this turn is in the next.
class Worker::Listener final : private net::Watcher {
 public:
  Listener(Worker& worker, ListeningSocket socket) : worker_(worker), socket_(std::move(socket)) {}
  ~Listener() { Close(); }

  absl::Status Watch() { return worker_.loop_->Watch(socket_.fd.get(), EPOLLIN, *this); }
  int fd() const { return socket_.fd.get(); }
  void AcceptAll() {
    for (int i = 0; i < kMostWaiting / kAcceptsPerTurn && worker_.Accept(socket_); ++i) continue;
  }
  void Close() {
    worker_.loop_->Unwatch(*this);
    socket_.fd.reset();
  }

 private:
  void OnEvents(uint32_t) override { worker_.Accept(socket_); }

  Worker& worker_;
  ListeningSocket socket_;
};

absl::StatusOr<std::unique_ptr<Worker>> Worker::Make(
    Shared& shared, std::shared_ptr<const front::Snapshot> snapshot,
    std::vector<ListeningSocket> sockets) {
  WB_ASSIGN_OR_RETURN(std::unique_ptr<net::EventLoop> loop, net::EventLoop::Make());
  std::unique_ptr<Worker> worker(new Worker(shared, std::move(loop), std::move(snapshot)));
  for (ListeningSocket& socket : sockets) {
    worker->listeners_.push_back(std::make_unique<Listener>(*worker, std::move(socket)));
    WB_RETURN_IF_ERROR(worker->listeners_.back()->Watch());
  }
  return worker;
}

Worker::Worker(Shared& shared, std::unique_ptr<net::EventLoop> loop,
               std::shared_ptr<const front::Snapshot> snapshot)
    : shared_(shared),
      loop_(std::move(loop)),
      spare_(open("/dev/null", O_RDONLY | O_CLOEXEC)),
      scratch_(kScratchBytes),
      counters_(front::kMaxDomains),
      log_(*loop_, shared.log),
      snapshot_(snapshot),
      gate_(*loop_, snapshot_),
      thinned_(shared.thinning ? std::optional<ThinnedLinks>(std::in_place, *shared.thinning)
                               : std::nullopt),
      dispatcher_(std::make_unique<link::Dispatcher>(*loop_, snapshot->routes,
                                                     thinned_ ? &*thinned_ : nullptr, &gate_)),
      services_(*loop_, *dispatcher_, counters_, nullptr, scratch_, snapshot),
      bury_(*loop_, [this] { ended_.clear(); }) {
  loop_->set_busy(snapshot->config.busy_poll);
  loop_->set_turn([this](net::Clock::duration took) { return TurnBegins(took); });
  AdoptLog();
}

bool Worker::TurnBegins(net::Clock::duration took) {
  const uint64_t buffered = counters_.buffered.get();
  if (buffered != buffered_told_) {
    shared_.buffered.fetch_add(buffered - buffered_told_, std::memory_order_relaxed);
    buffered_told_ = buffered;
  }
  services_.overload.Update(loop_->now(), took, shared_.buffered.load(std::memory_order_relaxed));
  return gate_.Turn(took);
}

Worker::~Worker() {
  Stop();
  // Sessions cancel their exchanges, so before the dispatcher.
  connections_.clear();
  ended_.clear();
}

void Worker::Start() {
  thread_ = std::thread([this] { loop_->Run(); });
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  loop_->Stop();
  thread_.join();
}

void Worker::Adopt(std::shared_ptr<const front::Snapshot> snapshot) {
  loop_->Post([this, snapshot = std::move(snapshot)]() mutable {
    dispatcher_->Adopt(snapshot->routes);
    loop_->set_busy(snapshot->config.busy_poll);
    services_.snapshot = snapshot;
    snapshot_ = std::move(snapshot);
    AdoptLog();
  });
}

void Worker::AdoptLog() {
  const config::AccessLog& config = services_.snapshot->config.access_log;
  log_.Configure(config);
  services_.log = AccessLog::Wanted(config) ? &log_ : nullptr;
}

void Worker::Report(std::function<void(WorkerReport)> tell) {
  loop_->Post([this, tell = std::move(tell)] { tell({loop_->turns(), dispatcher_->Report()}); });
}

std::chrono::nanoseconds Worker::CpuTime() const {
  clockid_t clock;
  timespec time = {};
  // pthread_t is kept by std::thread, which does not change while it is joinable.
  if (pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) == 0) {
    clock_gettime(clock, &time);
  }
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

absl::Status Worker::Listen() {
  for (const int fd : listening()) {
    if (listen(fd, kBacklog) != 0) return base::PosixError("listen on", "a socket");
  }
  return absl::OkStatus();
}

std::vector<int> Worker::listening() const {
  std::vector<int> fds;
  for (const auto& listener : listeners_) fds.push_back(listener->fd());
  return fds;
}

void Worker::Drain(std::atomic<int>& left, bool patient) {
  loop_->Post([this, &left, patient] {
    services_.draining = true;
    services_.patient = patient;
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Drain();
    for (const auto& listener : listeners_) listener->AcceptAll();
    listeners_.clear();
    if (connections_.empty()) {
      --left;
    } else {
      drained_ = &left;
    }
  });
}

void Worker::EndIdle() {
  loop_->Post([this] {
    services_.patient = false;
    for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Drain();
  });
}

// False: nobody waits, or nobody can be accepted now.
bool Worker::Accept(const ListeningSocket& socket) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    net::Address client;
    client.length = sizeof(client.storage);
    base::UniqueFd fd(accept4(socket.fd.get(), reinterpret_cast<sockaddr*>(&client.storage),
                              &client.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      Admit(std::move(fd), client, socket);
    } else if ((errno == EMFILE || errno == ENFILE) && spare_) {
      // Left alone, it would wake us again and again: it is ended by the descriptor kept for this.
      spare_.reset();
      base::UniqueFd(accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
      spare_.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
      counters_.ended[static_cast<size_t>(front::End::kLimit)].Add();
    } else if (errno == EAGAIN || errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
               errno == ENOMEM) {
      return false;
    }  // else it was ended before it was accepted
  }
  return true;
}

void Worker::Admit(base::UniqueFd fd, const net::Address& client, const ListeningSocket& socket) {
  counters_.accepted.Add();
  const front::Config& config = services_.snapshot->config;
  if (shared_.connections.load(std::memory_order_relaxed) >= config.limits.connections) {
    counters_.ended[static_cast<size_t>(front::End::kLimit)].Add();
    return;
  }
  front::Peer peer = {.address = client.Host(), .encrypted = socket.tls};
  if (const auto ip = front::Address::From(client.get())) peer.ip = *ip;
  peer.proxy = services_.snapshot->trusted.Contains(peer.ip);
  front::ClientTable::Place place;
  if (!peer.proxy) {
    auto answer = shared_.clients->Ask(
        peer.ip, front::ClientTable::kConnections,
        {front::Rate(config.limits.client_connection_rate, 0), config.limits.client_connections},
        loop_->now().time_since_epoch().count());
    if (answer.refused()) {
      counters_.ended[static_cast<size_t>(front::End::kLimit)].Add();
      return;
    }
    place = std::move(answer.place);
  }
  std::unique_ptr<net::Stream> stream;
  if (socket.tls) {
    auto tls = tls::TlsStream::Accept(*shared_.certificates, std::move(fd));
    if (!tls.ok()) {
      counters_.ended[static_cast<size_t>(front::End::kBroken)].Add();
      return;
    }
    stream = *std::move(tls);
  } else {
    stream = std::make_unique<tls::TcpStream>(std::move(fd));
  }
  shared_.connections.fetch_add(1, std::memory_order_relaxed);
  counters_.connections.Add();
  peer.port = client.Port();
  if (services_.log) {
    net::Address own;
    own.length = sizeof(own.storage);
    getsockname(stream->fd(), reinterpret_cast<sockaddr*>(&own.storage), &own.length);
    peer.server = own.Host();
    peer.server_port = own.Port();
  }
  connections_.push_back(std::make_unique<front::Connection>(
      services_, *static_cast<front::ConnectionOwner*>(this), std::move(stream), std::move(peer),
      std::move(place), socket.proxy_protocol));
  connections_.back()->place = connections_.size() - 1;
  connections_.back()->Begin();
}

void Worker::ConnectionEnded(front::Connection& connection) {
  const size_t place = connection.place;
  ended_.push_back(std::move(connections_[place]));
  if (place + 1 < connections_.size()) {
    connections_[place] = std::move(connections_.back());
    connections_[place]->place = place;
  }
  connections_.pop_back();
  bury_.Schedule();
  counters_.connections.Subtract(1);
  shared_.connections.fetch_sub(1, std::memory_order_relaxed);
  if (drained_ && connections_.empty()) --*std::exchange(drained_, nullptr);
}

}  // namespace wb::boosterd
