// SPDX-License-Identifier: Apache-2.0
// The loop of one thread of boosterd: epoll, timers, and what is left for the end of a turn.
// Nothing is shared between loops; all but Post() and Stop() belong to the thread that runs it.
#ifndef BOOSTER_NET_EVENT_LOOP_H_
#define BOOSTER_NET_EVENT_LOOP_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "webbooster/base/unique_fd.h"

namespace wb::net {

using Clock = std::chrono::steady_clock;

class EventLoop;

// A callback at a time. Disarmed when it ends; it must not outlive its loop. O(log n).
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> fire) : loop_(loop), fire_(std::move(fire)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { Disarm(); }

  void ArmAt(Clock::time_point when);
  void ArmIn(Clock::duration delay);  // after the loop's now()
  void Disarm();
  bool armed() const { return place_ != kNowhere; }

 private:
  friend class EventLoop;
  static constexpr size_t kNowhere = static_cast<size_t>(-1);
  EventLoop& loop_;
  std::function<void()> fire_;
  Clock::time_point when_;
  size_t place_ = kNowhere;  // in the loop's heap
};

// Something to do once, at the end of this turn of the loop, however often it is asked for.
class Deferred {
 public:
  Deferred(EventLoop& loop, std::function<void()> run) : loop_(loop), run_(std::move(run)) {}
  Deferred(const Deferred&) = delete;
  Deferred& operator=(const Deferred&) = delete;
  ~Deferred() { Cancel(); }
  void Schedule();
  void Cancel();

 private:
  friend class EventLoop;
  EventLoop& loop_;
  std::function<void()> run_;
  bool scheduled_ = false;
};

// Who hears of a descriptor's events. It may be removed, and may end, within any callback, its own
// included: events of this turn that it has not heard of are dropped then.
class Watcher {
 public:
  virtual void OnEvents(uint32_t events) = 0;  // EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, EPOLLRDHUP

 protected:
  Watcher() = default;
  ~Watcher() = default;  // not by this
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  friend class EventLoop;
  int fd_ = -1;
  uint32_t events_ = 0;
  size_t turn_place_ = 0;
};

class EventLoop {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<EventLoop>> Make();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `events` as of epoll_ctl, EPOLLET included if wanted. A watcher watches one descriptor.
  [[nodiscard]] absl::Status Watch(int fd, uint32_t events, Watcher& watcher);
  // Other events of a descriptor that is watched; no system call when they are the same.
  void Rewatch(uint32_t events, Watcher& watcher);
  // Before the descriptor is closed. Nothing when it is not watched.
  void Unwatch(Watcher& watcher);

  // From any thread: `run` on the loop's thread, in the order of the calls. Those that are left
  // when the loop ends are dropped.
  void Post(std::function<void()> run);

  void Run();   // until Stop()
  void Turn();  // once: waits for something, and does what is to be done
  void Stop();  // from any thread

  // Of this turn: the time is read once after each wait.
  Clock::time_point now() const { return now_; }
  uint64_t turns() const { return turns_; }  // so far
  // While it is above zero, the loop asks again and again instead of sleeping for so long after
  // something happened (busy polling).
  void set_busy(Clock::duration busy) { busy_ = busy; }
  // Called at the beginning of each turn, with how long the one before took without its sleep.
  // True: the next turn must not sleep.
  void set_turn(std::function<bool(Clock::duration took)> turn) { turn_begins_ = std::move(turn); }

 private:
  friend class Timer;
  friend class Deferred;
  explicit EventLoop(base::UniqueFd epoll, base::UniqueFd wake);

  int WaitMs() const;
  void Wait();
  void FireTimers();
  void RunDeferred();
  void RunPosted();
  void SiftUp(size_t place);
  void SiftDown(size_t place);
  void RemoveTimer(Timer& timer);

  base::UniqueFd epoll_;
  base::UniqueFd wake_;
  Clock::time_point now_;
  Clock::duration busy_{0};
  Clock::time_point last_event_;
  std::function<bool(Clock::duration)> turn_begins_;
  bool no_sleep_ = false;
  std::vector<Timer*> timers_;  // binary heap by when_
  std::vector<Deferred*> deferred_;
  std::vector<Watcher*> turn_;  // of the events at hand; null: removed meanwhile
  uint64_t turns_ = 0;
  bool stopping_ = false;

  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
};

}  // namespace wb::net

#endif  // BOOSTER_NET_EVENT_LOOP_H_
