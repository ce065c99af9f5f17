// SPDX-License-Identifier: Apache-2.0
// How full listeners are, in a network namespace of the test's own (needs root).
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "ctl/kern/listen_queues.h"
#include "tests/support/machine.h"

namespace wb::kern {
namespace {

using base::UniqueFd;

sockaddr_in6 Loopback6(uint16_t port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  return address;
}

sockaddr_in Loopback4(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

template <typename Address>
UniqueFd Listen(const Address& address, int backlog) {
  UniqueFd fd(
      socket(reinterpret_cast<const sockaddr&>(address).sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(listen(fd.get(), backlog), 0);
  return fd;
}

template <typename Address>
UniqueFd Connect(const Address& address) {
  UniqueFd fd(
      socket(reinterpret_cast<const sockaddr&>(address).sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

class ListenQueuesTest : public testing::Test {
 protected:
  void Within(const std::function<void(ListenQueues&)>& body) {
    support::InNewNamespace([&] {
      support::Shell("ip link set lo up");
      auto queues = ListenQueues::Open();
      ASSERT_TRUE(queues.ok()) << queues.status();
      body(*queues);
    });
  }
};

TEST_F(ListenQueuesTest, WithoutAListenerThereIsNoQueue) {
  Within([](ListenQueues& queues) { EXPECT_EQ(queues.Fullest({80}).value(), 0); });
}

TEST_F(ListenQueuesTest, TellsTheFullestOfThePorts) {
  Within([](ListenQueues& queues) {
    const UniqueFd first = Listen(Loopback4(80), 8), second = Listen(Loopback6(81), 8);
    std::vector<UniqueFd> waiting;
    EXPECT_EQ(queues.Fullest({80, 81}).value(), 0);
    waiting.push_back(Connect(Loopback4(80)));
    EXPECT_EQ(queues.Fullest({80, 81}).value(), 125);
    for (int i = 0; i < 4; i++) waiting.push_back(Connect(Loopback6(81)));
    EXPECT_EQ(queues.Fullest({80, 81}).value(), 500);
    EXPECT_EQ(queues.Fullest({80}).value(), 125);
    EXPECT_EQ(queues.Fullest({82}).value(), 0);
    // Accepted, it waits no more; established connections are not asked about.
    const UniqueFd taken(accept4(first.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_EQ(queues.Fullest({80}).value(), 0);
  });
}

TEST_F(ListenQueuesTest, FullIsFull) {
  Within([](ListenQueues& queues) {
    const UniqueFd listener = Listen(Loopback4(80), 2);
    std::vector<UniqueFd> waiting;
    for (int i = 0; i < 3; i++) waiting.push_back(Connect(Loopback4(80)));
    EXPECT_EQ(queues.Fullest({80}).value(), 1000) << "one more than it says finds room";
  });
}

// As a web server with a listener of its own for each of its workers.
TEST_F(ListenQueuesTest, ManyListenersAreSeveralMessages) {
  Within([](ListenQueues& queues) {
    std::vector<UniqueFd> listeners;
    for (int i = 0; i < 500; i++) listeners.push_back(Listen(Loopback4(80), 4));
    const UniqueFd last = Listen(Loopback6(80), 4);
    const UniqueFd waiting = Connect(Loopback6(80));
    EXPECT_EQ(queues.Fullest({80}).value(), 250);
    EXPECT_EQ(queues.Fullest({81}).value(), 0);
  });
}

}  // namespace
}  // namespace wb::kern
