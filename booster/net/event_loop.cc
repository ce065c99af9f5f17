// SPDX-License-Identifier: Apache-2.0
#include "booster/net/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "webbooster/base/check.h"
#include "webbooster/base/posix_error.h"

namespace wb::net {
namespace {

constexpr size_t kEventsPerTurn = 256;

}  // namespace

void Timer::ArmAt(Clock::time_point when) {
  Disarm();
  when_ = when;
  place_ = loop_.timers_.size();
  loop_.timers_.push_back(this);
  loop_.SiftUp(place_);
}

void Timer::ArmIn(Clock::duration delay) { ArmAt(loop_.now() + delay); }

void Timer::Disarm() {
  if (armed()) loop_.RemoveTimer(*this);
}

void Deferred::Schedule() {
  if (std::exchange(scheduled_, true)) return;
  loop_.deferred_.push_back(this);
}

void Deferred::Cancel() {
  if (!std::exchange(scheduled_, false)) return;
  std::replace(loop_.deferred_.begin(), loop_.deferred_.end(), this,
               static_cast<Deferred*>(nullptr));
}

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Make() {
  base::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return base::PosixError("create", "epoll");
  base::UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return base::PosixError("create", "eventfd");
  epoll_event event = {.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return base::PosixError("watch", "eventfd");
  }
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(base::UniqueFd epoll, base::UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)), now_(Clock::now()), last_event_(now_) {}

absl::Status EventLoop::Watch(int fd, uint32_t events, Watcher& watcher) {
  WB_CHECK(watcher.fd_ < 0, "a watcher watches one descriptor");
  epoll_event event = {.events = events, .data = {.ptr = &watcher}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return base::PosixError("watch", "descriptor");
  }
  watcher.fd_ = fd;
  watcher.events_ = events;
  return absl::OkStatus();
}

void EventLoop::Rewatch(uint32_t events, Watcher& watcher) {
  if (watcher.fd_ < 0 || watcher.events_ == events) return;
  epoll_event event = {.events = events, .data = {.ptr = &watcher}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, watcher.fd_, &event);
  watcher.events_ = events;
}

void EventLoop::Unwatch(Watcher& watcher) {
  if (watcher.fd_ < 0) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watcher.fd_, nullptr);
  watcher.fd_ = -1;
  if (watcher.turn_place_ < turn_.size() && turn_[watcher.turn_place_] == &watcher) {
    turn_[watcher.turn_place_] = nullptr;
  }
}

void EventLoop::Post(std::function<void()> run) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(run));
  }
  const uint64_t one = 1;
  // Full only when it was not read for long: then it wakes us all the same.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

void EventLoop::Stop() {
  Post([this] { stopping_ = true; });
}

void EventLoop::Run() {
  while (!stopping_) Turn();
}

void EventLoop::Turn() {
  ++turns_;
  Wait();
  FireTimers();
  RunDeferred();
}

int EventLoop::WaitMs() const {
  if (no_sleep_ || !deferred_.empty()) return 0;
  if (busy_.count() > 0 && Clock::now() - last_event_ < busy_) return 0;
  if (timers_.empty()) return -1;
  const Clock::duration left = timers_.front()->when_ - Clock::now();
  if (left.count() <= 0) return 0;
  // Rounded up: a timer never fires early, and the loop does not spin until it may.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<decltype(ms)>(ms, 60000));
}

void EventLoop::Wait() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int wait_ms = WaitMs();
  const Clock::duration took = turn_begins_ ? Clock::now() - now_ : Clock::duration(0);
  const int n = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, wait_ms);
  now_ = Clock::now();
  if (turn_begins_) no_sleep_ = turn_begins_(took);
  if (n <= 0) return;
  last_event_ = now_;
  turn_.clear();
  bool woken = false;
  for (int i = 0; i < n; ++i) {
    auto* watcher = static_cast<Watcher*>(events[static_cast<size_t>(i)].data.ptr);
    woken = woken || watcher == nullptr;
    if (watcher != nullptr) watcher->turn_place_ = turn_.size();
    turn_.push_back(watcher);
  }
  for (size_t i = 0; i < turn_.size(); ++i) {
    if (turn_[i] != nullptr) turn_[i]->OnEvents(events[i].events);
  }
  turn_.clear();
  if (woken) RunPosted();
}

void EventLoop::RunPosted() {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof(count));
  std::vector<std::function<void()>> posted;
  {
    const std::lock_guard lock(posted_mutex_);
    posted.swap(posted_);
  }
  for (const auto& run : posted) run();
}

void EventLoop::FireTimers() {
  // Those that are armed by what fires wait for the next turn if they are due already.
  for (size_t most = timers_.size(); most > 0 && !timers_.empty(); --most) {
    Timer& timer = *timers_.front();
    if (timer.when_ > now_) return;
    RemoveTimer(timer);
    timer.fire_();
  }
}

void EventLoop::RunDeferred() {
  // What is scheduled meanwhile runs in the next turn, which does not sleep before.
  const size_t count = deferred_.size();
  for (size_t i = 0; i < count; ++i) {
    Deferred* deferred = deferred_[i];
    if (deferred == nullptr) continue;
    deferred_[i] = nullptr;
    deferred->scheduled_ = false;
    deferred->run_();
  }
  deferred_.erase(deferred_.begin(), deferred_.begin() + static_cast<ptrdiff_t>(count));
}

void EventLoop::SiftUp(size_t place) {
  Timer* timer = timers_[place];
  while (place > 0) {
    const size_t parent = (place - 1) / 2;
    if (timers_[parent]->when_ <= timer->when_) break;
    timers_[place] = timers_[parent];
    timers_[place]->place_ = place;
    place = parent;
  }
  timers_[place] = timer;
  timer->place_ = place;
}

void EventLoop::SiftDown(size_t place) {
  Timer* timer = timers_[place];
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && timers_[child + 1]->when_ < timers_[child]->when_) ++child;
    if (timer->when_ <= timers_[child]->when_) break;
    timers_[place] = timers_[child];
    timers_[place]->place_ = place;
    place = child;
  }
  timers_[place] = timer;
  timer->place_ = place;
}

void EventLoop::RemoveTimer(Timer& timer) {
  const size_t place = std::exchange(timer.place_, Timer::kNowhere);
  Timer* last = timers_.back();
  timers_.pop_back();
  if (last == &timer) return;
  timers_[place] = last;
  last->place_ = place;
  SiftUp(place);
  SiftDown(last->place_);
}

}  // namespace wb::net
