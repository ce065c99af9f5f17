// SPDX-License-Identifier: Apache-2.0
// boosterd's end of the channel (channel.h): keeps a connection to each origin's accelerd that
// tells its catalogue, and the catalogue as it is told. Whenever that connection is lost, and
// whenever nothing was heard for 3 s, the catalogue is empty until the origin has told it again;
// connections are tried again after 100 ms, and after up to 5 s when that has failed, too. It also
// keeps what the origin last said of its load, and tells it which domains it shall bounce. One
// thread for all origins. Thread-safe.
#ifndef BOOSTER_LINK_CHANNEL_CLIENT_H_
#define BOOSTER_LINK_CHANNEL_CLIENT_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "booster/link/catalogue.h"
#include "booster/link/channel_connection.h"
#include "booster/link/socket_address.h"
#include "webbooster/base/unique_fd.h"

namespace wb::link {

// Where an origin tells its catalogue.
struct ChannelTarget {
  std::string host;  // an address
  uint16_t port = 0;
  Secret secret;
};

// Of one channel, for metrics and the status page.
struct ChannelState {
  bool open = false;      // connected, and the origin has the secret
  bool complete = false;  // everything that the origin holds has been told
  std::optional<std::chrono::system_clock::time_point> since;  // it is open
  uint64_t opened = 0;                                         // times
  uint64_t failed = 0;     // times that a connection was lost, or could not be had
  uint64_t snapshots = 0;  // times that the catalogue was told anew
  uint64_t no_room = 0;    // keys that the catalogue had no room for
  uint64_t bounced = 0;    // serial of the bounce table that is in force; 0: not known
  std::string last_error;  // of the last failure; stays
};

class ChannelClients {
 public:
  using Id = uint64_t;
  static constexpr std::chrono::milliseconds kFirstPause{100};
  static constexpr std::chrono::milliseconds kLongestPause{5000};

  // Errors: of the kernel.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ChannelClients>> Start();
  ~ChannelClients();
  ChannelClients(const ChannelClients&) = delete;
  ChannelClients& operator=(const ChannelClients&) = delete;

  // Begins to keep a channel, which alone writes to `catalogue` until Remove(). InvalidArgument:
  // `target` is no address.
  [[nodiscard]] absl::StatusOr<Id> Add(const ChannelTarget& target, Catalogue& catalogue);
  // The catalogue is empty when this returns, and is not touched any more.
  void Remove(Id id);
  ChannelState state(Id id) const;

  // What the origin last said; it stays when the connection is lost, and tells by its `at` how old
  // it is. None: nothing yet.
  std::optional<LoadReport> load(Id id) const;
  // Which domains the origin shall bounce, all of them, from now on: told at once if it is another
  // table than before, and every kBouncePeriod, so that the origin knows that we live. Returns the
  // serial of the table. NotFound: no such channel; InvalidArgument: as AppendBounce().
  [[nodiscard]] absl::StatusOr<uint64_t> SetBounce(Id id, std::vector<BounceEntry> entries);
  // Waits until the origin has put the table of that serial, or a later one, in force.
  // DeadlineExceeded: it did not within `patience`; NotFound: no such channel (any more).
  [[nodiscard]] absl::Status AwaitBounced(Id id, uint64_t serial,
                                          std::chrono::milliseconds patience) const;

 private:
  struct Client {
    Client(const SocketAddress& to, TlsContext tls, Catalogue& told)
        : address(to), context(std::move(tls)), catalogue(told) {}
    const SocketAddress address;
    const TlsContext context;
    Catalogue& catalogue;
    std::unique_ptr<ChannelConnection> channel;  // null: to be tried again
    ChannelClock::time_point next_try = ChannelClock::now();
    std::chrono::milliseconds pause = kFirstPause;  // before the next try but one
    bool begun = false;                             // the catalogue is being told
    ChannelState state;
    std::optional<LoadReport> load;
    std::optional<BounceTable> bounce;   // none: nothing is told
    ChannelClock::time_point bounce_at;  // when it is told next
  };

  explicit ChannelClients(base::UniqueFd wake) : wake_(std::move(wake)) {}
  void Run();
  int WaitMs(ChannelClock::time_point now) const;
  void Step(Client& client, ChannelClock::time_point now);
  absl::Status Connect(Client& client, ChannelClock::time_point now);
  absl::Status Take(Client& client, const Frame& frame, ChannelClock::time_point now);
  static bool TellsBounce(const Client& client);
  void Fail(Client& client, const absl::Status& why, ChannelClock::time_point now);

  base::UniqueFd wake_;
  mutable std::mutex mu_;  // not held while the thread waits
  mutable std::condition_variable bounced_;
  std::map<Id, Client> clients_;
  Id next_id_ = 1;
  bool stop_ = false;
  std::minstd_rand random_{std::random_device{}()};
  std::thread thread_;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_CHANNEL_CLIENT_H_
