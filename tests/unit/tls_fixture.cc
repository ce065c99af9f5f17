// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tls_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "webbooster/base/check.h"

namespace wb::tls {

Sockets::Sockets(int buffer_bytes) {
  int fds[2];
  WB_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0,
           "a socket pair");
  server.reset(fds[0]);
  client.reset(fds[1]);
  for (const int fd : fds) {
    if (buffer_bytes == 0) break;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
  }
}

Client::Client(const test::TestCa& ca, base::UniqueFd fd, const Offer& offer)
    : fd_(std::move(fd)), context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX* const context = context_.get();
  SSL_CTX_set_security_level(context, offer.version == TLS1_1_VERSION ? 0 : 1);
  if (offer.verify) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.certificate());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, [](SSL* ssl, SSL_SESSION* session) {
    static_cast<Client*>(SSL_get_app_data(ssl))->session_.reset(session);
    return 1;
  });
  SSL_CTX_set_min_proto_version(context, offer.version);
  SSL_CTX_set_max_proto_version(context, offer.version);
  if (!offer.groups.empty()) SSL_CTX_set1_groups_list(context, offer.groups.c_str());
  if (!offer.ciphers.empty()) SSL_CTX_set_cipher_list(context, offer.ciphers.c_str());
  ssl_.reset(SSL_new(context));
  SSL* const ssl = ssl_.get();
  SSL_set_app_data(ssl, this);
  SSL_set_fd(ssl, fd_.get());
  SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (!offer.host.empty()) {
    SSL_set_tlsext_host_name(ssl, offer.host.c_str());
    if (offer.verify) SSL_set1_host(ssl, offer.host.c_str());
  }
  std::string protocols;
  for (const std::string& one : offer.protocols) {
    protocols += static_cast<char>(one.size());
    protocols += one;
  }
  if (!protocols.empty()) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  if (offer.resume != nullptr) {
    // Of its own: OpenSSL's client uses a session of TLS 1.3 once.
    const std::unique_ptr<SSL_SESSION, FreeSession> copy(SSL_SESSION_dup(offer.resume));
    SSL_set_session(ssl, copy.get());
  }
  SSL_set_connect_state(ssl);
}

int Client::Fail(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
  error_ = error == SSL_ERROR_ZERO_RETURN ? "close_notify" : TakeError();
  return -1;
}

int Client::Handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? 1 : Fail(result);
}

int Client::Read(std::string* to) {
  char buffer[16384];
  ERR_clear_error();
  const int n = SSL_read(ssl_.get(), buffer, sizeof(buffer));
  if (n <= 0) return Fail(n);
  to->append(buffer, static_cast<size_t>(n));
  return 1;
}

void Client::Write(std::string_view* from, size_t most) {
  ERR_clear_error();
  // OpenSSL wants as many bytes as when it could not write them.
  const std::string_view part = from->substr(0, std::max(most, refused_));
  const int n = SSL_write(ssl_.get(), part.data(), static_cast<int>(part.size()));
  if (n > 0) {
    from->remove_prefix(static_cast<size_t>(n));
    refused_ = 0;
  } else {
    refused_ = part.size();
    Fail(n);
  }
}

std::string Client::alpn() const {
  const unsigned char* data = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &data, &size);
  return {reinterpret_cast<const char*>(data), size};
}

TlsTest::TlsTest() : tickets_(*TicketKeys::Make()) {
  www_ = Write("www", {"www.example.com", "Example.com"},
               ca_.Issue({"www.example.com", "example.com", "*.img.example.com"}));
  shop_ = Write("shop", {"shop.test"}, ca_.Issue({"shop.test"}));
  store_ = *CertificateStore::Make(tickets_, Load({www_, shop_}));
}

Site TlsTest::Write(const std::string& file, std::vector<std::string> names,
                    const test::Issued& issued) {
  Site site{std::move(names), dir_.Write(file + ".pem", issued.chain_pem),
            dir_.Write(file + ".key", issued.key_pem)};
  chmod(site.key_file.c_str(), 0600);
  return site;
}

std::shared_ptr<const Certificates> TlsTest::Load(const std::vector<Site>& sites,
                                                  std::string_view default_name) {
  std::vector<std::string> warnings;
  auto loaded = Certificates::Load(sites, default_name, nullptr, &warnings);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *std::move(loaded);
}

std::unique_ptr<TlsStream> TlsTest::Accept(base::UniqueFd fd) {
  return *TlsStream::Accept(*store_, std::move(fd));
}

TlsTest::Pair TlsTest::Connect(const Offer& offer, int buffer_bytes) {
  Sockets sockets(buffer_bytes);
  Pair pair;
  pair.server = Accept(std::move(sockets.server));
  pair.client = std::make_unique<Client>(ca_, std::move(sockets.client), offer);
  int client = 0;
  int server = -EAGAIN;
  for (int turn = 0; turn < 1000; ++turn) {
    if (client == 0) client = pair.client->Handshake();
    if (server == -EAGAIN) server = pair.server->Handshake();
    if (client != 0 && server != -EAGAIN) break;
  }
  pair.server_result = server;
  pair.client_result = client == 1 ? 0 : -EPROTO;
  return pair;
}

TlsTest::Pair TlsTest::Connected(const Offer& offer, int buffer_bytes) {
  Pair pair = Connect(offer, buffer_bytes);
  EXPECT_EQ(pair.server_result, 0) << pair.server->error();
  EXPECT_EQ(pair.client_result, 0) << pair.client->error();
  return pair;
}

void TlsTest::TellTicket(Pair& pair) {
  std::string read;
  ASSERT_EQ(Send(*pair.server, "x"), 1);
  while (read.empty()) ASSERT_GE(pair.client->Read(&read), 0) << pair.client->error();
  ASSERT_NE(pair.client->session(), nullptr);
}

ssize_t TlsTest::Send(net::Stream& stream, std::string_view data) {
  const iovec piece{const_cast<char*>(data.data()), data.size()};
  return stream.Write({&piece, 1});
}

}  // namespace wb::tls
