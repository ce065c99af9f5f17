// SPDX-License-Identifier: Apache-2.0
// Bytes through a TLS stream, whatever the cuts and however little the socket takes; and its ends.
#include <sys/epoll.h>

#include <random>

#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

constexpr int kTiny = 2048;  // bytes of socket buffer; the kernel makes some 4.6 KB of it

std::string Noise(size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string made(size, '\0');
  for (char& c : made) c = static_cast<char>(random());
  return made;
}

class TlsStreamTest : public TlsTest, public testing::WithParamInterface<int> {
 protected:
  // `all` from `at` on in random pieces, empty ones too.
  static std::vector<iovec> Cut(const std::string& all, size_t at, std::mt19937& random) {
    std::vector<iovec> pieces;
    const int number = static_cast<int>(random() % 12);
    for (int i = 0; i < number && at < all.size(); ++i) {
      const size_t limit = random() % 4 == 0 ? 60000 : 400;
      const size_t size = std::min<size_t>(random() % limit, all.size() - at);
      pieces.push_back({const_cast<char*>(all.data()) + at, size});
      at += size;
    }
    return pieces;
  }
  // What the client gets until its peer's end. Its last error is in `client.error()`.
  static std::string Drain(Client& client) {
    std::string got;
    while (client.Read(&got) == 1) {
    }
    return got;
  }
};

INSTANTIATE_TEST_SUITE_P(Buffers, TlsStreamTest, testing::Values(0, kTiny),
                         [](const auto& info) { return info.param == 0 ? "Wide" : "Tiny"; });

TEST_P(TlsStreamTest, MegabytesBothWaysAtOnceAreIdentical) {
  Pair pair = Connected({}, GetParam());
  const std::string down = Noise(3 << 20, 1);
  const std::string up = Noise(3 << 20, 2);
  std::string_view up_left = up;
  std::string got_up;
  std::string got_down;
  size_t at = 0;
  std::mt19937 random(3);
  std::vector<char> buffer(70000);
  int refused = 0;
  for (int idle = 0; got_up.size() < up.size() || got_down.size() < down.size(); ++idle) {
    ASSERT_LT(idle, 1000) << got_up.size() << " up, " << got_down.size() << " down";
    ssize_t n = 0;
    if (const auto pieces = Cut(down, at, random); !pieces.empty()) {
      size_t asked = 0;
      for (const iovec& piece : pieces) asked += piece.iov_len;
      n = pair.server->Write(pieces);
      if (n == -EAGAIN) {
        ++refused;
        EXPECT_TRUE(pair.server->Wants(false, true) & EPOLLOUT);
      } else {
        ASSERT_GE(n, 0) << pair.server->error();
        ASSERT_LE(static_cast<size_t>(n), asked);
        at += static_cast<size_t>(n);
      }
    }
    if (!up_left.empty()) pair.client->Write(&up_left, 1 + random() % 16384);
    ASSERT_EQ(pair.client->error(), "");
    do {
      n = pair.server->Read(buffer.data(), 1 + random() % buffer.size());
      ASSERT_TRUE(n > 0 || n == -EAGAIN) << pair.server->error();
      if (n > 0) got_up.append(buffer.data(), static_cast<size_t>(n));
      if (n > 0) idle = 0;
    } while (pair.server->HasPending());
    if (random() % 2 == 0) {
      const size_t before = got_down.size();
      ASSERT_GE(pair.client->Read(&got_down), 0) << pair.client->error();
      if (got_down.size() > before) idle = 0;
    }
  }
  EXPECT_TRUE(got_down == down);
  EXPECT_TRUE(got_up == up);
  EXPECT_TRUE(GetParam() == 0 || refused > 100) << refused;
}

TEST_P(TlsStreamTest, WriteIsTakenOnlyWhenTheSocketHasIt) {
  Pair pair = Connected({}, GetParam());
  const std::string all = Noise(4 << 20, 4);
  size_t at = 0;
  ssize_t n;
  while ((n = Send(*pair.server, std::string_view(all).substr(at))) > 0)
    at += static_cast<size_t>(n);
  EXPECT_EQ(n, -EAGAIN);
  ASSERT_LT(at, all.size());
  std::string got = Drain(*pair.client);
  EXPECT_GE(got.size(), at);
  EXPECT_TRUE(all.starts_with(got));
}

TEST_F(TlsStreamTest, SmallPiecesShareARecord) {
  Pair pair = Connected();
  TellTicket(pair);
  const std::string body(20000, 'b');
  std::vector<iovec> pieces;
  for (size_t i = 0; i < body.size(); i += 100) {
    pieces.push_back({const_cast<char*>(body.data()) + i, 100});
  }
  ASSERT_EQ(pair.server->Write(pieces), 20000);
  char raw[65536];
  // 20,000 bytes in two records, each with 22 bytes of its own.
  EXPECT_EQ(recv(pair.client->fd(), raw, sizeof(raw), 0), 20044);
}

TEST_F(TlsStreamTest, WhatIsDecryptedAndNotReadIsPending) {
  Pair pair = Connected();
  std::string_view two = "abcdef";
  pair.client->Write(&two, 4);
  pair.client->Write(&two, 2);
  char to[8];
  EXPECT_EQ(pair.server->Read(to, 2), 2);
  EXPECT_TRUE(pair.server->HasPending());
  EXPECT_EQ(pair.server->Read(to, 2), 2);
  EXPECT_TRUE(pair.server->HasPending());  // the second record, which came with the first
  EXPECT_EQ(pair.server->Read(to, 8), 2);
  EXPECT_FALSE(pair.server->HasPending());
  EXPECT_EQ(pair.server->Read(to, 8), -EAGAIN);
  EXPECT_EQ(pair.server->Wants(true, false), EPOLLIN);
}

TEST_F(TlsStreamTest, PartOfARecordIsNotPending) {
  Sockets relay;
  Pair pair = Connected();
  std::string_view data = "request";
  SSL_set_fd(pair.client->ssl(), relay.client.get());
  pair.client->Write(&data);
  char record[100];
  const ssize_t size = recv(relay.server.get(), record, sizeof(record), 0);
  ASSERT_EQ(size, 5 + 7 + 1 + 16);
  char to[16];
  for (ssize_t i = 0; i + 1 < size; ++i) {
    ASSERT_EQ(send(pair.client->fd(), record + i, 1, 0), 1);
    ASSERT_EQ(pair.server->Read(to, sizeof(to)), -EAGAIN);
    ASSERT_FALSE(pair.server->HasPending());
  }
  ASSERT_EQ(send(pair.client->fd(), record + size - 1, 1, 0), 1);
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 7);
}

TEST_F(TlsStreamTest, RequestThatCameWithTheHandshakeIsPending) {
  Sockets sockets;
  const auto server = Accept(std::move(sockets.server));
  Client client(ca_, std::move(sockets.client), {.version = TLS1_3_VERSION});
  EXPECT_EQ(client.Handshake(), 0);
  EXPECT_EQ(server->Handshake(), -EAGAIN);
  EXPECT_FALSE(server->HasPending());
  EXPECT_EQ(client.Handshake(), 1);
  std::string_view request = "GET";
  client.Write(&request);
  EXPECT_EQ(server->Handshake(), 0);
  EXPECT_TRUE(server->HasPending());
  char to[8];
  EXPECT_EQ(server->Read(to, sizeof(to)), 3);
}

TEST_F(TlsStreamTest, CloseNotifyIsAnEndInOrder) {
  Pair pair = Connected();
  std::string_view bye = "bye";
  pair.client->Write(&bye);
  SSL_shutdown(pair.client->ssl());
  pair.client->Close();
  char to[2];
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 2);
  EXPECT_TRUE(pair.server->HasPending());
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 1);  // and met the end
  EXPECT_TRUE(pair.server->HasPending());
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 0);
  EXPECT_FALSE(pair.server->HasPending());
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 0);
}

TEST_F(TlsStreamTest, HalfClosedClientStillGetsItsAnswer) {
  Pair pair = Connected();
  SSL_shutdown(pair.client->ssl());
  char to[2];
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 0);
  EXPECT_EQ(Send(*pair.server, "answer"), 6);
  pair.server->Shutdown();
  EXPECT_EQ(Drain(*pair.client), "answer");
  EXPECT_EQ(pair.client->error(), "close_notify");
}

TEST_F(TlsStreamTest, FinWithoutCloseNotifyIsTruncation) {
  Pair pair = Connected();
  std::string_view half = "half";
  pair.client->Write(&half);
  shutdown(pair.client->fd(), SHUT_WR);
  char to[8];
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 4);
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), kTruncated);
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), kTruncated);  // and stays so
  EXPECT_EQ(pair.server->error(), "the connection ended without close_notify");
}

TEST_F(TlsStreamTest, CloseWithoutCloseNotifyIsTruncationToo) {
  Pair pair = Connected();
  TellTicket(pair);  // or the client's end would reset what it has not read
  pair.client->Close();
  char byte;
  EXPECT_EQ(pair.server->Read(&byte, 1), kTruncated);
}

TEST_F(TlsStreamTest, ShutdownTellsTheClient) {
  Pair pair = Connected();
  ASSERT_EQ(Send(*pair.server, "all"), 3);
  pair.server->Shutdown();
  pair.server->Shutdown();
  EXPECT_EQ(Drain(*pair.client), "all");
  EXPECT_EQ(pair.client->error(), "close_notify");
  char raw;
  EXPECT_EQ(recv(pair.client->fd(), &raw, 1, 0), 0);  // and FIN
}

TEST_F(TlsStreamTest, GivenUpResponseDoesNotLookWhole) {
  Pair pair = Connected({}, kTiny);
  ASSERT_EQ(Send(*pair.server, Noise(16000, 5)), -EAGAIN);
  pair.server->Shutdown();
  Drain(*pair.client);
  char to[8];
  // The record goes out, then FIN.
  EXPECT_TRUE(pair.server->Wants(true, false) & EPOLLOUT);
  for (int i = 0; i < 20 && pair.client->error().empty(); ++i) {
    EXPECT_EQ(pair.server->Read(to, sizeof(to)), -EAGAIN);
    Drain(*pair.client);
  }
  EXPECT_EQ(pair.client->error(), "unexpected eof while reading");
}

TEST_F(TlsStreamTest, KeyUpdateIsAnsweredWhileAWriteWaits) {
  Pair pair = Connected({.version = TLS1_3_VERSION}, kTiny);
  const std::string all = Noise(100000, 6);
  size_t at = 0;
  ssize_t n;
  while ((n = Send(*pair.server, std::string_view(all).substr(at))) > 0)
    at += static_cast<size_t>(n);
  ASSERT_EQ(n, -EAGAIN);
  ASSERT_EQ(SSL_key_update(pair.client->ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
  std::string_view more = "more";
  pair.client->Write(&more);
  char to[8];
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), 4);
  EXPECT_TRUE(pair.server->Wants(true, false) & EPOLLOUT);
  std::string got;
  while (got.size() < all.size()) {
    ASSERT_GE(pair.client->Read(&got), 0) << pair.client->error();
    n = Send(*pair.server, std::string_view(all).substr(at));
    ASSERT_TRUE(n >= 0 || n == -EAGAIN) << pair.server->error();
    if (n > 0) at += static_cast<size_t>(n);
  }
  EXPECT_TRUE(got == all);
}

TEST_F(TlsStreamTest, ResetIsAnErrnoAndNoSignal) {
  Pair pair = Connected();
  pair.client->Close();
  EXPECT_EQ(Send(*pair.server, "gone"), -EPIPE);  // SIGPIPE would end the test
  EXPECT_EQ(Send(*pair.server, "gone"), -EPIPE);
  EXPECT_EQ(pair.server->error(), "Broken pipe");
}

TEST_F(TlsStreamTest, NothingIsWantedOfWhoAsksForNothing) {
  Pair pair = Connected({}, kTiny);
  ASSERT_EQ(Send(*pair.server, Noise(16000, 7)), -EAGAIN);
  EXPECT_EQ(pair.server->Wants(false, false), 0U);
}

}  // namespace
}  // namespace wb::tls
