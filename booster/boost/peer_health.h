// SPDX-License-Identifier: Apache-2.0
// Heartbeats between boosters over UDP, each 100 ms (peer_table.h); one that is not heard for 300
// ms is dead. A peer is known by the address that its datagrams come from.
#ifndef BOOSTER_BOOST_PEER_HEALTH_H_
#define BOOSTER_BOOST_PEER_HEALTH_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "booster/boost/peer_table.h"
#include "booster/net/socket.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boost {

// Thread-safe.
class PeerHealth {
 public:
  struct Options {
    std::string address =
        {};  // that it sends from, a literal: as the others name it; "::" or "0.0.0.0"
    uint16_t port = 9467;                 // of all
    link::Secret key{};                   // shared by all boosters
    std::vector<std::string> peers = {};  // literals
    // From its thread, when a peer begins or ceases to live.
    std::function<void(const std::string& peer, bool alive)> changed = {};
  };

  // Errors: InvalidArgument: an address; those of bind(2).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PeerHealth>> Start(Options options);
  ~PeerHealth();
  PeerHealth(const PeerHealth&) = delete;
  PeerHealth& operator=(const PeerHealth&) = delete;

  // InvalidArgument: no address; nothing has changed then.
  [[nodiscard]] absl::Status SetPeers(const std::vector<std::string>& peers);
  bool Alive(const std::string& peer) const;
  // Of this booster and the peers that live it has the least address (compared as text): all come
  // to the same.
  bool Leads() const;
  uint64_t refused() const;  // datagrams

 private:
  PeerHealth(Options options, base::UniqueFd socket, base::UniqueFd wake);
  void Run();
  void SendAll();
  void SendTo(const std::string& peer, const net::Address& to);
  std::string OwnFor(const net::Address& peer) const;
  void Receive();
  void Compare();

  const Options options_;
  const base::UniqueFd socket_, wake_;
  std::string own_;           // address; empty: the kernel chooses
  mutable std::mutex mutex_;  // of these
  PeerTable table_;
  std::map<std::string, net::Address> peers_;
  std::map<std::string, bool> told_;  // of the thread
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_PEER_HEALTH_H_
