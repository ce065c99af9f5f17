// SPDX-License-Identifier: Apache-2.0
// Real clients (curl, openssl s_client) on loopback against a stream; and many idle streams.
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>

#include <cstdio>
#include <thread>

#include "gmock/gmock.h"
#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

using testing::HasSubstr;

class TlsClientsTest : public TlsTest {
 protected:
  TlsClientsTest() {
    listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = std::to_string(ntohs(address.sin_port));
    ca_file_ = dir_.Write("ca.pem", ca_.pem());
  }

  static void Wait(const TlsStream& stream, bool writing) {
    pollfd one{stream.fd(), static_cast<short>(stream.Wants(!writing, writing)), 0};
    ASSERT_EQ(poll(&one, 1, 10000), 1);
  }

  // Answers one connection with `response` after an empty line, then ends it.
  void ServeOne(const std::string& response) {
    auto stream = Accept(base::UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)));
    while (stream->Handshake() == -EAGAIN) Wait(*stream, false);
    resumed_ = stream->resumed();
    alpn_ = stream->alpn();
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      char raw[4096];
      const ssize_t n = stream->Read(raw, sizeof(raw));
      if (n == -EAGAIN) {
        Wait(*stream, false);
      } else if (n > 0) {
        request.append(raw, static_cast<size_t>(n));
      } else {
        return;
      }
    }
    for (std::string_view left = response; !left.empty();) {
      const ssize_t n = Send(*stream, left);
      if (n == -EAGAIN) {
        Wait(*stream, true);
      } else if (n > 0) {
        left.remove_prefix(static_cast<size_t>(n));
      } else {
        return;
      }
    }
    stream->Shutdown();
    char raw[64];
    while (stream->Read(raw, sizeof(raw)) == -EAGAIN) Wait(*stream, false);
  }

  // What `command` prints while one connection is served.
  std::string Run(const std::string& command, const std::string& response) {
    std::thread server([&] { ServeOne(response); });
    FILE* pipe = popen(command.c_str(), "r");
    std::string out;
    char raw[65536];
    size_t n;
    while ((n = fread(raw, 1, sizeof(raw), pipe)) > 0) out.append(raw, n);
    status_ = pclose(pipe);
    server.join();
    return out;
  }

  base::UniqueFd listener_;
  std::string port_;
  std::string ca_file_;
  bool resumed_ = false;
  std::string alpn_;
  int status_ = -1;
};

TEST_F(TlsClientsTest, CurlGetsMegabytesAndVerifies) {
  std::string body(5 << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761U >> 13);
  const std::string got = Run("curl -sS --http1.1 --max-time 20 --cacert " + ca_file_ +
                                  " --resolve www.example.com:" + port_ +
                                  ":127.0.0.1 https://www.example.com:" + port_ + "/ 2>&1",
                              "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body);
  EXPECT_EQ(status_, 0);
  EXPECT_TRUE(got == body) << got.size();
  EXPECT_EQ(alpn_, "http/1.1");
}

TEST_F(TlsClientsTest, OpensslClientResumes) {
  for (const char* version : {"-tls1_2", "-tls1_3"}) {
    const std::string session = dir_ / "session";
    const std::string command =
        std::string("printf 'x\\r\\n\\r\\n' | timeout 20 openssl s_client ") + version +
        " -connect 127.0.0.1:" + port_ + " -servername shop.test -verify_return_error -CAfile " +
        ca_file_ + " -ign_eof 2>&1 ";
    EXPECT_THAT(Run(command + "-sess_out " + session, "hello\r\n"), HasSubstr("hello"));
    EXPECT_FALSE(resumed_);
    EXPECT_THAT(Run(command + "-sess_in " + session, "hello\r\n"), HasSubstr("Reused, TLSv1."));
    EXPECT_TRUE(resumed_);
  }
}

TEST_F(TlsClientsTest, IdleStreamsAreSmall) {
  constexpr int kStreams = 1000;
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<std::unique_ptr<TlsStream>> idle;
  idle.reserve(kStreams);
  const std::string much(50000, 'x');
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kStreams; ++i) {
    Pair pair = Connect({.verify = false});  // the client ends with the turn
    ASSERT_EQ(pair.server_result, 0);
    ASSERT_EQ(Send(*pair.server, much), 50000);
    char byte;
    ASSERT_EQ(pair.server->Read(&byte, 1), -EAGAIN);
    idle.push_back(std::move(pair.server));
  }
  const size_t bytes = mallinfo2().uordblks - before;
  // 14.3 KB with OpenSSL 3.0.
  EXPECT_LT(bytes / kStreams, 20000U);
}

}  // namespace
}  // namespace wb::tls
