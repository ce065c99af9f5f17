// SPDX-License-Identifier: Apache-2.0
// Peers that speak no TLS, or speak it badly, or slowly.
#include <sys/epoll.h>

#include <random>

#include "booster/tls/tcp_stream.h"
#include "gmock/gmock.h"
#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

class TlsHostileTest : public TlsTest {
 protected:
  // What a handshake makes of `bytes`, and what it answers.
  int HandshakeWith(std::string_view bytes, std::string* answer = nullptr) {
    Sockets sockets;
    last_ = Accept(std::move(sockets.server));
    EXPECT_EQ(send(sockets.client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    const int result = last_->Handshake();
    char raw[4096];
    const ssize_t n = recv(sockets.client.get(), raw, sizeof(raw), 0);
    if (answer != nullptr) answer->assign(raw, n > 0 ? static_cast<size_t>(n) : 0);
    return result;
  }
  // The first flight of a client.
  std::string ClientHello(const Offer& offer = {}) {
    Sockets sockets;
    Client client(ca_, std::move(sockets.client), offer);
    EXPECT_EQ(client.Handshake(), 0);
    char raw[4096];
    const ssize_t n = recv(sockets.server.get(), raw, sizeof(raw), 0);
    return {raw, static_cast<size_t>(n)};
  }
  std::unique_ptr<TlsStream> last_;
};

TEST_F(TlsHostileTest, PlainHttpIsToldApartAndAnsweredInPlain) {
  for (const char* request : {"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n", "G", "OPTIONS *",
                              "CONNECT a:1 HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    std::string answer;
    EXPECT_EQ(HandshakeWith(request, &answer), -EPROTO);
    EXPECT_EQ(answer, "");  // no alert before the response
    EXPECT_TRUE(last_->plain_http());
    EXPECT_EQ(last_->error(), "plain HTTP on a port for TLS");
  }
  Sockets sockets;
  const auto stream = Accept(std::move(sockets.server));
  ASSERT_EQ(send(sockets.client.get(), "GET", 3, 0), 3);
  ASSERT_EQ(stream->Handshake(), -EPROTO);
  TcpStream plain(stream->Release());
  EXPECT_EQ(Send(plain, "HTTP/1.1 400 Bad Request\r\n\r\n"), 28);
  char raw[64];
  EXPECT_EQ(recv(sockets.client.get(), raw, sizeof(raw), 0), 28);
}

TEST_F(TlsHostileTest, GarbageIsAnErrorAndNotHttp) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(1 + random() % 600, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (i % 2 == 0) bytes[0] = '\x16';
    if (i % 4 == 0) bytes.replace(1, 2, "\x03\x01", 2);
    const int result = HandshakeWith(bytes);
    ASSERT_TRUE(result == -EPROTO || result == -EAGAIN) << result;
    ASSERT_EQ(last_->plain_http(), bytes[0] >= 'A' && bytes[0] <= 'Z');
    ASSERT_EQ(last_->error().empty(), result == -EAGAIN);
  }
}

TEST_F(TlsHostileTest, MutatedHellosNeverEndInAHandshake) {
  const std::string hello = ClientHello();
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = hello;
    for (int n = static_cast<int>(random() % 4); n >= 0; --n) {
      bytes[5 + random() % (bytes.size() - 5)] = static_cast<char>(random());
    }
    const int result = HandshakeWith(bytes);
    ASSERT_TRUE(result == -EPROTO || result == -EAGAIN) << result;
  }
}

TEST_F(TlsHostileTest, MalformedServerNameIsRefused) {
  const std::string hello = ClientHello();
  const size_t name = hello.find("www.example.com");
  ASSERT_NE(name, std::string::npos);
  // Before it: the list's length, the type, the name's length.
  for (const auto& [back, value] : std::vector<std::pair<size_t, char>>{
           {1, '\x0e'}, {1, '\x10'}, {2, '\x01'}, {3, '\x01'}, {4, '\x11'}, {5, '\x01'}}) {
    std::string bytes = hello;
    bytes[name - back] = value;
    EXPECT_EQ(HandshakeWith(bytes), -EPROTO) << back;
    EXPECT_EQ(last_->error(), "a malformed server_name") << back;
  }
  std::string odd = hello;
  odd[name + 3] = '\0';
  EXPECT_EQ(HandshakeWith(odd), -EPROTO);
  EXPECT_EQ(last_->error(), "a server_name of no domain here");
  EXPECT_EQ(HandshakeWith(hello), -EAGAIN);
}

TEST_F(TlsHostileTest, HandshakeByteByByteIsServed) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Sockets near;
    Sockets far;
    const auto server = Accept(std::move(near.server));
    Client client(ca_, std::move(far.client), {.version = version});
    int done = -EAGAIN;
    int bytes = 0;
    char raw[16384];
    for (int turn = 0; turn < 20 && done != 0; ++turn) {
      client.Handshake();
      char byte;
      while (recv(far.server.get(), &byte, 1, 0) == 1) {
        ASSERT_EQ(done, -EAGAIN);
        ASSERT_EQ(send(near.client.get(), &byte, 1, 0), 1);
        done = server->Handshake();
        ++bytes;
        ASSERT_TRUE(done == 0 || done == -EAGAIN) << server->error();
        ASSERT_EQ(server->Wants(true, false), EPOLLIN);
      }
      ssize_t n;
      while ((n = recv(near.client.get(), raw, sizeof(raw), 0)) > 0) {
        ASSERT_EQ(send(far.server.get(), raw, static_cast<size_t>(n), 0), n);
      }
    }
    EXPECT_EQ(done, 0);
    EXPECT_GT(bytes, 250);
    EXPECT_EQ(client.Handshake(), 1) << client.error();
  }
}

TEST_F(TlsHostileTest, EndWithinTheHandshake) {
  const std::string hello = ClientHello();
  for (const size_t size : {size_t{0}, size_t{3}, hello.size() / 2, hello.size()}) {
    Sockets sockets;
    const auto server = Accept(std::move(sockets.server));
    ASSERT_EQ(send(sockets.client.get(), hello.data(), size, 0), static_cast<ssize_t>(size));
    shutdown(sockets.client.get(), SHUT_WR);
    int result = -EAGAIN;
    for (int i = 0; i < 3 && result == -EAGAIN; ++i) result = server->Handshake();
    EXPECT_EQ(result, kTruncated) << size;
    EXPECT_EQ(server->Handshake(), kTruncated);  // and stays so
    server->Shutdown();                          // nothing to say
  }
}

TEST_F(TlsHostileTest, RecordsThatAreNotTheirsEndTheConnection) {
  Pair pair = Connected();
  const char forged[] = "\x17\x03\x03\x00\x20________________________________";
  ASSERT_EQ(send(pair.client->fd(), forged, 37, 0), 37);
  char to[8];
  EXPECT_EQ(pair.server->Read(to, sizeof(to)), -EPROTO);
  EXPECT_EQ(pair.server->error(), "decryption failed or bad record mac");
  EXPECT_EQ(Send(*pair.server, "no"), -EPROTO);
  std::string got;
  while (pair.client->Read(&got) == 1) {
  }
  EXPECT_THAT(pair.client->error(), testing::HasSubstr("bad record mac"));  // by alert
}

TEST_F(TlsHostileTest, KeyUpdatesOfAClientThatReadsNothingAreBounded) {
  Pair pair = Connected({.version = TLS1_3_VERSION}, 2048);
  ssize_t n = -EAGAIN;
  int updates = 0;
  char to[8];
  while (n == -EAGAIN && updates < 100000) {
    ASSERT_EQ(SSL_key_update(pair.client->ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    // Only what the client's handshake state writes: it must not read the answers.
    ERR_clear_error();
    SSL_do_handshake(pair.client->ssl());
    ++updates;
    n = pair.server->Read(to, sizeof(to));
  }
  EXPECT_EQ(n, -ENOBUFS);
  EXPECT_GT(updates, 1000);
}

}  // namespace
}  // namespace wb::tls
