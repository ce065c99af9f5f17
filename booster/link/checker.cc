// SPDX-License-Identifier: Apache-2.0
#include "booster/link/checker.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "booster/http/response.h"
#include "webbooster/base/posix_error.h"

namespace wb::link {

// One origin's.
class Checker::Probe final : private net::Watcher {
 public:
  Probe(net::EventLoop& loop, link::Check check, const Changed& changed)
      : loop_(loop),
        check_(std::move(check)),
        changed_(changed),
        timer_(loop, [this] { Due(); }),
        parser_(limits_, {}),
        was_up_(check_.origin->health->up()) {
    timer_.ArmIn(std::chrono::milliseconds(0));
  }
  ~Probe() { loop_.Unwatch(*this); }

 private:
  // The time for the next check, or of the one under way, is over.
  void Due() {
    if (fd_) return Result(false, "no answer in time");
    begun_ = loop_.now();
    absl::StatusOr<base::UniqueFd> fd = net::Dial(check_.origin->address);
    if (!fd.ok() || !loop_.Watch(fd->get(), EPOLLIN | EPOLLOUT | EPOLLET, *this).ok()) {
      return Result(false, "no connection");
    }
    fd_ = *std::move(fd);
    connected_ = false;
    answer_.clear();
    parser_.Reset({});
    timer_.ArmIn(check_.timeout);
  }

  void OnEvents(uint32_t) override {
    if (!connected_) {
      if (const int error = net::ConnectError(fd_.get())) {
        return Result(false, std::strerror(error));
      }
      connected_ = true;
      if (check_.path.empty()) return Result(true, "connected");
      const std::string request = "GET " + check_.path + " HTTP/1.1\r\nHost: " + check_.host +
                                  "\r\nUser-Agent: webbooster-health\r\nConnection: close\r\n\r\n";
      if (send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size())) {
        return Result(false, "the request could not be sent");
      }
    }
    Read();
  }

  void Read() {
    std::array<char, 4096> part;
    for (;;) {
      const ssize_t n = recv(fd_.get(), part.data(), part.size(), 0);
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Result(false, "the connection ended before an answer");
      answer_.append(part.data(), static_cast<size_t>(n));
      const http::Progress progress = parser_.Parse(answer_);
      if (progress.state == http::State::kRefused) return Result(false, "the answer is no HTTP");
      if (progress.state == http::State::kMore) continue;
      const int status = parser_.head().status;
      return Result(status >= 200 && status < 400, "status " + std::to_string(status));
    }
  }

  void Result(bool good, const std::string& why) {
    loop_.Unwatch(*this);
    fd_.reset();
    Health& health = *check_.origin->health;
    if (good) {
      health.Succeeded(true, loop_.now());
    } else {
      health.Failed(loop_.now());
    }
    // Also what requests have found meanwhile.
    if (const bool up = health.up(); up != was_up_) {
      was_up_ = up;
      changed_(*check_.origin, up, why);
    }
    timer_.ArmAt(std::max(begun_ + check_.interval, loop_.now()));
  }

  net::EventLoop& loop_;
  const link::Check check_;
  const Changed& changed_;
  net::Timer timer_;
  base::UniqueFd fd_;
  const http::Limits limits_;
  http::ResponseParser parser_;
  std::string answer_;
  net::Clock::time_point begun_;
  bool connected_ = false;
  bool was_up_;
};

absl::StatusOr<std::unique_ptr<Checker>> Checker::Start(Changed changed) {
  WB_ASSIGN_OR_RETURN(std::unique_ptr<net::EventLoop> loop, net::EventLoop::Make());
  return std::unique_ptr<Checker>(new Checker(std::move(loop), std::move(changed)));
}

Checker::Checker(std::unique_ptr<net::EventLoop> loop, Changed changed)
    : loop_(std::move(loop)), changed_(std::move(changed)), thread_([this] { loop_->Run(); }) {}

Checker::~Checker() {
  loop_->Stop();
  thread_.join();
}

void Checker::Check(std::vector<link::Check> checks) {
  loop_->Post([this, checks = std::move(checks)]() mutable {
    probes_.clear();
    for (link::Check& check : checks) {
      probes_.push_back(std::make_unique<Probe>(*loop_, std::move(check), changed_));
    }
  });
}

}  // namespace wb::link
