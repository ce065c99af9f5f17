// SPDX-License-Identifier: Apache-2.0
#include "booster/link/channel_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

using std::chrono::milliseconds;
using TimePoint = ChannelClock::time_point;

}  // namespace

absl::StatusOr<std::unique_ptr<ChannelClients>> ChannelClients::Start() {
  base::UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return base::PosixError("make", "an eventfd");
  std::unique_ptr<ChannelClients> clients(new ChannelClients(std::move(wake)));
  clients->thread_ = std::thread([all = clients.get()] { all->Run(); });
  return clients;
}

ChannelClients::~ChannelClients() {
  {
    std::lock_guard lock(mu_);
    stop_ = true;
  }
  (void)eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
  for (auto& [id, client] : clients_) client.catalogue.Clear();
}

absl::StatusOr<ChannelClients::Id> ChannelClients::Add(const ChannelTarget& target,
                                                       Catalogue& catalogue) {
  WB_ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::Parse(target.host, target.port));
  WB_ASSIGN_OR_RETURN(TlsContext context, TlsContext::Make(End::kBoosterd, target.secret));
  std::lock_guard lock(mu_);
  const Id id = next_id_++;
  clients_.try_emplace(id, address, std::move(context), catalogue);
  (void)eventfd_write(wake_.get(), 1);
  return id;
}

void ChannelClients::Remove(Id id) {
  std::lock_guard lock(mu_);
  const auto it = clients_.find(id);
  if (it == clients_.end()) return;
  it->second.catalogue.Clear();
  clients_.erase(it);
  bounced_.notify_all();
  (void)eventfd_write(wake_.get(), 1);
}

ChannelState ChannelClients::state(Id id) const {
  std::lock_guard lock(mu_);
  const auto it = clients_.find(id);
  return it == clients_.end() ? ChannelState{} : it->second.state;
}

std::optional<LoadReport> ChannelClients::load(Id id) const {
  std::lock_guard lock(mu_);
  const auto it = clients_.find(id);
  return it == clients_.end() ? std::nullopt : it->second.load;
}

absl::StatusOr<uint64_t> ChannelClients::SetBounce(Id id, std::vector<BounceEntry> entries) {
  std::string checked;
  WB_RETURN_IF_ERROR(AppendBounce(0, entries, &checked));
  std::lock_guard lock(mu_);
  const auto it = clients_.find(id);
  if (it == clients_.end()) return absl::NotFoundError("there is no such channel");
  Client& client = it->second;
  if (client.bounce && client.bounce->entries == entries) return client.bounce->serial;
  client.bounce = {client.bounce ? client.bounce->serial + 1 : 1, std::move(entries)};
  client.bounce_at = ChannelClock::now();
  (void)eventfd_write(wake_.get(), 1);
  return client.bounce->serial;
}

absl::Status ChannelClients::AwaitBounced(Id id, uint64_t serial, milliseconds patience) const {
  const TimePoint end = ChannelClock::now() + patience;
  std::unique_lock lock(mu_);
  while (true) {
    const auto it = clients_.find(id);
    if (it == clients_.end()) return absl::NotFoundError("there is no such channel");
    if (it->second.state.bounced >= serial) return absl::OkStatus();
    if (ChannelClock::now() >= end)
      return absl::DeadlineExceededError("the origin has not said that it bounces so");
    bounced_.wait_until(lock, end);
  }
}

void ChannelClients::Run() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  std::vector<pollfd> polled;
  std::unique_lock lock(mu_);
  while (!stop_) {
    polled = {{wake_.get(), POLLIN, 0}};
    for (const auto& [id, client] : clients_)
      if (client.channel != nullptr)
        polled.push_back({client.channel->fd(), client.channel->events(), 0});
    const int wait_ms = WaitMs(ChannelClock::now());
    lock.unlock();
    (void)poll(polled.data(), polled.size(), wait_ms);
    lock.lock();
    eventfd_t woken;
    (void)eventfd_read(wake_.get(), &woken);
    // All of them: they are few, and one that has nothing to do costs a system call.
    for (auto& [id, client] : clients_) Step(client, ChannelClock::now());
  }
}

int ChannelClients::WaitMs(TimePoint now) const {
  TimePoint until = now + kLongestPause;
  for (const auto& [id, client] : clients_) {
    until = std::min(until, client.channel == nullptr ? client.next_try : client.channel->due());
    if (TellsBounce(client)) until = std::min(until, client.bounce_at);
  }
  return static_cast<int>(
      std::max<int64_t>(std::chrono::ceil<milliseconds>(until - now).count(), 0));
}

// To an origin that takes nothing there is enough to be told.
bool ChannelClients::TellsBounce(const Client& client) {
  return client.bounce && client.channel != nullptr && client.channel->open() &&
         client.channel->out().empty();
}

void ChannelClients::Step(Client& client, TimePoint now) {
  if (client.channel == nullptr) {
    if (now < client.next_try) return;
    if (absl::Status s = Connect(client, now); !s.ok()) return Fail(client, s, now);
  }
  absl::Status status =
      client.channel->Run(now, [&](const Frame& frame) { return Take(client, frame, now); });
  if (status.ok() && TellsBounce(client) && now >= client.bounce_at) {
    status = AppendBounce(client.bounce->serial, client.bounce->entries, &client.channel->out());
    client.bounce_at = now + kBouncePeriod;
  }
  if (status.ok()) status = client.channel->Flush(now);
  if (!status.ok()) return Fail(client, status, now);
  if (!client.channel->open() || client.state.open) return;
  client.state.open = true;
  client.state.opened++;
  client.state.since = std::chrono::system_clock::now();
}

absl::Status ChannelClients::Connect(Client& client, TimePoint now) {
  base::UniqueFd fd(socket(client.address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return base::PosixError("make", "a socket");
  const int one = 1;
  (void)setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  if (connect(fd.get(), client.address.get(), client.address.size()) != 0 && errno != EINPROGRESS)
    return base::PosixError("connect to", client.address.ToString());
  WB_ASSIGN_OR_RETURN(client.channel, ChannelConnection::Make(client.context, std::move(fd), now));
  return absl::OkStatus();
}

absl::Status ChannelClients::Take(Client& client, const Frame& frame, TimePoint now) {
  Catalogue& catalogue = client.catalogue;
  ChannelState& state = client.state;
  switch (frame.type) {
    case FrameType::kCatalogueBegin:
      catalogue.Clear();
      client.begun = true;
      state.complete = false;
      state.snapshots++;
      return absl::OkStatus();
    case FrameType::kCataloguePut:
      if (!client.begun) break;
      return ReadPut(frame, [&](const Held& held) {
        if (!catalogue.Put(held.key, held.bytes)) state.no_room++;
      });
    case FrameType::kCatalogueRemove:
      if (!client.begun) break;
      return ReadRemove(frame, [&](const Key& key) { catalogue.Remove(key); });
    case FrameType::kCatalogueEnd:
      if (!client.begun) break;
      state.complete = true;
      client.pause = kFirstPause;
      return absl::OkStatus();
    case FrameType::kLoad: {
      WB_ASSIGN_OR_RETURN(client.load, ReadLoad(frame));
      client.load->at = now;
      return absl::OkStatus();
    }
    case FrameType::kBounced: {
      WB_ASSIGN_OR_RETURN(const uint64_t serial, ReadBounced(frame));
      if (!client.bounce || serial > client.bounce->serial)
        return absl::InvalidArgumentError("a bounce table is said to be in force that is none");
      state.bounced = serial;
      bounced_.notify_all();
      return absl::OkStatus();
    }
    default:
      return absl::OkStatus();  // of a later version
  }
  return absl::InvalidArgumentError("the catalogue has no beginning");
}

// Many boosters may have lost one origin at once: they come back one by one.
void ChannelClients::Fail(Client& client, const absl::Status& why, TimePoint now) {
  client.channel.reset();
  client.catalogue.Clear();
  client.begun = false;
  ChannelState& state = client.state;
  state.open = state.complete = false;
  state.since.reset();
  state.bounced = 0;
  client.bounce_at = now;
  state.failed++;
  state.last_error = std::string(why.message());
  std::uniform_int_distribution<int64_t> jitter(client.pause.count() / 2, client.pause.count());
  client.next_try = now + milliseconds(jitter(random_));
  client.pause = std::min(2 * client.pause, kLongestPause);
}

}  // namespace wb::link
