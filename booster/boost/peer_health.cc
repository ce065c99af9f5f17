// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/peer_health.h"

#include <openssl/rand.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <chrono>
#include <utility>

#include "webbooster/base/check.h"
#include "webbooster/base/posix_error.h"

namespace wb::boost {
namespace {

using std::chrono::steady_clock;

uint64_t Random() {
  uint64_t value = 0;
  while (value == 0) {
    WB_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&value), sizeof(value)) == 1,
             "no random numbers");
  }
  return value;
}

absl::StatusOr<std::map<std::string, net::Address>> AddressesOf(
    const std::vector<std::string>& peers, uint16_t port) {
  std::map<std::string, net::Address> addresses;
  for (const std::string& peer : peers) {
    WB_ASSIGN_OR_RETURN(const net::Address address, net::Address::Make(peer, port));
    addresses[address.Host()] = address;
  }
  return addresses;
}

std::vector<std::string> NamesOf(const std::map<std::string, net::Address>& peers) {
  std::vector<std::string> names;
  for (const auto& [name, address] : peers) names.push_back(name);
  return names;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerHealth>> PeerHealth::Start(Options options) {
  WB_ASSIGN_OR_RETURN(const net::Address own, net::Address::Make(options.address, options.port));
  WB_ASSIGN_OR_RETURN(auto peers, AddressesOf(options.peers, options.port));
  base::UniqueFd socket(
      ::socket(own.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!socket) return base::PosixError("make", "socket");
  if (bind(socket.get(), own.get(), own.length) != 0)
    return base::PosixError("bind", own.ToString());
  base::UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return base::PosixError("make", "eventfd");
  std::unique_ptr<PeerHealth> health(
      new PeerHealth(std::move(options), std::move(socket), std::move(wake)));
  if (own.Host() != "::" && own.Host() != "0.0.0.0") health->own_ = own.Host();
  health->peers_ = std::move(peers);
  health->table_.SetPeers(NamesOf(health->peers_));
  health->thread_ = std::thread([one = health.get()] { one->Run(); });
  return health;
}

PeerHealth::PeerHealth(Options options, base::UniqueFd socket, base::UniqueFd wake)
    : options_(std::move(options)),
      socket_(std::move(socket)),
      wake_(std::move(wake)),
      table_(options_.key, Random) {}

PeerHealth::~PeerHealth() {
  stop_ = true;
  eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

absl::Status PeerHealth::SetPeers(const std::vector<std::string>& peers) {
  WB_ASSIGN_OR_RETURN(auto next, AddressesOf(peers, options_.port));
  const std::lock_guard lock(mutex_);
  peers_ = std::move(next);
  table_.SetPeers(NamesOf(peers_));
  return absl::OkStatus();
}

bool PeerHealth::Alive(const std::string& peer) const {
  const std::lock_guard lock(mutex_);
  return table_.Alive(steady_clock::now(), peer);
}

bool PeerHealth::Leads() const {
  const std::lock_guard lock(mutex_);
  const auto now = steady_clock::now();
  for (const auto& [peer, address] : peers_) {
    if (table_.Alive(now, peer) && peer < OwnFor(address)) return false;
  }
  return true;
}

uint64_t PeerHealth::refused() const {
  const std::lock_guard lock(mutex_);
  return table_.refused();
}

void PeerHealth::Run() {
  auto next = steady_clock::now();
  while (!stop_) {
    const auto now = steady_clock::now();
    if (now >= next) {
      next = std::max(next + PeerTable::kBeatEvery, now);
      SendAll();
    }
    // A death is seen within a fifth of the time between two beats.
    Compare();
    std::array<pollfd, 2> fds = {pollfd{socket_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
    poll(fds.data(), fds.size(), static_cast<int>(PeerTable::kBeatEvery.count() / 5));
    if (fds[0].revents != 0) Receive();
  }
}

void PeerHealth::SendAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& [peer, address] : peers_) SendTo(peer, address);
}

// With the mutex. What cannot be sent is missed by the other side, which is what it means.
void PeerHealth::SendTo(const std::string& peer, const net::Address& to) {
  const std::string datagram = table_.Beat(OwnFor(to), peer);
  [[maybe_unused]] const ssize_t sent =
      sendto(socket_.get(), datagram.data(), datagram.size(), 0, to.get(), to.length);
}

// As a connection to it would have; empty: there is no way to it now.
std::string PeerHealth::OwnFor(const net::Address& peer) const {
  if (!own_.empty()) return own_;
  const base::UniqueFd probe(
      socket(peer.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP));
  net::Address own;
  own.length = sizeof(own.storage);
  if (!probe || connect(probe.get(), peer.get(), peer.length) != 0 ||
      getsockname(probe.get(), reinterpret_cast<sockaddr*>(&own.storage), &own.length) != 0) {
    return "";
  }
  return own.Host();
}

void PeerHealth::Receive() {
  constexpr int kMost = 64;  // then others are looked after
  std::array<char, 256> buffer;
  for (int i = 0; i < kMost; ++i) {
    net::Address from;
    from.length = sizeof(from.storage);
    const ssize_t n = recvfrom(socket_.get(), buffer.data(), buffer.size(), 0,
                               reinterpret_cast<sockaddr*>(&from.storage), &from.length);
    if (n < 0) return;
    const std::string peer = from.Host();
    const std::lock_guard lock(mutex_);
    const auto verdict = table_.Heard(steady_clock::now(), OwnFor(from), peer,
                                      {buffer.data(), static_cast<size_t>(n)});
    if (verdict == PeerTable::Verdict::kAnswer) SendTo(peer, peers_.at(peer));
  }
}

void PeerHealth::Compare() {
  std::vector<std::pair<std::string, bool>> changes;
  {
    const std::lock_guard lock(mutex_);
    const auto now = steady_clock::now();
    std::erase_if(told_, [this](const auto& one) { return !peers_.contains(one.first); });
    for (const auto& [peer, address] : peers_) {
      const bool alive = table_.Alive(now, peer);
      if (std::exchange(told_[peer], alive) != alive) changes.emplace_back(peer, alive);
    }
  }
  if (!options_.changed) return;
  for (const auto& [peer, alive] : changes) options_.changed(peer, alive);
}

}  // namespace wb::boost
