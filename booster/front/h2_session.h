// SPDX-License-Identifier: Apache-2.0
// HTTP/2 with a client (RFC 9113), by nghttp2: the connection; h2_stream.h has the requests. Frames
// of all streams are gathered at the end of a turn and written together; nghttp2 is asked for more
// only when the client has taken all.
//
// Bounds of a connection, in bytes: responses that wait for the client: limits.buffer and one read
// (64 KiB) more, and of each stream above that 16 KiB and one read; requests' bodies that wait for
// an origin: the connection's window, the larger of limits.buffer and 64 KiB; heads: limits.head of
// each stream; and limits.h2_streams and 400 frames that wait to be sent.
#ifndef BOOSTER_FRONT_H2_SESSION_H_
#define BOOSTER_FRONT_H2_SESSION_H_

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "booster/front/connection.h"
#include "booster/front/h2_guard.h"
#include "booster/front/h2_stream.h"

namespace wb::front {

struct FreeH2 {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};
using H2 = std::unique_ptr<nghttp2_session, FreeH2>;

class H2Session final : public Session {
 public:
  explicit H2Session(Connection& connection);
  ~H2Session() override;

  void OnInput() override;
  void OnOutput() override;
  void OnDeadline() override;
  void OnDrain() override;

  // For its streams.
  nghttp2_session* h2() const { return h2_.get(); }
  Services& services() const { return services_; }
  const Peer& peer() const { return connection_.peer(); }
  const Snapshot& snapshot() const { return *snapshot_; }
  net::Clock::time_point now() const { return services_.loop.now(); }
  void FlushLater() { flush_.Schedule(); }
  // Due() of a stream is sooner than any wait of the configuration.
  void LookBy(net::Clock::time_point when);
  // How much of a response a stream may keep before its exchange is paused.
  size_t Share() const;
  void Buffered(size_t more);
  void Unbuffered(size_t less);
  net::Clock::time_point data_sent() const { return data_sent_; }
  void UploadLater(int32_t id) { uploads_.push_back(id); }

  // For what nghttp2 calls (h2_callbacks.cc).
  H2Stream* Find(int32_t id);
  void Open(int32_t id);
  void StreamClosed(int32_t id);
  void Emit(const uint8_t* data, size_t size);
  bool DataSent(size_t size);    // false: no more for now
  void WentAway(uint32_t code);  // GOAWAY was written
  void Ponged();
  H2Guard& guard() { return guard_; }
  bool ending() const { return ending_; }
  // Ends the connection as soon as GOAWAY with `code` is written; streams end at once.
  void End(front::End why, uint32_t code);

 private:
  std::chrono::milliseconds ShortestWait() const;
  bool Held() const;
  bool Receive(std::string_view input);
  void Flush();
  void WriteOut();
  void GiveUp(front::End why);
  void GoAway();

  Connection& connection_;
  Services& services_;
  const std::shared_ptr<const Snapshot> snapshot_;  // of the first request: bounds do not change
  H2Guard guard_;
  H2 h2_;
  absl::flat_hash_map<int32_t, std::unique_ptr<H2Stream>> streams_;
  std::vector<int32_t> uploads_;  // whose bodies have grown
  size_t filled_ = 0;             // of the scratch memory, while frames are gathered
  size_t turn_bytes_ = 0;         // gathered in this turn
  size_t buffered_ = 0;           // of all streams
  net::Clock::time_point look_;   // when OnDeadline() comes
  net::Clock::time_point idle_since_;
  net::Clock::time_point data_sent_;    // when DATA was written last
  net::Clock::time_point drain_until_;  // then no more streams are taken
  front::End why_ = front::End::kClient;
  bool asked_ = false;     // a stream was opened
  bool held_ = false;      // nothing is read until the client takes what waits for it
  bool draining_ = false;  // told the client so
  bool going_ = false;     // GOAWAY: no more streams are taken
  bool ending_ = false;    // as soon as all is written
  bool over_ = false;      // the connection was told to end
  net::Deferred flush_;
  net::Deferred again_;  // more to read
};

// With callbacks into `session`, and SETTINGS to be sent. (h2_callbacks.cc)
H2 MakeH2(H2Session& session);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_H2_SESSION_H_
