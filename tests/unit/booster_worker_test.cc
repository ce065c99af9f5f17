// SPDX-License-Identifier: Apache-2.0
// A worker with a thread and sockets of its own: whom it lets in.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "booster/boosterd/worker.h"
#include "booster/net/socket.h"

namespace wb::boosterd {
namespace {

using std::chrono::milliseconds;

constexpr char kRequest[] = "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n";

class BoosterWorkerTest : public testing::Test {
 protected:
  void SetUp() override {
    snapshot_ = std::make_shared<front::Snapshot>();
    snapshot_->routes = std::make_shared<link::Routes>();
    shared_.clients = std::make_unique<front::ClientTable>(1024);
  }
  ~BoosterWorkerTest() override { worker_.reset(); }

  void Begin() {
    auto fd = net::Bind(*net::Address::Make("127.0.0.1", 0));
    ASSERT_TRUE(fd.ok()) << fd.status();
    at_.length = sizeof(at_.storage);
    getsockname(fd->get(), reinterpret_cast<sockaddr*>(&at_.storage), &at_.length);
    std::vector<ListeningSocket> sockets;
    sockets.push_back({.fd = *std::move(fd)});
    auto worker = Worker::Make(shared_, snapshot_, std::move(sockets));
    ASSERT_TRUE(worker.ok()) << worker.status();
    worker_ = *std::move(worker);
    ASSERT_TRUE(worker_->Listen().ok());
    worker_->Start();
  }

  // Of a client with this address.
  base::UniqueFd Connect(const std::string& from) {
    base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const net::Address own = *net::Address::Make(from, 0);
    EXPECT_EQ(bind(fd.get(), own.get(), own.length), 0);
    EXPECT_EQ(connect(fd.get(), at_.get(), at_.length), 0);
    return fd;
  }
  // Whether it is answered; else it is ended without a word.
  bool Served(const base::UniqueFd& fd) {
    char reply[4096];
    send(fd.get(), kRequest, sizeof(kRequest) - 1, MSG_NOSIGNAL);
    pollfd wait = {.fd = fd.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&wait, 1, 10000), 1) << "neither answered nor ended";
    const ssize_t n = recv(fd.get(), reply, sizeof(reply), MSG_DONTWAIT);
    // No domain is known here.
    EXPECT_TRUE(n <= 0 || std::string(reply, static_cast<size_t>(n)).starts_with("HTTP/1.1 421 "));
    return n > 0;
  }
  // How many of so many, each of which stays until all have come.
  size_t ServedOf(size_t count, const std::string& from) {
    std::vector<base::UniqueFd> all;
    size_t served = 0;
    for (size_t i = 0; i < count; ++i) all.push_back(Connect(from));
    for (const base::UniqueFd& fd : all) served += Served(fd) ? 1 : 0;
    return served;
  }
  uint64_t limited() const {
    return worker_->counters().ended[static_cast<size_t>(front::End::kLimit)].get();
  }

  Shared shared_;
  std::shared_ptr<front::Snapshot> snapshot_;
  std::unique_ptr<Worker> worker_;
  net::Address at_;
};

// The bound moves with the time that a slow machine takes.
TEST_F(BoosterWorkerTest, NewConnectionsASecondAreOfEachAddress) {
  snapshot_->config.limits.client_connection_rate = 4;
  snapshot_->trusted = front::AddressSet({"127.0.0.3"});
  Begin();
  const auto begin = net::Clock::now();
  const size_t served = ServedOf(20, "127.0.0.1");
  const std::chrono::duration<double> took = net::Clock::now() - begin;
  EXPECT_GE(served, 4u);
  EXPECT_LE(static_cast<double>(served), 4 + 4 * took.count());
  EXPECT_EQ(limited(), 20 - served);
  EXPECT_EQ(ServedOf(4, "127.0.0.2"), 4u);
  EXPECT_EQ(ServedOf(20, "127.0.0.3"), 20u);  // a proxy, whose clients are many
  // One more with each quarter of a second.
  const auto end = net::Clock::now() + std::chrono::seconds(10);
  while (ServedOf(1, "127.0.0.1") == 0 && net::Clock::now() < end) {
    poll(nullptr, 0, 50);
  }
  EXPECT_LT(net::Clock::now(), end);
}

TEST_F(BoosterWorkerTest, WithoutARateAsManyAsComeAreLetIn) {
  Begin();
  EXPECT_EQ(ServedOf(50, "127.0.0.1"), 50u);
  EXPECT_EQ(limited(), 0u);
}

TEST_F(BoosterWorkerTest, ConnectionsAtOnceAreOfEachAddress) {
  snapshot_->config.limits.client_connections = 3;
  Begin();
  EXPECT_EQ(ServedOf(5, "127.0.0.1"), 3u);
  EXPECT_EQ(ServedOf(3, "127.0.0.2"), 3u);
  EXPECT_EQ(limited(), 2u);
}

}  // namespace
}  // namespace wb::boosterd
