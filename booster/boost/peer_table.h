// SPDX-License-Identifier: Apache-2.0
// Which other boosters live, by heartbeats that they send each other: what a datagram says, and
// what follows from it. Pure; not thread-safe; the socket is PeerHealth's.
//
// A datagram, 68 bytes, big-endian:
//
//   "WBP1"   boot (8)   sequence (8)   challenge (8)   echo (8)   HMAC-SHA-256 (32)
//
// of all before, and the addresses of sender and receiver: it is worth nothing between others, nor
// when it is sent back. `boot` is random, of the sender's process; `challenge` is random, of the
// sender for this receiver; `echo` is the challenge last heard from the receiver. Only a datagram
// that echoes the receiver's challenge proves that its sender lives now: nothing that was recorded
// before the receiver started does. Of one boot the sequence must grow, and a boot that another one
// has followed is over.
#ifndef BOOSTER_BOOST_PEER_TABLE_H_
#define BOOSTER_BOOST_PEER_TABLE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "booster/boost/parameters.h"
#include "booster/link/link_key.h"

namespace wb::boost {

class PeerTable {
 public:
  static constexpr std::chrono::milliseconds kBeatEvery{100};
  static constexpr std::chrono::milliseconds kTimeout{300};
  static constexpr size_t kBytes = 68;

  // `random`: 64 bits that nobody can guess, never 0 (a test's own otherwise).
  PeerTable(const link::Secret& key, std::function<uint64_t()> random);

  // By their addresses. Those that stay keep what is known of them.
  void SetPeers(const std::vector<std::string>& peers);

  // What to send to it now. `own`: the address that this peer knows us by.
  std::string Beat(const std::string& own, const std::string& peer);

  // kAnswer: it does not know yet that we live: a Beat() at once.
  enum class Verdict { kRefused, kTaken, kAnswer };
  Verdict Heard(TimePoint now, const std::string& own, const std::string& peer,
                std::string_view datagram);

  bool Alive(TimePoint now, const std::string& peer) const;
  uint64_t refused() const { return refused_; }  // not of a peer, forged, or sent again

 private:
  struct Peer {
    uint64_t challenge = 0;  // ours for it
    uint64_t echo = 0;       // its for us; 0: none heard
    uint64_t boot = 0, sequence = 0;
    std::set<uint64_t> over = {};            // boots before it
    std::optional<TimePoint> proved = {};    // last
    std::optional<TimePoint> answered = {};  // an unproved one
  };
  Verdict Refuse();
  std::array<uint8_t, 32> MacOf(std::string_view head, const std::string& from,
                                const std::string& to) const;

  const link::KeyMaker mac_;
  const std::function<uint64_t()> random_;
  const uint64_t boot_;
  uint64_t sequence_ = 0;
  uint64_t refused_ = 0;
  std::map<std::string, Peer> peers_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_PEER_TABLE_H_
