// SPDX-License-Identifier: Apache-2.0
// A client's connection on a loop that the test turns: the test is the client at the other end of a
// socket, and the origin behind a fake upstream.
#ifndef TESTS_UNIT_FRONT_FIXTURE_H_
#define TESTS_UNIT_FRONT_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "booster/front/connection.h"
#include "booster/http/write.h"
#include "booster/net/event_loop.h"
#include "booster/tls/tcp_stream.h"

namespace wb::front {

// What was asked of the origin, and by which the test answers.
class FakeExchange final : public link::Exchange {
 public:
  FakeExchange(const link::Ask& ask, link::Client& client) : client_(&client) {
    http::WriteRequest(*ask.head, {.client = ask.client, .scheme = ask.scheme}, request);
  }

  size_t Room() const override { return room; }
  void SetTrailers(std::span<const http::Field> fields) override {
    for (const http::Field& field : fields) {
      trailers.append(field.name).append(": ").append(field.value).append("\n");
    }
  }
  void SendBody(std::string_view payload, bool end) override {
    EXPECT_LE(payload.size(), room);
    body.append(payload);
    body_ended = end;
  }
  void Pause(bool value) override { paused = value; }
  void Cancel() override { client_ = nullptr; }

  bool cancelled() const { return client_ == nullptr; }
  void Head(const std::string& text, http::Asked asked = {}) {
    http::ResponseParser parser(limits, asked);
    ASSERT_EQ(parser.Parse(text).state, http::State::kComplete) << text;
    client_->OnHead(parser.head());
  }
  void Body(std::string_view text) { client_->OnBody(text); }
  void End() { std::exchange(client_, nullptr)->OnEnd({}); }
  void Fail(http::Refusal refusal) { std::exchange(client_, nullptr)->OnFailure(refusal); }
  void Answer(const std::string& text) {
    Head("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n");
    if (!text.empty()) Body(text);
    End();
  }
  void MoreRoom(size_t bytes) {
    room = bytes;
    client_->OnRoom();
  }

  std::string request;
  std::string body;
  std::string trailers;
  bool body_ended = false;
  bool paused = false;
  size_t room = 64 << 10;
  http::Limits limits;

 private:
  link::Client* client_;
};

class FakeUpstream final : public link::Upstream {
 public:
  link::Exchange* Start(const link::Ask& ask, link::Client& client) override {
    asked.push_back(std::make_unique<FakeExchange>(ask, client));
    asked.back()->room = room;
    return asked.back().get();
  }
  std::vector<std::unique_ptr<FakeExchange>> asked;
  size_t room = 64 << 10;  // of exchanges to come
};

class FrontTest : public testing::Test, public ConnectionOwner {
 protected:
  FrontTest()
      : loop_(*net::EventLoop::Make()),
        counters_(4),
        scratch_(64 << 10),
        snapshot_(std::make_shared<Snapshot>()) {
    snapshot_->config.domains.resize(1);
    snapshot_->config.domains[0].name = "site.test";
    snapshot_->domains.emplace("site.test", 0);
    snapshot_->slots = {0};
    SetPolicy();
    snapshot_->routes = std::make_shared<link::Routes>();
    Timeouts& timeouts = snapshot_->config.timeouts;
    timeouts.head = timeouts.idle = timeouts.body = timeouts.write = milliseconds(200);
  }
  ~FrontTest() override {
    connection_.reset();
    close(client_);
  }

  // After a change of the domain's.
  void SetPolicy() {
    snapshot_->policies = {std::make_shared<Policy>(snapshot_->config.domains[0], clients_)};
  }
  void Connect(bool proxied = false) {
    services_ =
        std::make_unique<Services>(*loop_, upstream_, counters_, nullptr, scratch_, snapshot_);
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    client_ = pair[0];
    connection_ = std::make_unique<Connection>(
        *services_, *this, std::make_unique<tls::TcpStream>(base::UniqueFd(pair[1])),
        Peer{.address = "198.18.0.9", .ip = *Address::Parse("198.18.0.9")}, ClientTable::Place(),
        proxied);
    connection_->Begin();
  }
  void ConnectionEnded(Connection&) override { ended_ = true; }

  void Send(const std::string& text) {
    ASSERT_EQ(send(client_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    Turns();
  }
  void Turns(int n = 4) {
    for (int i = 0; i < n; ++i) {
      loop_->Post([] {});
      loop_->Turn();
      if (ended_) connection_.reset();
    }
  }
  // All that has come; closed_: and it has ended.
  std::string Read() {
    std::string all;
    char part[65536];
    ssize_t n;
    while ((n = recv(client_, part, sizeof(part), MSG_DONTWAIT)) > 0) {
      all.append(part, static_cast<size_t>(n));
    }
    closed_ = n == 0 || (n < 0 && errno == ECONNRESET);
    return all;
  }
  bool Until(const std::function<bool()>& so) {
    const auto end = net::Clock::now() + std::chrono::seconds(2);
    while (!so()) {
      if (net::Clock::now() > end) return false;
      Turns(1);
    }
    return true;
  }
  FakeExchange& exchange(size_t i) { return *upstream_.asked.at(i); }

  ClientTable clients_{1024};
  const std::unique_ptr<net::EventLoop> loop_;
  FakeUpstream upstream_;
  WorkerCounters counters_;
  std::vector<char> scratch_;
  std::shared_ptr<Snapshot> snapshot_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<Connection> connection_;
  int client_ = -1;
  bool ended_ = false;
  bool closed_ = false;
};

}  // namespace wb::front

#endif  // TESTS_UNIT_FRONT_FIXTURE_H_
