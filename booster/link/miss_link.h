// SPDX-License-Identifier: Apache-2.0
// A connection to an origin that carries one request at a time: all that is not known to be a hit.
// Used again while the origin keeps it open.
#ifndef BOOSTER_LINK_MISS_LINK_H_
#define BOOSTER_LINK_MISS_LINK_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "booster/link/call.h"
#include "booster/link/response_reader.h"
#include "booster/net/event_loop.h"
#include "booster/net/socket.h"
#include "webbooster/base/unique_fd.h"

namespace wb::link {

class MissLink;

class MissLinkOwner {
 public:
  // Its call has been told; open: it may carry another one. May destroy the link.
  virtual void LinkIdle(MissLink& link) = 0;
  virtual void LinkClosed(MissLink& link) = 0;

 protected:
  ~MissLinkOwner() = default;
};

class MissLink final : public Carrier, private net::Watcher, private ResponseSink {
 public:
  // `scratch`: memory for reading, of the thread's own.
  MissLink(net::EventLoop& loop, std::span<char> scratch, MissLinkOwner& owner);
  ~MissLink();

  // Carries the call, by a new connection if there is none yet.
  void Start(Call& call);
  void CloseIdle();  // quietly
  bool idle() const { return call_ == nullptr; }
  net::Clock::time_point idle_since() const { return touched_; }

  size_t place = 0;  // of its owner's

  // Carrier
  size_t Room(const Call& call) const override;
  void SendBody(Call& call, std::string_view payload, bool end) override;
  void Pause(Call& call, bool paused) override;
  void Drop(Call& call) override;

 private:
  enum class State : uint8_t { kClosed, kConnecting, kOpen };

  void OnEvents(uint32_t events) override;
  void OnHead(const http::ResponseHead& head) override;
  void OnBody(std::string_view payload) override;
  void Connect();
  void Write();
  void Read();
  void Ended();
  void Answered();
  void Check();
  net::Clock::duration Patience() const;
  void Close(http::Refusal why, bool told = false);

  net::EventLoop& loop_;
  const std::span<char> scratch_;
  MissLinkOwner& owner_;
  base::UniqueFd fd_;
  State state_ = State::kClosed;
  Call* call_ = nullptr;
  std::unique_ptr<ResponseReader> reader_;
  http::Limits limits_;
  net::Timer timer_;
  net::Deferred resume_;
  net::Clock::time_point begun_;  // the call
  net::Clock::time_point touched_;
  std::string out_;
  bool used_before_ = false;
  bool sent_ = false;       // a byte of the request has been
  bool body_open_ = false;  // more of the request's body is to come
  bool starved_ = false;    // its client was told of no room
  bool paused_ = false;
  bool ending_ = false;  // the origin has ended its side
  bool tunnel_ = false;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_MISS_LINK_H_
