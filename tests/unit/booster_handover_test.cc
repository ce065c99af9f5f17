// SPDX-License-Identifier: Apache-2.0
// The handover of an upgrade, by a peer that does what it likes; what becomes of handed listeners.
#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <set>
#include <thread>

#include "booster/boosterd/assembly.h"
#include "booster/boosterd/handover.h"
#include "booster/boosterd/listeners.h"
#include "booster/net/socket.h"

namespace wb::boosterd {
namespace {

using testing::HasSubstr;

base::UniqueFd Listener(uint16_t port = 0) {
  return *net::Listen(*net::Address::Make("127.0.0.1", port), 256);
}

uint16_t PortOf(int fd) {
  net::Address own;
  own.length = sizeof(own.storage);
  getsockname(fd, reinterpret_cast<sockaddr*>(&own.storage), &own.length);
  return own.Port();
}

size_t OpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  size_t n = 0;
  while (readdir(directory) != nullptr) ++n;
  closedir(directory);
  return n;
}

class HandoverTest : public testing::Test {
 protected:
  HandoverTest() {
    std::array<int, 2> ends;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    here_.reset(ends[0]);
    there_.reset(ends[1]);
    lock_.reset(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  }

  // As anybody could write it.
  void Raw(std::string_view bytes, const std::vector<int>& fds = {}) {
    iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(64 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
    }
    ASSERT_GE(sendmsg(there_.get(), &message, 0), 0);
  }
  static std::string Bytes(uint32_t kind, std::string_view text = {}) {
    std::string bytes = "WBH1";
    bytes.append(reinterpret_cast<const char*>(&kind), sizeof(kind)).append(text);
    return bytes;
  }
  void Send(HandoverKind kind, std::string_view text = {}, int fd = -1) {
    ASSERT_TRUE(SendHandover(there_.get(), kind, text, fd).ok());
  }
  absl::StatusOr<HandoverMessage> Receive() { return ReceiveHandover(here_.get(), Soon()); }
  absl::Status Inherited() { return Inherit(here_.get(), Soon()).status(); }
  static net::Clock::time_point Soon() { return net::Clock::now() + std::chrono::seconds(5); }
  void Refuses(const absl::Status& status, std::string_view why) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(status.ToString(), HasSubstr(why));
  }

  base::UniqueFd here_, there_, lock_;
};

TEST_F(HandoverTest, HandsOverWhatItIsGiven) {
  const base::UniqueFd a = Listener(), b = Listener();
  const Estate estate = {{a.get(), b.get(), a.get()}, lock_.get(), "secrets", "/run/x.sock"};
  ASSERT_TRUE(Bequeath(there_.get(), estate).ok());
  const auto heir = Inherit(here_.get(), Soon());
  ASSERT_TRUE(heir.ok()) << heir.status();
  ASSERT_EQ(heir->listeners.size(), 3u);
  EXPECT_EQ(PortOf(heir->listeners[1].get()), PortOf(b.get()));
  EXPECT_NE(fcntl(heir->listeners[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(heir->tickets, "secrets");
  EXPECT_EQ(heir->control_socket, "/run/x.sock");
  EXPECT_TRUE(heir->lock.valid());
}

TEST_F(HandoverTest, RefusesWhatIsNoMessage) {
  const size_t before = OpenFiles();
  const std::vector<int> many(40, lock_.get());
  const std::pair<std::string, std::vector<int>> wrong[] = {
      {"W", {}},
      {"WBH", {}},
      {"WBH1\1\0\0", {}},
      {"WBH2" + Bytes(1).substr(4), {}},
      {Bytes(0), {}},
      {Bytes(9), {}},
      {Bytes(0xffffffff), {}},
      {Bytes(1), {lock_.get()}},
      {Bytes(2), {}},
      {Bytes(2), {lock_.get(), lock_.get()}},
      {Bytes(2), many},
      {Bytes(7, std::string(kMaxHandoverText + 1, 'x')), {}},
      {std::string(100'000, 'W'), many}};
  for (const auto& [bytes, fds] : wrong) {
    Raw(bytes, fds);
    Refuses(Receive().status(), "no handover of this version");
    EXPECT_EQ(OpenFiles(), before) << bytes.substr(0, 20);
  }
  Raw(Bytes(7, std::string(kMaxHandoverText, 'x')));
  EXPECT_EQ(Receive()->text.size(), kMaxHandoverText);
  Send(HandoverKind::kFailed, std::string(kMaxHandoverText + 9, 'x'));
  EXPECT_EQ(Receive()->text.size(), kMaxHandoverText);
}

TEST_F(HandoverTest, InheritsOnlyWhatListensAndALock) {
  const base::UniqueFd listener = Listener(), plain(socket(AF_INET, SOCK_STREAM, 0)),
                       datagrams(socket(AF_INET, SOCK_DGRAM, 0)),
                       local(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un nowhere = {};
  nowhere.sun_family = AF_UNIX;
  bind(local.get(), reinterpret_cast<sockaddr*>(&nowhere), sizeof(sa_family_t));
  listen(local.get(), 1);
  for (const int fd : {plain.get(), datagrams.get(), local.get(), lock_.get(), there_.get()}) {
    Send(HandoverKind::kListener, {}, fd);
    Refuses(Inherited(), "does not listen");
  }
  Send(HandoverKind::kLock, {}, listener.get());
  Refuses(Inherited(), "no file");
  Send(HandoverKind::kLock, {}, lock_.get());
  Send(HandoverKind::kLock, {}, lock_.get());
  Refuses(Inherited(), "no file");
}

TEST_F(HandoverTest, InheritsNothingByHalves) {
  const base::UniqueFd listener = Listener();
  Send(HandoverKind::kEnd);
  Refuses(Inherited(), "missing");
  Send(HandoverKind::kListener, {}, listener.get());
  Send(HandoverKind::kEnd);
  Refuses(Inherited(), "missing");
  Send(HandoverKind::kLock, {}, lock_.get());
  Send(HandoverKind::kEnd);
  Refuses(Inherited(), "missing");
  for (const auto kind : {HandoverKind::kPrepared, HandoverKind::kServing, HandoverKind::kFailed}) {
    Send(kind);
    Refuses(Inherited(), "out of turn");
  }
  Send(HandoverKind::kListener, {}, listener.get());
  there_.reset();
  EXPECT_TRUE(absl::IsUnavailable(Inherited()));
}

TEST_F(HandoverTest, WaitsNoLongerThanItShould) {
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      ReceiveHandover(here_.get(), net::Clock::now() + std::chrono::milliseconds(20)).status()));
  std::atomic<bool> abandon = false;
  std::thread other([&] { abandon = true; });
  EXPECT_TRUE(absl::IsCancelled(
      ReceiveHandover(here_.get(), net::Clock::now() + std::chrono::minutes(1), &abandon)
          .status()));
  other.join();
  // What has been said by then counts.
  Send(HandoverKind::kServing);
  EXPECT_TRUE(ReceiveHandover(here_.get(), net::Clock::now(), &abandon).ok());
}

class ListenersTest : public testing::Test {
 protected:
  ListenersTest() : first_(Listener()), port_(PortOf(first_.get())) {
    config_.listeners.push_back({{"127.0.0.1", port_}, true, false});
  }
  // `n` of the address, as a predecessor with so many workers has them.
  std::vector<base::UniqueFd> Handed(size_t n) {
    std::vector<base::UniqueFd> fds;
    fds.push_back(std::move(first_));
    while (fds.size() < n) fds.push_back(Listener(port_));
    for (const base::UniqueFd& fd : fds) inodes_.insert(Inode(fd.get()));
    return fds;
  }
  static ino_t Inode(int fd) {
    struct stat info = {};
    fstat(fd, &info);
    return info.st_ino;
  }

  front::Config config_;
  base::UniqueFd first_;
  const uint16_t port_;
  std::set<ino_t> inodes_;
};

TEST_F(ListenersTest, NoneThatIsHandedIsLostHoweverManyWorkers) {
  for (const auto& [before, now] : {std::pair<size_t, size_t>{1, 1}, {1, 3}, {3, 1}, {5, 2}}) {
    if (!first_) first_ = Listener(port_);
    inodes_.clear();
    const auto sockets = BindForAll(config_, now, Handed(before));
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    ASSERT_EQ(sockets->size(), now);
    std::set<ino_t> used;
    for (const auto& own : *sockets) {
      EXPECT_GE(own.size(), 1u);
      EXPECT_LE(own.size(), (before + now - 1) / now);
      for (const ListeningSocket& socket : own) {
        EXPECT_TRUE(socket.tls);
        EXPECT_EQ(PortOf(socket.fd.get()), port_);
        used.insert(Inode(socket.fd.get()));
        int listens = -1;
        socklen_t length = sizeof(listens);
        getsockopt(socket.fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
        EXPECT_EQ(listens == 1, inodes_.contains(Inode(socket.fd.get())));
      }
    }
    EXPECT_EQ(used.size(), std::max(before, now));
    for (const ino_t inode : inodes_) EXPECT_TRUE(used.contains(inode)) << before << " " << now;
  }
}

TEST_F(ListenersTest, OthersAreClosed) {
  const size_t before = OpenFiles();
  std::vector<base::UniqueFd> handed = Handed(1);
  handed.push_back(Listener());
  const auto sockets = BindForAll(config_, 2, std::move(handed));
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  EXPECT_EQ(OpenFiles(), before + 1);
}

// Whoever waited to be accepted at a stop, or on an address that the successor does not have: more
// than are accepted in a turn of the loop.
TEST_F(ListenersTest, ADrainAcceptsThoseThatWait) {
  Shared shared;
  shared.clients = std::make_unique<front::ClientTable>(1024);
  const auto snapshot = Assembly(*shared.clients).Make(config_);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  std::vector<ListeningSocket> sockets;
  sockets.push_back({std::move(first_), false, false});
  const auto worker = Worker::Make(shared, *snapshot, std::move(sockets));
  ASSERT_TRUE(worker.ok()) << worker.status();
  const net::Address to = *net::Address::Make("127.0.0.1", port_);
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: nowhere.test\r\n\r\n";
  std::vector<base::UniqueFd> clients;
  while (clients.size() < 200) {
    clients.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(clients.back().get(), to.get(), to.length), 0);
    ASSERT_GT(send(clients.back().get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL), 0);
  }
  std::atomic<int> left = 1;
  (*worker)->Drain(left, false);
  (*worker)->Start();
  for (const base::UniqueFd& client : clients) {
    std::string answer(4096, '\0');
    const ssize_t n = recv(client.get(), answer.data(), answer.size(), 0);
    ASSERT_GT(n, 0) << strerror(errno);
    EXPECT_THAT(answer.substr(0, static_cast<size_t>(n)), testing::StartsWith("HTTP/1.1 421 "));
  }
  clients.clear();
  while (left > 0) std::this_thread::yield();
  EXPECT_NE(connect(base::UniqueFd(socket(AF_INET, SOCK_STREAM, 0)).get(), to.get(), to.length), 0);
}

}  // namespace
}  // namespace wb::boosterd
