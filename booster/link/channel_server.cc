// SPDX-License-Identifier: Apache-2.0
#include "booster/link/channel_server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/link/socket_address.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

using std::chrono::milliseconds;
using TimePoint = ChannelClock::time_point;

// Changes are told together: a purge is one frame, and a fill costs no wake-up of its own.
constexpr milliseconds kBatch{5};
// Asking of all keys again takes a tenth of the thread's time when it is wanted, else a hundredth.
constexpr int kWantedShare = 10;
constexpr int kUnwantedShare = 100;
constexpr milliseconds kRecheck{1000};
constexpr size_t kBuffer = 64 << 10;      // of one connection
constexpr int kSocketBuffer = 128 << 10;  // likewise, the kernel's
constexpr int kRounds = 16;               // of its buffer, before others have their turn
constexpr size_t kChanges = 32768;        // that a reader may be behind
constexpr int kAccepts = 16;              // before others have their turn
constexpr milliseconds kNoDescriptors{100};
constexpr milliseconds kBetweenWarnings{10000};

uint64_t Ns(TimePoint at) {  // steady_clock is CLOCK_MONOTONIC
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count());
}

}  // namespace

ChannelServer::ChannelServer(CatalogueSource::AnsweredUntil answered_until)
    : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), source_(std::move(answered_until), kChanges) {}

ChannelServer::~ChannelServer() { Stop(); }

void ChannelServer::Set(const Key& key, uint32_t slot, uint32_t bytes) {
  const Change change{key, slot, bytes};
  Queue(&change);
}

void ChannelServer::Drop(const Key& key) {
  const Change change{key, 0, 0};
  Queue(&change);
}

void ChannelServer::Recheck() { Queue(nullptr); }

// Null: all keys are to be asked of again.
void ChannelServer::Queue(const Change* change) {
  bool wake;
  {
    std::lock_guard lock(queue_mu_);
    if (change != nullptr)
      queue_.push_back(*change);
    else
      recheck_ = true;
    wake = !std::exchange(woken_, true);
  }
  if (wake) (void)eventfd_write(wake_.get(), 1);
}

absl::Status ChannelServer::Start(const std::string& host, uint16_t port) {
  if (!wake_) return base::PosixError("make", "an eventfd");
  WB_ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::Parse(host, port));
  const std::string name = absl::StrCat("the catalogue's address ", host, " port ", port);
  base::UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int one = 1, zero = 0;
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
      (address.family() == AF_INET6 &&
       setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) != 0) ||
      bind(fd.get(), address.get(), address.size()) != 0 || listen(fd.get(), SOMAXCONN) != 0)
    return base::PosixError("listen on", name);
  WB_ASSIGN_OR_RETURN(port_, SocketAddress::PortOf(fd.get()));
  listener_ = std::move(fd);
  recheck_by_ = ChannelClock::now();
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status ChannelServer::SetPeers(const std::set<Address>& addresses,
                                     const std::optional<Secret>& secret) {
  Peers next{addresses, secret, nullptr};
  std::lock_guard lock(mu_);
  if (secret && secret == peers_.secret) {
    next.context = peers_.context;
  } else if (secret) {
    WB_ASSIGN_OR_RETURN(TlsContext context, TlsContext::Make(End::kAccelerd, *secret));
    next.context = std::make_shared<const TlsContext>(std::move(context));
  }
  peers_ = std::move(next);
  (void)eventfd_write(wake_.get(), 1);
  return absl::OkStatus();
}

void ChannelServer::Stop() {
  stop_ = true;
  (void)eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

ChannelServer::Stats ChannelServer::stats() const {
  std::lock_guard lock(mu_);
  return stats_;
}

void ChannelServer::Run() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  std::vector<pollfd> polled;
  while (!stop_) {
    TimePoint now = ChannelClock::now();
    polled = {{wake_.get(), POLLIN, 0}};
    if (now >= accept_from_) polled.push_back({listener_.get(), POLLIN, 0});
    for (const Connection& c : connections_)
      polled.push_back({c.channel->fd(), c.channel->events(), 0});
    (void)poll(polled.data(), polled.size(), WaitMs(now));
    now = ChannelClock::now();
    eventfd_t woken;
    if (eventfd_read(wake_.get(), &woken) == 0 && !std::exchange(queued_, true))
      apply_at_ = now + kBatch;
    if (queued_ && now >= apply_at_) Apply();
    RecheckIfDue(now);
    Accept(now);
    TellLoad(now);
    Serve(now);
    Publish();
  }
  connections_.clear();
}

int ChannelServer::WaitMs(TimePoint now) const {
  TimePoint until = recheck_wanted_ ? recheck_from_ : recheck_by_;
  if (queued_) until = std::min(until, apply_at_);
  if (accept_from_ > now) until = std::min(until, accept_from_);
  if (source_.next_end() != UINT64_MAX) {
    const TimePoint end{std::chrono::nanoseconds(source_.next_end())};
    until = std::min(until, std::max(end, recheck_from_));
  }
  if (sample_load_ && counts_.connections != 0) until = std::min(until, load_at_);
  for (const Connection& c : connections_) until = std::min(until, c.more ? now : c.channel->due());
  return static_cast<int>(
      std::max<int64_t>(std::chrono::ceil<milliseconds>(until - now).count(), 0));
}

void ChannelServer::Apply() {
  std::vector<Change> changes;
  {
    std::lock_guard lock(queue_mu_);
    changes.swap(queue_);
    recheck_wanted_ |= std::exchange(recheck_, false);
    woken_ = false;
  }
  queued_ = false;
  const uint64_t now = Ns(ChannelClock::now());
  for (const Change& change : changes) {
    if (change.slot != 0)
      source_.Set(change.key, change.slot, change.bytes, now);
    else
      source_.Drop(change.key);
  }
}

// What was told and has ended, or been purged by a counter; what is answered again.
void ChannelServer::RecheckIfDue(TimePoint now) {
  const bool wanted = recheck_wanted_ || source_.next_end() <= Ns(now);
  if (now < (wanted ? recheck_from_ : recheck_by_)) return;
  source_.Recheck(Ns(now));
  recheck_wanted_ = false;
  const TimePoint done = ChannelClock::now();
  recheck_from_ = done + kWantedShare * (done - now);
  recheck_by_ = done + std::max<ChannelClock::duration>(kRecheck, kUnwantedShare * (done - now));
}

void ChannelServer::Accept(TimePoint now) {
  if (now < accept_from_) return;
  Peers peers;
  {
    std::lock_guard lock(mu_);
    peers = peers_;
  }
  for (int n = 0; n < kAccepts; n++) {
    SocketAddress from;
    base::UniqueFd fd(
        accept4(listener_.get(), from.get(), from.room(), SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      const bool gone = errno == ECONNABORTED || errno == EINTR;
      if (gone) continue;
      if (errno != EAGAIN) accept_from_ = now + kNoDescriptors;
      return;
    }
    const Address address = from.Mapped();
    if (peers.context == nullptr || !peers.addresses.contains(address)) {
      Refused(&Stats::refused_address, from.ToString(), "not one of boosters.addresses");
      continue;
    }
    if (!MakeRoom(address)) {
      Refused(&Stats::refused_limit, from.ToString(), "too many connections of one booster");
      continue;
    }
    const int one = 1;
    (void)setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof(kSocketBuffer));
    auto channel = ChannelConnection::Make(*peers.context, std::move(fd), now);
    if (!channel.ok()) {
      Refused(&Stats::refused_handshake, from.ToString(), std::string(channel.status().message()));
      continue;
    }
    Connection& c = connections_.emplace_back();
    c.address = address;
    c.name = from.ToString();
    c.context = peers.context;
    c.channel = *std::move(channel);
  }
}

bool ChannelServer::MakeRoom(const Address& address) {
  const auto same = [&](const Connection& c) { return c.address == address; };
  if (static_cast<size_t>(std::ranges::count_if(connections_, same)) < kMaxOfAddress) return true;
  const auto oldest = std::ranges::find_if(
      connections_, [&](const Connection& c) { return same(c) && !c.channel->open(); });
  if (oldest == connections_.end()) return false;
  Refused(&Stats::refused_limit, oldest->name, "displaced before it had shown the secret");
  connections_.erase(oldest);
  return true;
}

void ChannelServer::Serve(TimePoint now) {
  Peers peers;
  {
    std::lock_guard lock(mu_);
    peers = peers_;
  }
  for (auto it = connections_.begin(); it != connections_.end();) {
    absl::Status status = absl::CancelledError("the configuration has changed");
    if (it->context == peers.context && peers.addresses.contains(it->address))
      status = Step(*it, now);
    counts_.sent_bytes += it->channel->sent_bytes() - it->counted_bytes;
    it->counted_bytes = it->channel->sent_bytes();
    if (status.ok()) {
      ++it;
      continue;
    }
    if (it->greeted)
      spdlog::info("booster {}: the channel has ended: {}", it->name,
                   std::string(status.message()));
    else if (!absl::IsCancelled(status))
      Refused(&Stats::refused_handshake, it->name, std::string(status.message()));
    it = connections_.erase(it);
  }
}

// One report for all; it goes out with what else there is. A peer that does not read is told less.
void ChannelServer::TellLoad(TimePoint now) {
  if (!sample_load_ || counts_.connections == 0 || now < load_at_) return;
  load_at_ = now + kLoadPeriod;
  std::string frame;
  AppendLoad(sample_load_(), &frame);
  for (Connection& c : connections_) {
    if (!c.greeted || c.channel->out().size() >= kBuffer) continue;
    c.channel->out() += frame;
    counts_.loads++;
  }
}

absl::Status ChannelServer::Take(Connection& connection, const Frame& frame) {
  if (frame.type != FrameType::kBounce) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(const BounceTable table, ReadBounce(frame));
  connection.bounces = true;
  const auto last = std::find_if(connections_.rbegin(), connections_.rend(),
                                 [](const Connection& c) { return c.bounces; });
  if (!take_bounce_ || &*last != &connection) return absl::OkStatus();
  const absl::Status taken = take_bounce_(table.entries);
  if (taken.ok()) {
    counts_.bounces++;
    connection.bounced = table.serial;
    return absl::OkStatus();
  }
  counts_.bounces_refused++;
  const TimePoint now = ChannelClock::now();
  if (now >= bounce_quiet_until_) {
    bounce_quiet_until_ = now + kBetweenWarnings;
    spdlog::warn("booster {}: what it wants to be bounced is not, or not all: {}", connection.name,
                 std::string(taken.message()));
  }
  return absl::OkStatus();
}

absl::Status ChannelServer::Step(Connection& connection, TimePoint now) {
  ChannelConnection& channel = *connection.channel;
  WB_RETURN_IF_ERROR(channel.Run(now, [&](const Frame& frame) { return Take(connection, frame); }));
  connection.more = false;
  if (!channel.open()) return channel.Flush(now);
  if (!std::exchange(connection.greeted, true))
    spdlog::info("booster {}: the channel is open", connection.name);
  // The last of them is enough for a peer that does not read.
  if (connection.bounced && channel.out().size() < kBuffer)
    AppendBounced(*std::exchange(connection.bounced, std::nullopt), &channel.out());
  for (int round = 0; round < kRounds; round++) {
    source_.Read(&connection.reader, kBuffer, &channel.out());
    WB_RETURN_IF_ERROR(channel.Flush(now));
    connection.more = channel.out().empty() && source_.Behind(connection.reader);
    if (!connection.more) break;
  }
  return absl::OkStatus();
}

void ChannelServer::Refused(uint64_t Stats::*counter, const std::string& who,
                            const std::string& why) {
  counts_.*counter += 1;
  const TimePoint now = ChannelClock::now();
  if (now < quiet_until_) return;
  quiet_until_ = now + kBetweenWarnings;
  spdlog::warn("the channel is refused to {}: {}", who, why);
}

void ChannelServer::Publish() {
  counts_.entries = source_.told();
  counts_.snapshots = source_.begun();
  counts_.connections =
      static_cast<uint64_t>(std::ranges::count(connections_, true, &Connection::greeted));
  std::lock_guard lock(mu_);
  stats_ = counts_;
}

}  // namespace wb::link
