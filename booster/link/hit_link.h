// SPDX-License-Identifier: Apache-2.0
// A permanent link to an accelerator, for catalogued requests only: many outstanding, answered in
// order (docs/DESIGN.md, "Booster links"). Requests leave in whole segments, so that XDP finds each
// of them complete in a packet and answers all of it at once.
//
// Once the web server has a request of the link, XDP leaves it all that follow until nothing is
// outstanding and all is acknowledged. Its replies are the same bytes, so that nothing here shows
// it, and a full link stays the web server's. So it rests now and then: no more requests until it
// is idle. A link that has lost segments is ended when it is idle, and its owner opens another.
#ifndef BOOSTER_LINK_HIT_LINK_H_
#define BOOSTER_LINK_HIT_LINK_H_

#include <linux/tcp.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "booster/link/call.h"
#include "booster/link/response_reader.h"
#include "booster/net/event_loop.h"
#include "booster/net/socket.h"
#include "webbooster/base/unique_fd.h"

namespace wb::link {

class HitLink;

// Why a link is closed that has lost segments: another will do better.
inline constexpr http::Refusal kRenewed = {502, "the link to the origin is made anew"};

// Who has the link.
class HitLinkOwner {
 public:
  virtual void LinkOpened(HitLink& link) = 0;  // ready for requests
  virtual void LinkFreed(HitLink& link) = 0;   // replies came: there is room again
  // The origin is to have its acknowledgment now: no request follows that would carry it, or a
  // reply was not the accelerator's, so that the origin's kernel waits for it.
  virtual void LinkQuiet(HitLink& link) = 0;
  virtual void LinkClosing(HitLink& link) = 0;  // one that was open, before it is
  // It is closed, and its calls have been told. May destroy the link.
  virtual void LinkClosed(HitLink& link, http::Refusal why) = 0;

 protected:
  ~HitLinkOwner() = default;
};

class HitLink final : private net::Watcher, private ResponseSink {
 public:
  // `scratch`: memory for reading, of the thread's own; at least 64 KiB.
  HitLink(net::EventLoop& loop, std::span<char> scratch, const Routes& routes, HitLinkOwner& owner);
  ~HitLink();

  void Open(const Origin& origin);
  bool open() const { return state_ == State::kOpen; }
  bool idle() const { return waiting_.empty(); }
  int fd() const { return fd_.get(); }

  // Requests that may still be outstanding.
  size_t Left() const;
  // Whether `call` may follow what is chosen for the next segment.
  bool Fits(const Call& call) const;
  // Adds it to the next segment.
  void Choose(Call& call);
  bool chosen() const { return chosen_ > 0; }
  // Sends what was chosen as one segment.
  void Send();

  // Nobody waits for this call's reply any more.
  bool Drop(Call& call);
  // Flow control, of a reply that is too large to be the accelerator's; else nothing.
  void Pause(const Call& call, bool paused);
  // No more requests; closed when the last reply has come.
  void Drain();

 private:
  enum class State : uint8_t { kClosed, kConnecting, kOpen };
  struct Waiting {
    Call* call;  // none: dropped
    uint32_t reply_bytes;
  };

  void OnEvents(uint32_t events) override;
  void OnHead(const http::ResponseHead& head) override;
  void OnBody(std::string_view payload) override;
  void Connected();
  void Read();
  bool Replies(std::string_view input);
  void Write();
  void Surrender();
  void Resume();
  void Late();
  void Acknowledge();
  void CareForRest();
  void Look();
  tcp_info Info() const;
  void Quiet();
  void Close(http::Refusal why);

  net::EventLoop& loop_;
  const std::span<char> scratch_;
  const http::Limits limits_;
  const Deadlines deadlines_;
  HitLinkOwner& owner_;
  base::UniqueFd fd_;
  State state_ = State::kClosed;
  net::Timer timer_;  // for the connection, then for the reply at the front
  net::Deferred resume_;
  net::Timer quiet_;
  net::Clock::time_point quiet_at_;
  uint64_t read_ = 0;  // bytes of the reply at the front
  ResponseReader reader_;
  std::deque<Waiting> waiting_;  // for replies, those chosen last

  uint32_t mss_ = 0;
  std::string out_;            // what was chosen, or could not be written
  bool blocked_ = false;       // the socket takes no more
  bool acknowledged_ = false;  // what was read, by a request or by itself
  bool resting_ = false;
  bool settled_ = true;                // idle when acknowledged last, and so since
  net::Clock::time_point busy_since_;  // not settled since then
  net::Clock::duration busy_most_{};   // before it rests
  // The next request goes alone, and none until its reply begins to come. So does a link's first:
  // XDP follows one request, not several, that come before the handshake's last acknowledgment.
  bool alone_ = true;
  net::Clock::time_point look_at_;
  uint32_t losses_ = 0;   // when the connection began
  bool renewed_ = false;  // once it is idle
  bool draining_ = false;
  bool ending_ = false;  // the origin has ended its side
  bool large_ = false;   // the reply at the front is not the accelerator's
  bool paused_ = false;  // and its client is slow
  size_t chosen_ = 0;    // requests of the next segment
  uint32_t chosen_segments_ = 0;
  uint64_t reply_bytes_ = 0;  // of all that are waiting
  uint64_t earned_ = 0;       // bytes of replies that came
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_HIT_LINK_H_
