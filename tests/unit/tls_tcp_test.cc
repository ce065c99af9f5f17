// SPDX-License-Identifier: Apache-2.0
// Streams of plain TCP.
#include <limits.h>
#include <sys/epoll.h>

#include "booster/tls/tcp_stream.h"
#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

class TcpStreamTest : public testing::Test {
 protected:
  Sockets sockets_;
  TcpStream stream_{std::move(sockets_.server)};
};

TEST_F(TcpStreamTest, PiecesGoOutInOrderAndEndsAreTold) {
  std::string a = "one ";
  std::string b = "two";
  const iovec pieces[] = {{a.data(), a.size()}, {nullptr, 0}, {b.data(), b.size()}};
  EXPECT_EQ(stream_.Write(pieces), 7);
  char raw[16];
  ASSERT_EQ(recv(sockets_.client.get(), raw, sizeof(raw), 0), 7);
  EXPECT_EQ(std::string(raw, 7), "one two");
  EXPECT_EQ(stream_.Read(raw, sizeof(raw)), -EAGAIN);
  stream_.Shutdown();
  EXPECT_EQ(recv(sockets_.client.get(), raw, sizeof(raw), 0), 0);
  ASSERT_EQ(send(sockets_.client.get(), "late", 4, 0), 4);
  sockets_.client.reset();
  EXPECT_EQ(stream_.Read(raw, sizeof(raw)), 4);
  EXPECT_EQ(stream_.Read(raw, sizeof(raw)), 0);
  EXPECT_EQ(stream_.Write(pieces), -EPIPE);  // and no signal
}

TEST_F(TcpStreamTest, MorePiecesThanOneCallTakes) {
  char byte = 'x';
  const std::vector<iovec> pieces(IOV_MAX + 1, iovec{&byte, 1});
  EXPECT_EQ(stream_.Write(pieces), IOV_MAX);
}

TEST_F(TcpStreamTest, FullSocketTakesNoMore) {
  const std::string much(1 << 20, 'x');
  const iovec piece{const_cast<char*>(much.data()), much.size()};
  EXPECT_LT(stream_.Write({&piece, 1}), 1 << 20);
  while (stream_.Write({&piece, 1}) > 0) {
  }
  EXPECT_EQ(stream_.Write({&piece, 1}), -EAGAIN);
  EXPECT_EQ(stream_.Wants(true, true), EPOLLIN | EPOLLOUT);
  EXPECT_EQ(stream_.Wants(false, true), EPOLLOUT);
  EXPECT_EQ(stream_.Wants(false, false), 0U);
  EXPECT_FALSE(stream_.encrypted());
}

}  // namespace
}  // namespace wb::tls
