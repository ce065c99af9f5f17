// SPDX-License-Identifier: Apache-2.0
// Ends of the channel for tests over the loopback, good and bad ones.
#ifndef TESTS_UNIT_BOOSTER_LINK_PEERS_H_
#define TESTS_UNIT_BOOSTER_LINK_PEERS_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "booster/link/channel_connection.h"
#include "booster/link/socket_address.h"
#include "webbooster/base/unique_fd.h"

namespace wb::link {

using std::chrono::milliseconds;

inline Secret SecretOf(uint8_t byte) {
  Secret secret;
  secret.fill(byte);
  return secret;
}

inline Key KeyNumber(uint32_t number) {
  Key key = {};
  const uint64_t spread = (number + 1) * 0x9e3779b97f4a7c15;
  memcpy(key.data(), &spread, sizeof(spread));
  memcpy(key.data() + 8, &number, sizeof(number));
  return key;
}

inline uint32_t NumberOf(const Key& key) {
  uint32_t number;
  memcpy(&number, key.data() + 8, sizeof(number));
  return number;
}

// True as soon as `condition` is; false after 20 s.
inline bool WaitFor(const std::function<bool()>& condition) {
  const auto end = ChannelClock::now() + milliseconds(20000);
  while (!condition()) {
    if (ChannelClock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// `buffer`: of what is received; 0: the kernel's choice.
inline base::UniqueFd ConnectTo(uint16_t port, int buffer = 0) {
  const auto address = *SocketAddress::Parse("127.0.0.1", port);
  base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (buffer != 0) setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  EXPECT_EQ(connect(fd.get(), address.get(), address.size()), 0) << strerror(errno);
  return fd;
}

// On a port of 127.0.0.1.
class Listener {
 public:
  explicit Listener(uint16_t port = 0) {
    const auto address = *SocketAddress::Parse("127.0.0.1", port);
    const int one = 1;
    fd_ = base::UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    EXPECT_EQ(bind(fd_.get(), address.get(), address.size()), 0) << strerror(errno);
    EXPECT_EQ(listen(fd_.get(), 64), 0);
    port_ = *SocketAddress::PortOf(fd_.get());
  }
  uint16_t port() const { return port_; }
  // The next connection; none within 20 s is a failure.
  base::UniqueFd Accept() {
    pollfd polled = {fd_.get(), POLLIN, 0};
    EXPECT_EQ(poll(&polled, 1, 20000), 1);
    return base::UniqueFd(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

 private:
  base::UniqueFd fd_;
  uint16_t port_ = 0;
};

// Has the other end closed the connection? What it sends is read and forgotten.
inline bool Closed(int fd) {
  char bytes[4096];
  const ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

// An end that does what the test says, and shows each frame that it hears.
class Peer {
 public:
  Peer(End end, const Secret& secret, base::UniqueFd fd)
      : context_(*TlsContext::Make(end, secret)) {
    signal(SIGPIPE, SIG_IGN);
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    channel_ = *ChannelConnection::Make(context_, std::move(fd), ChannelClock::now());
  }

  // Works for as long as `until` is false. False: the connection ended, or 20 s have passed.
  bool Pump(const std::function<bool()>& until) {
    const auto end = ChannelClock::now() + milliseconds(20000);
    while (status.ok() && !until() && ChannelClock::now() < end) {
      pollfd polled = {channel_->fd(), channel_->events(), 0};
      poll(&polled, 1, 5);
      Turn();
    }
    return until();
  }
  bool Open() {
    return Pump([&] { return channel_->open(); });
  }
  // Works until the connection ends. False: it has not, in 20 s.
  bool Ends() {
    Pump([] { return false; });
    return !status.ok();
  }
  void Turn() {
    if (status.ok())
      status = channel_->Run(ChannelClock::now(), [&](const Frame& frame) { return Take(frame); });
    if (status.ok()) status = channel_->Flush(ChannelClock::now());
  }
  // Sends it, as far as it goes.
  void Send(const std::string& frames) {
    channel_->out() += frames;
    Turn();
  }
  void Close() { channel_.reset(); }

  std::vector<FrameType> frames;
  std::map<uint32_t, uint32_t> known;  // bytes by the key's number
  int begins = 0, ends = 0;
  absl::Status status;

 private:
  absl::Status Take(const Frame& frame) {
    frames.push_back(frame.type);
    switch (frame.type) {
      case FrameType::kCatalogueBegin:
        begins++;
        known.clear();
        return absl::OkStatus();
      case FrameType::kCatalogueEnd:
        ends++;
        return absl::OkStatus();
      case FrameType::kCataloguePut:
        return ReadPut(frame, [&](const Held& held) { known[NumberOf(held.key)] = held.bytes; });
      case FrameType::kCatalogueRemove:
        return ReadRemove(frame, [&](const Key& key) { known.erase(NumberOf(key)); });
      default:
        return absl::OkStatus();
    }
  }

  TlsContext context_;
  std::unique_ptr<ChannelConnection> channel_;
};

}  // namespace wb::link

#endif  // TESTS_UNIT_BOOSTER_LINK_PEERS_H_
