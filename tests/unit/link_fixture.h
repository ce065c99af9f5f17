// SPDX-License-Identifier: Apache-2.0
// A dispatcher on a loop that the test turns, a client that notes what it hears, and an origin
// whose every byte the test writes itself, on loopback.
#ifndef TESTS_UNIT_LINK_FIXTURE_H_
#define TESTS_UNIT_LINK_FIXTURE_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "booster/http/request.h"
#include "booster/link/dispatcher.h"
#include "booster/net/event_loop.h"
#include "booster/net/socket.h"

namespace wb::link {

// One connection at the origin.
class Accepted {
 public:
  explicit Accepted(int fd) : fd_(fd) {}
  int fd() const { return fd_.get(); }

  // All that is there now.
  std::string Read() {
    std::string all;
    char part[65536];
    ssize_t n;
    while ((n = recv(fd_.get(), part, sizeof(part), MSG_DONTWAIT)) > 0) {
      all.append(part, static_cast<size_t>(n));
    }
    ended_ = n == 0;
    return all;
  }
  void Write(const std::string& text) {
    ASSERT_EQ(send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  bool ended() {
    Read();
    return ended_;
  }
  void Close() { fd_.reset(); }
  void Reset() {
    const linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    fd_.reset();
  }

 private:
  base::UniqueFd fd_;
  bool ended_ = false;
};

class FakeOrigin {
 public:
  FakeOrigin() {
    fd_ = *net::Listen(*net::Address::Make("127.0.0.1", 0), 64);
    address_.length = sizeof(address_.storage);
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address_.storage), &address_.length);
  }
  const net::Address& address() const { return address_; }
  void Refuse() { fd_.reset(); }
  // None: nobody has connected.
  std::unique_ptr<Accepted> Accept() {
    const int fd = accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK);
    return fd < 0 ? nullptr : std::make_unique<Accepted>(fd);
  }

 private:
  base::UniqueFd fd_;
  net::Address address_;
};

struct Heard final : public Client {
  void OnHead(const http::ResponseHead& head) override {
    heads.push_back(head.status);
    if (on_head) on_head();
  }
  void OnBody(std::string_view payload) override {
    body.append(payload);
    if (on_body) on_body();
  }
  void OnEnd(std::span<const http::Field> fields) override {
    ended = true;
    for (const http::Field& field : fields) trailers.emplace_back(field.name);
    if (on_end) on_end();
  }
  void OnFailure(http::Refusal refusal) override {
    failure = refusal.status;
    ended = true;
  }
  void OnRoom() override { ++rooms; }

  std::vector<int> heads;
  std::string body;
  std::vector<std::string> trailers;
  int failure = 0;
  int rooms = 0;
  bool ended = false;
  std::function<void()> on_head, on_body, on_end;
};

// A request whose text stays.
struct Asked {
  explicit Asked(std::string what) : text(std::move(what)), parser(limits) {
    EXPECT_EQ(parser.Parse(text).state, http::State::kComplete) << text;
    ask.head = &parser.head();
    ask.client = "198.18.0.9";
  }
  ~Asked() {
    if (exchange && !heard.ended) exchange->Cancel();
  }
  void Cancel() { std::exchange(exchange, nullptr)->Cancel(); }

  std::string text;
  http::Limits limits;
  http::RequestParser parser;
  Ask ask;
  Heard heard;
  Exchange* exchange = nullptr;
};

inline std::string Get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: site.test\r\n" + fields + "\r\n";
}
inline std::string Reply(const std::string& body, const std::string& fields = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields +
         "\r\n" + body;
}

class LinkTest : public testing::Test {
 protected:
  static constexpr Secret kSecret = {1, 2, 3};

  LinkTest() : loop_(*net::EventLoop::Make()), routes_(std::make_shared<Routes>()) {
    routes_->deadlines.connect = std::chrono::milliseconds(300);
    routes_->deadlines.response = std::chrono::milliseconds(300);
    routes_->links = 1;
    routes_->domains.resize(1);
    routes_->domains[0].name = "site.test";
  }

  std::shared_ptr<Origin> AddOrigin(const FakeOrigin& fake, bool accelerated = false) {
    auto origin = std::make_shared<Origin>();
    origin->address = fake.address();
    origin->name = fake.address().ToString();
    origin->health = std::make_shared<Health>(HealthRules{});
    if (accelerated) {
      origin->secret = kSecret;
      origin->catalogue = std::make_shared<Catalogue>(1024);
    }
    routes_->domains[0].origins.push_back({origin, 1});
    return origin;
  }

  void Begin() { dispatcher_ = std::make_unique<Dispatcher>(*loop_, routes_, listener_); }
  Exchange* Start(Asked& asked) {
    return asked.exchange = dispatcher_->Start(asked.ask, asked.heard);
  }

  // Turns the loop until it is so; false after a second.
  bool Until(const std::function<bool()>& so) {
    const auto end = net::Clock::now() + std::chrono::seconds(2);
    while (!so()) {
      if (net::Clock::now() > end) return false;
      loop_->Post([] {});
      loop_->Turn();
    }
    return true;
  }
  std::unique_ptr<Accepted> Accept(FakeOrigin& origin) {
    std::unique_ptr<Accepted> accepted;
    EXPECT_TRUE(Until([&] { return (accepted = origin.Accept()) != nullptr; }));
    return accepted;
  }
  std::string Await(Accepted& accepted, size_t bytes = 1) {
    std::string all;
    EXPECT_TRUE(Until([&] { return (all += accepted.Read()).size() >= bytes; })) << all;
    return all;
  }

  const std::unique_ptr<net::EventLoop> loop_;
  std::shared_ptr<Routes> routes_;
  LinkListener* listener_ = nullptr;  // for Begin()
  std::unique_ptr<Dispatcher> dispatcher_;
};

}  // namespace wb::link

#endif  // TESTS_UNIT_LINK_FIXTURE_H_
