// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/peer_table.h"

#include <openssl/crypto.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace wb::boost {
namespace {

constexpr std::string_view kMagic = "WBP1";
constexpr size_t kMacAt = 36;
constexpr size_t kMacBytes = PeerTable::kBytes - kMacAt;
constexpr size_t kMostBoots = 1000;
constexpr std::chrono::milliseconds kAnswerEvery{20};  // to what proves nothing

void Put(uint64_t value, std::string* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

uint64_t Get(std::string_view in, size_t at) {
  uint64_t value = 0;
  for (size_t i = at; i < at + 8; ++i) value = value << 8 | static_cast<unsigned char>(in[i]);
  return value;
}

}  // namespace

PeerTable::PeerTable(const link::Secret& key, std::function<uint64_t()> random)
    : mac_(key), random_(std::move(random)), boot_(random_()) {}

void PeerTable::SetPeers(const std::vector<std::string>& peers) {
  std::map<std::string, Peer> next;
  for (const std::string& name : peers) {
    const auto old = peers_.find(name);
    next[name] = old != peers_.end() ? old->second : Peer{.challenge = random_()};
  }
  peers_ = std::move(next);
}

std::array<uint8_t, 32> PeerTable::MacOf(std::string_view head, const std::string& from,
                                         const std::string& to) const {
  return mac_.Mac(absl::StrCat(absl::string_view(head.data(), head.size()), from, " ", to));
}

std::string PeerTable::Beat(const std::string& own, const std::string& peer) {
  const auto at = peers_.find(peer);
  if (at == peers_.end()) return "";
  std::string out(kMagic);
  Put(boot_, &out);
  Put(++sequence_, &out);
  Put(at->second.challenge, &out);
  Put(at->second.echo, &out);
  const auto mac = MacOf(out, own, peer);
  out.append(reinterpret_cast<const char*>(mac.data()), mac.size());
  return out;
}

PeerTable::Verdict PeerTable::Refuse() {
  ++refused_;
  return Verdict::kRefused;
}

PeerTable::Verdict PeerTable::Heard(TimePoint now, const std::string& own, const std::string& name,
                                    std::string_view datagram) {
  const auto at = peers_.find(name);
  if (at == peers_.end() || datagram.size() != kBytes || !datagram.starts_with(kMagic)) {
    return Refuse();
  }
  const auto mac = MacOf(datagram.substr(0, kMacAt), name, own);
  if (CRYPTO_memcmp(mac.data(), datagram.data() + kMacAt, kMacBytes) != 0) return Refuse();
  Peer& peer = at->second;
  const uint64_t boot = Get(datagram, 4), sequence = Get(datagram, 12);
  const uint64_t challenge = Get(datagram, 20), echo = Get(datagram, 28);
  if (echo != peer.challenge) {
    // From before, of somebody who does not know us yet, or recorded. While the peer lives it
    // changes nothing: else a recorded datagram could make us echo what the peer waits for no more.
    if (Alive(now, name)) return Refuse();
    peer.echo = challenge;
    if (peer.answered && now - *peer.answered < kAnswerEvery) return Verdict::kTaken;
    peer.answered = now;
    return Verdict::kAnswer;
  }
  if (boot == peer.boot ? sequence <= peer.sequence : peer.over.contains(boot)) return Refuse();
  if (boot != peer.boot) {
    peer.over.insert(peer.boot);
    if (peer.over.size() > kMostBoots) {  // what echoes another challenge is old by itself
      peer.over.clear();
      peer.challenge = random_();
    }
  }
  const bool knows_us = boot == peer.boot;
  peer.boot = boot;
  peer.sequence = sequence;
  peer.echo = challenge;
  peer.proved = now;
  return knows_us ? Verdict::kTaken : Verdict::kAnswer;
}

bool PeerTable::Alive(TimePoint now, const std::string& name) const {
  const auto at = peers_.find(name);
  return at != peers_.end() && at->second.proved && now - *at->second.proved < kTimeout;
}

}  // namespace wb::boost
