// SPDX-License-Identifier: Apache-2.0
// TLS streams against OpenSSL's client over socket pairs, both nonblocking, in lockstep on one
// thread.
#ifndef TESTS_UNIT_TLS_FIXTURE_H_
#define TESTS_UNIT_TLS_FIXTURE_H_

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "booster/tls/tls_stream.h"
#include "gtest/gtest.h"
#include "tests/support/test_ca.h"
#include "tests/unit/cache_temp_dir.h"

namespace wb::tls {

// Both ends of a connection, nonblocking.
struct Sockets {
  explicit Sockets(int buffer_bytes = 0);
  base::UniqueFd server;
  base::UniqueFd client;
};

// What the client offers.
struct Offer {
  std::string host = "www.example.com";  // "": none
  std::vector<std::string> protocols = {"h2", "http/1.1"};
  int version = 0;  // 0: any
  std::string groups = {};
  std::string ciphers = {};  // of TLS 1.2
  SSL_SESSION* resume = nullptr;
  bool verify = true;
};

class Client {
 public:
  // Trusts `ca`.
  Client(const test::TestCa& ca, base::UniqueFd fd, const Offer& offer);

  // Or OpenSSL would forget the session.
  ~Client() { SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  SSL* ssl() const { return ssl_.get(); }
  int fd() const { return fd_.get(); }
  void Close() { fd_.reset(); }
  // 1: done; 0: later; -1: failed, see error().
  int Handshake();
  // Reads what is there, appended to `to`. As Handshake(), 1 for bytes.
  int Read(std::string* to);
  // Writes from the front of `from`, and removes what was taken.
  void Write(std::string_view* from, size_t most = 16384);
  const std::string& error() const { return error_; }
  // The last ticket; resumable sessions of TLS 1.3 arrive with the first Read.
  SSL_SESSION* session() const {
    return session_ != nullptr ? session_.get() : SSL_get_session(ssl_.get());
  }
  std::string alpn() const;

 private:
  struct FreeSession {
    void operator()(SSL_SESSION* p) const { SSL_SESSION_free(p); }
  };
  int Fail(int result);
  base::UniqueFd fd_;
  Owned<SSL_CTX> context_;
  Owned<SSL> ssl_;
  std::unique_ptr<SSL_SESSION, FreeSession> session_;
  std::string error_;
  size_t refused_ = 0;
};

class TlsTest : public testing::Test {
 protected:
  TlsTest();

  // Writes `issued` into files of a site with `names`.
  Site Write(const std::string& file, std::vector<std::string> names, const test::Issued& issued);
  std::shared_ptr<const Certificates> Load(const std::vector<Site>& sites,
                                           std::string_view default_name = "");
  std::unique_ptr<TlsStream> Accept(base::UniqueFd fd);
  // A connection after its handshake, whose result is in the two numbers: 0 or a negative errno.
  struct Pair {
    std::unique_ptr<TlsStream> server;
    std::unique_ptr<Client> client;
    int server_result = -1;
    int client_result = -1;
  };
  Pair Connect(const Offer& offer = {}, int buffer_bytes = 0);
  // Connect(), which must succeed.
  Pair Connected(const Offer& offer = {}, int buffer_bytes = 0);
  // One byte to the client, who reads it and so its tickets.
  void TellTicket(Pair& pair);
  static ssize_t Send(net::Stream& stream, std::string_view data);

  test::TestCa ca_;
  cache::TempDir dir_;
  std::shared_ptr<TicketKeys> tickets_;
  Site www_;
  Site shop_;
  std::unique_ptr<CertificateStore> store_;
};

}  // namespace wb::tls

#endif  // TESTS_UNIT_TLS_FIXTURE_H_
