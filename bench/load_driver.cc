// SPDX-License-Identifier: Apache-2.0
#include "bench/load_driver.h"

#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "bench/cpu_time.h"

namespace wb::bench {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
constexpr double kStalledS = 5;
// A link's window must admit a whole batch of the largest replies.
constexpr int kLinkReceiveBytes = 4 << 20;
// Batches of each size before the next larger one, for the windows of both ends to grow with them.
constexpr int kBatchesOfOneSize = 8;
// Every so many batches (while they grow, after each) what was received is acknowledged by itself
// and not with the next request: as a client that pauses does, and a booster after a miss.
constexpr int kOwnAckEvery = 16;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

struct LoadDriver::Client {
  base::UniqueFd fd;
  bool connected = false;
  int batch = 1;  // grows to the wanted one as the link's congestion window does
  int batches = 0;
  std::vector<Target*> asked;
  size_t answered = 0;
  ReplyReader reader;
};

LoadDriver::LoadDriver(const LoadOptions& options, std::vector<Target>* targets)
    : options_(options), targets_(targets), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  buffer_.resize(kBufferBytes);
  for (int i = 0; i < options_.connections; ++i) clients_.push_back(std::make_unique<Client>());
}

LoadDriver::~LoadDriver() = default;

void LoadDriver::Fail(const std::string& what) {
  if (result_.error.empty()) result_.error = what;
  phase_ = Phase::kOver;
}

bool LoadDriver::Exhausted() const { return options_.requests != 0 && asked_ >= options_.requests; }

void LoadDriver::Connect(Client* client) {
  client->fd.reset(
      socket(options_.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  client->connected = false;
  client->asked.clear();
  const int one = 1;
  setsockopt(client->fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  if (options_.mode == Mode::kKeyed) {
    setsockopt(client->fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kLinkReceiveBytes,
               sizeof(kLinkReceiveBytes));
  }
  epoll_event event = {.events = EPOLLOUT, .data = {.ptr = client}};
  if ((connect(client->fd.get(), reinterpret_cast<sockaddr*>(&options_.address),
               options_.address_bytes) != 0 &&
       errno != EINPROGRESS) ||
      epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client->fd.get(), &event) != 0) {
    Fail(std::string("connect: ") + std::strerror(errno));
  }
}

void LoadDriver::Ask(Client* client) {
  client->asked.clear();
  client->answered = 0;
  if (Exhausted()) return;
  if (client->batch < options_.batch || client->batches % kOwnAckEvery == 0) {
    const int one = 1;
    setsockopt(client->fd.get(), IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
    // Back to delaying, or the acknowledgments that follow would all be by themselves.
    const int zero = 0;
    setsockopt(client->fd.get(), IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
  }
  std::string together;
  for (int i = 0; i < client->batch && !Exhausted(); ++i, ++asked_) {
    Target* target = &(*targets_)[next_target_];
    next_target_ = (next_target_ + 1) % targets_->size();
    client->asked.push_back(target);
    if (client->batch > 1) together += target->request;
  }
  if (++client->batches % kBatchesOfOneSize == 0) {
    client->batch = std::min(client->batch + 1, options_.batch);
  }
  const std::string& bytes = together.empty() ? client->asked.front()->request : together;
  if (send(client->fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    Fail(std::string("send: ") + std::strerror(errno));
    return;
  }
  client->reader.Expect(client->asked.front());
}

void LoadDriver::Handle(Client* client, uint32_t events) {
  if (client->connected) {
    while (phase_ != Phase::kOver && ReadOnce(client)) {
    }
    return;
  }
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(client->fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0 || (events & EPOLLHUP) != 0) {
    Fail(std::string("connect: ") + std::strerror(error));
    return;
  }
  client->connected = true;
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = client}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client->fd.get(), &event);
  // So many requests and no more: they begin when all connections are there and the window opens.
  if (options_.requests == 0 || phase_ == Phase::kWindow) Ask(client);
}

// True if there may be more to read at once.
bool LoadDriver::ReadOnce(Client* client) {
  ReplyReader& reader = client->reader;
  const bool waiting = client->answered < client->asked.size();
  const uint64_t droppable = waiting ? reader.Droppable() : 0;
  const size_t head_only = waiting ? reader.HeadOnly() : 0;
  ssize_t got = 0;
  if (droppable > 0) {
    got = recv(client->fd.get(), nullptr, droppable, MSG_TRUNC);
  } else {
    got = recv(client->fd.get(), buffer_.data(), head_only > 0 ? head_only : buffer_.size(), 0);
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got < 0) Fail(std::string("recv: ") + std::strerror(errno));
  if (got == 0) Ended(client);
  if (got <= 0) return false;
  if (droppable > 0) {
    reader.Drop(got);
    if (reader.done()) ReplyDone(client);
  }
  for (size_t at = droppable > 0 ? got : 0; at < static_cast<size_t>(got);) {
    if (client->answered == client->asked.size()) {
      Fail("bytes that nobody asked for");
      return false;
    }
    at += reader.Take(buffer_.data() + at, got - at);
    if (!reader.error().empty())
      Fail(client->asked[client->answered]->path + ": " + reader.error());
    if (phase_ == Phase::kOver) return false;
    if (reader.done()) ReplyDone(client);
  }
  // Level-triggered: another call pays only where the rest of this reply is likely to be there.
  return client->answered < client->asked.size() && reader.Droppable() > 0;
}

void LoadDriver::ReplyDone(Client* client) {
  Target* target = client->asked[client->answered];
  client->reader.Finish();
  if (!client->reader.error().empty()) Fail(target->path + ": " + client->reader.error());
  ++client->answered;
  ++result_.answered;
  if (phase_ == Phase::kWindow) {
    ++result_.requests;
    result_.body_bytes += *target->length;
  }
  if (client->answered < client->asked.size()) {
    client->reader.Expect(client->asked[client->answered]);
  } else if (options_.mode != Mode::kClose) {
    idle_.push_back(client);
  }
}

// Those whose replies came together ask together. One CPU makes all the load, and takes longer for
// a request than the accelerator does: asked one by one, an origin that is at work and one that
// mostly sleeps would be compared.
void LoadDriver::AskAgain() {
  for (Client* client : idle_) {
    if (phase_ != Phase::kOver) Ask(client);
  }
  idle_.clear();
}

void LoadDriver::Ended(Client* client) {
  if (options_.mode != Mode::kClose || client->answered < client->asked.size()) {
    Fail("closed by the server");
    return;
  }
  Connect(client);
}

void LoadDriver::OpenWindow() {
  phase_ = Phase::kWindow;
  result_.requests = 0;
  cpu_before_ = RunTimes(options_.cpu_pids);
  phase_start_ = progress_ = Now();
  if (options_.requests == 0) return;
  for (const auto& client : clients_) Ask(client.get());
}

// Moves to the next phase when it is time.
void LoadDriver::Advance() {
  const double now = Now();
  const bool all_connected =
      std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->connected; });
  if (phase_ == Phase::kWarm) {
    const bool ready =
        options_.requests != 0 ? all_connected : now - phase_start_ > options_.warm_s;
    if (ready) {
      OpenWindow();
    } else if (now - phase_start_ > options_.warm_s + kStalledS) {
      Fail("cannot connect");
    }
    return;
  }
  const bool counted = options_.requests != 0;
  if (counted ? result_.requests >= options_.requests : now - phase_start_ > options_.window_s) {
    phase_ = Phase::kOver;
  } else if (counted && now - phase_start_ > options_.window_s) {
    Fail("not all requests were answered in time");
  }
}

LoadResult LoadDriver::Run() {
  phase_start_ = Now();
  for (const auto& client : clients_) Connect(client.get());
  epoll_event events[64];
  uint64_t last = 0;
  while (phase_ != Phase::kOver) {
    const int n = epoll_wait(epoll_.get(), events, std::size(events), 0);
    // Never sleeps: to wake a virtual CPU that has halted costs the waker, here the origin, some
    // microseconds, which a network card does not take. The NAPI threads of this CPU run when there
    // is nothing to read.
    if (n == 0) sched_yield();
    for (int i = 0; i < n && phase_ != Phase::kOver; ++i) {
      Handle(static_cast<Client*>(events[i].data.ptr), events[i].events);
    }
    AskAgain();
    if (phase_ != Phase::kOver) Advance();
    if (n > 0 || result_.requests != last) progress_ = Now();
    last = result_.requests;
    if (phase_ == Phase::kWindow && Now() - progress_ > kStalledS) Fail("no reply for 5 s");
  }
  result_.seconds = Now() - phase_start_;
  if (!cpu_before_.empty()) result_.cpu_ns = RunTimesSince(cpu_before_, options_.cpu_pids);
  if (result_.error.empty() && result_.requests == 0) result_.error = "nothing was answered";
  return result_;
}

}  // namespace wb::bench
