// SPDX-License-Identifier: Apache-2.0
// accelerd's end of the channel (channel.h): listens, tells each booster that has the link secret
// which keys are held, as that changes, and how busy the origin is, and takes which domains are to
// be bounced. One thread of its own; all functions may be called from any thread, those of
// KeyObserver without waiting.
//
// Of several connections that tell of bouncing the one made last is believed: a booster's successor
// is heard and not the one before it, and two that disagree cannot take turns.
//
// What others can take here is bounded: an address that is no booster's is closed at once; a
// connection has 2 s to prove that it has the secret, and an address kMaxOfAddress connections, of
// which a new one displaces the oldest that has not proved it; a peer that does not read holds a
// buffer of 64 KiB here and one in the kernel, and begins anew when it has missed too much.
#ifndef BOOSTER_LINK_CHANNEL_SERVER_H_
#define BOOSTER_LINK_CHANNEL_SERVER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "booster/link/catalogue_source.h"
#include "booster/link/channel_connection.h"
#include "booster/link/key_observer.h"
#include "webbooster/base/unique_fd.h"

namespace wb::link {

inline constexpr size_t kMaxOfAddress = 8;

class ChannelServer final : public KeyObserver {
 public:
  // IPv4 as IPv4-mapped IPv6; network byte order.
  using Address = std::array<uint32_t, 4>;

  struct Stats {
    uint64_t connections = 0;        // that have the secret, now
    uint64_t entries = 0;            // told
    uint64_t snapshots = 0;          // begun: by connections, and by those that fell behind
    uint64_t sent_bytes = 0;         // of frames
    uint64_t refused_address = 0;    // of no booster
    uint64_t refused_handshake = 0;  // without the secret or too slow, or not of this protocol
    uint64_t refused_limit = 0;      // of an address that has enough
    uint64_t loads = 0;              // reports of the load, each to one booster
    uint64_t bounces = 0;            // bounce tables put in force, the same one again included
    uint64_t bounces_refused = 0;    // by who puts them in force
  };
  using SampleLoad = std::function<LoadReport()>;
  // An error: the table is not in force, or not all of it.
  using TakeBounce = std::function<absl::Status(std::span<const BounceEntry>)>;

  // `answered_until` is called on the server's thread.
  explicit ChannelServer(CatalogueSource::AnsweredUntil answered_until);
  ~ChannelServer();
  ChannelServer(const ChannelServer&) = delete;
  ChannelServer& operator=(const ChannelServer&) = delete;

  // Before Start(), and called on the server's thread, so that they must not wait. Without them no
  // load is told, and bounce tables are not answered.
  void ReportLoad(SampleLoad sample) { sample_load_ = std::move(sample); }
  void AcceptBounces(TakeBounce take) { take_bounce_ = std::move(take); }

  void Set(const Key& key, uint32_t slot, uint32_t bytes) override;
  void Drop(const Key& key) override;
  void Recheck() override;

  // `host`: an address; "::" is all of IPv4, too. Port 0: any. Once. An error: that of the socket.
  [[nodiscard]] absl::Status Start(const std::string& host, uint16_t port);
  uint16_t port() const { return port_; }
  // Who may connect, and with which secret; nobody before. Connections that may not be any more, or
  // were made with another secret, are closed. An error changes nothing.
  [[nodiscard]] absl::Status SetPeers(const std::set<Address>& addresses,
                                      const std::optional<Secret>& secret);
  void Stop();
  Stats stats() const;

 private:
  struct Change {
    Key key;
    uint32_t slot;  // 0: dropped
    uint32_t bytes;
  };
  struct Peers {
    std::set<Address> addresses;
    std::optional<Secret> secret;
    std::shared_ptr<const TlsContext> context;  // null: nobody may connect
  };
  struct Connection {
    Address address;
    std::string name;  // of the address, for logs
    std::shared_ptr<const TlsContext> context;
    std::unique_ptr<ChannelConnection> channel;
    CatalogueSource::Reader reader;
    uint64_t counted_bytes = 0;                      // of what it has sent
    bool greeted = false;                            // it has been open
    bool more = false;                               // it would take more at once
    bool bounces = false;                            // it has told of bouncing
    std::optional<uint64_t> bounced = std::nullopt;  // to be told
  };
  using Connections = std::list<Connection>;

  void Queue(const Change* change);
  void Run();
  void Apply();
  void RecheckIfDue(ChannelClock::time_point now);
  int WaitMs(ChannelClock::time_point now) const;
  void Accept(ChannelClock::time_point now);
  bool MakeRoom(const Address& address);
  void Serve(ChannelClock::time_point now);
  absl::Status Step(Connection& connection, ChannelClock::time_point now);
  absl::Status Take(Connection& connection, const Frame& frame);
  void TellLoad(ChannelClock::time_point now);
  void Refused(uint64_t Stats::*counter, const std::string& who, const std::string& why);
  void Publish();

  std::mutex queue_mu_;
  std::vector<Change> queue_;  // with queue_mu_; whoever finds it empty wakes the thread
  bool recheck_ = false;       // with queue_mu_
  bool woken_ = false;         // with queue_mu_: the thread has not looked since
  mutable std::mutex mu_;
  Peers peers_;  // with mu_
  Stats stats_;  // with mu_
  std::atomic<bool> stop_ = false;

  base::UniqueFd wake_;
  base::UniqueFd listener_;
  uint16_t port_ = 0;
  // The thread's own.
  SampleLoad sample_load_;
  TakeBounce take_bounce_;
  CatalogueSource source_;
  Connections connections_;
  Stats counts_;
  bool queued_ = false;  // there is something in the queue
  bool recheck_wanted_ = false;
  ChannelClock::time_point apply_at_;
  ChannelClock::time_point recheck_from_;  // not before: it takes its time
  ChannelClock::time_point recheck_by_;
  ChannelClock::time_point accept_from_;
  ChannelClock::time_point load_at_;
  ChannelClock::time_point quiet_until_;
  ChannelClock::time_point bounce_quiet_until_;
  std::thread thread_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHANNEL_SERVER_H_
