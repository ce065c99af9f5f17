// SPDX-License-Identifier: Apache-2.0
// Which certificate, protocol and version a client gets, or why none.
#include <thread>

#include "gmock/gmock.h"
#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

using testing::HasSubstr;

class TlsHandshakeTest : public TlsTest {};

TEST_F(TlsHandshakeTest, CertificateIsTheOneOfTheName) {
  for (const char* host : {"www.example.com", "example.com", "shop.test"}) {
    const Pair pair = Connected({.host = host});  // the client verifies it
    EXPECT_EQ(pair.server->server_name(), host);
    EXPECT_TRUE(pair.server->encrypted());
  }
}

TEST_F(TlsHandshakeTest, NameIsOfAnyCase) {
  EXPECT_EQ(Connected({.host = "WWW.Example.COM"}).server->server_name(), "www.example.com");
}

TEST_F(TlsHandshakeTest, UnknownNameIsRefusedByAlertInEachVersion) {
  store_->Replace(Load({www_, shop_}, "shop.test"));  // a default changes nothing for it
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    // Names that the certificate covers and no site has are unknown too.
    for (const char* host : {"other.test", "a.img.example.com", "www.example.com."}) {
      const Pair pair = Connect({.host = host, .version = version});
      EXPECT_EQ(pair.server_result, -EPROTO);
      EXPECT_EQ(pair.server->error(), "a server_name of no domain here");
      EXPECT_EQ(pair.server->server_name(), "");
      EXPECT_THAT(pair.client->error(), HasSubstr("unrecognized name"));
    }
  }
}

TEST_F(TlsHandshakeTest, WithoutANameOnlyTheDefaultIsThere) {
  const Pair refused = Connect({.host = ""});
  EXPECT_EQ(refused.server_result, -EPROTO);
  EXPECT_EQ(refused.server->error(), "no server_name");
  EXPECT_THAT(refused.client->error(), HasSubstr("unrecognized name"));
  store_->Replace(Load({www_, shop_}, "Shop.test"));
  const Pair pair = Connected({.host = ""});
  EXPECT_EQ(pair.server->server_name(), "");
  EXPECT_TRUE(pair.server->MayServe("shop.test"));
  EXPECT_FALSE(pair.server->MayServe("www.example.com"));
}

TEST_F(TlsHandshakeTest, AConnectionServesWhatItsCertificateCovers) {
  const Pair pair = Connected({.host = "example.com"});
  for (const char* host : {"example.com", "www.example.com", "a.img.example.com"}) {
    EXPECT_TRUE(pair.server->MayServe(host)) << host;
  }
  for (const char* host : {"shop.test", "img.example.com", "a.b.img.example.com", "",
                           ".example.com", "*.img.example.com.evil.test", "127.0.0.1"}) {
    EXPECT_FALSE(pair.server->MayServe(host)) << host;
  }
  EXPECT_FALSE(pair.server->MayServe(std::string_view("example.com\0.evil.test", 22)));
}

TEST_F(TlsHandshakeTest, ProtocolIsOursByPreference) {
  EXPECT_EQ(Connected({.protocols = {"http/1.1", "h2"}}).server->alpn(), "h2");
  const Pair old = Connected({.protocols = {"spdy/3", "http/1.1"}});
  EXPECT_EQ(old.server->alpn(), "http/1.1");
  EXPECT_EQ(old.client->alpn(), "http/1.1");
  EXPECT_EQ(Connected({.protocols = {}}).server->alpn(), "");
}

TEST_F(TlsHandshakeTest, NoCommonProtocolIsRefused) {
  // "h2c" and "h" begin as ours do.
  const Pair pair = Connect({.protocols = {"h2c", "h", "http/1.1x"}});
  EXPECT_EQ(pair.server_result, -EPROTO);
  EXPECT_THAT(pair.client->error(), HasSubstr("no application protocol"));
}

TEST_F(TlsHandshakeTest, VersionsAre12And13) {
  EXPECT_EQ(Connected({.version = TLS1_2_VERSION}).server->version(), "TLSv1.2");
  EXPECT_EQ(Connected({.version = TLS1_3_VERSION}).server->version(), "TLSv1.3");
  const Pair old = Connect({.version = TLS1_1_VERSION});
  EXPECT_EQ(old.server_result, -EPROTO);
  EXPECT_THAT(old.client->error(), HasSubstr("protocol version"));
}

TEST_F(TlsHandshakeTest, CiphersAreForwardSecretAndOurChoice) {
  EXPECT_EQ(Connected().server->cipher(), "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(Connected({.version = TLS1_2_VERSION,
                       .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"})
                .server->cipher(),
            "ECDHE-ECDSA-AES128-GCM-SHA256");
  // Who asks for ChaCha20 first has no AES in hardware.
  EXPECT_EQ(Connected({.version = TLS1_2_VERSION,
                       .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"})
                .server->cipher(),
            "ECDHE-ECDSA-CHACHA20-POLY1305");
  for (const char* weak : {"ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256"}) {
    EXPECT_EQ(Connect({.version = TLS1_2_VERSION, .ciphers = weak}).server_result, -EPROTO) << weak;
  }
}

TEST_F(TlsHandshakeTest, RsaCertificatesServeToo) {
  const Site site = Write("rsa", {"rsa.test"}, ca_.Issue({"rsa.test"}, {.rsa_bits = 2048}));
  store_->Replace(Load({site}));
  Connected({.host = "rsa.test", .version = TLS1_2_VERSION});
  Connected({.host = "rsa.test", .version = TLS1_3_VERSION});
}

TEST_F(TlsHandshakeTest, SecondHelloAfterARetryIsServed) {
  // The client's key share is of a group that we have not.
  const Pair pair = Connected({.groups = "P-384:P-256"});
  EXPECT_EQ(SSL_get_negotiated_group(pair.client->ssl()), NID_X9_62_prime256v1);
  EXPECT_EQ(pair.server->server_name(), "www.example.com");
}

TEST_F(TlsHandshakeTest, NoCertificateIsAskedOfTheClient) {
  const Pair pair = Connected({.version = TLS1_2_VERSION});
  EXPECT_EQ(SSL_get0_peer_CA_list(pair.client->ssl()), nullptr);
  const unsigned char* types = nullptr;
  EXPECT_EQ(SSL_get0_certificate_types(pair.client->ssl(), &types), 0U);  // of CertificateRequest
}

TEST_F(TlsHandshakeTest, RenegotiationIsRefused) {
  Pair pair = Connected({.version = TLS1_2_VERSION});
  ASSERT_EQ(SSL_renegotiate(pair.client->ssl()), 1);
  EXPECT_EQ(pair.client->Handshake(), 0);
  char byte;
  EXPECT_EQ(pair.server->Read(&byte, 1), -EAGAIN);
  EXPECT_EQ(pair.client->Handshake(), -1);
  EXPECT_THAT(pair.client->error(), HasSubstr("no renegotiation"));
}

TEST_F(TlsHandshakeTest, ReplacedCertificateIsForNewConnectionsOnly) {
  Pair old = Connected({.host = "shop.test"});
  const Site moved = Write("new", {"new.test"}, ca_.Issue({"new.test"}));
  store_->Replace(Load({moved}));
  EXPECT_EQ(Connect({.host = "shop.test"}).server_result, -EPROTO);
  Connected({.host = "new.test"});
  EXPECT_TRUE(old.server->MayServe("shop.test"));
  ASSERT_EQ(Send(*old.server, "still"), 5);
  std::string read;
  while (read.empty()) ASSERT_GE(old.client->Read(&read), 0);
  EXPECT_EQ(read, "still");
}

TEST_F(TlsHandshakeTest, ThreadsShakeHandsAtOnceWhileCertificatesChange) {
  const auto one = Load({www_, shop_});
  const auto two = Load({shop_, www_});
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 40; ++n) {
        Pair pair = Connected({.host = n % 2 == 0 ? "shop.test" : "www.example.com"});
        TellTicket(pair);
        const Pair again = Connected(
            {.host = std::string(pair.server->server_name()), .resume = pair.client->session()});
        EXPECT_TRUE(again.server->resumed());
      }
    });
  }
  for (int n = 0; n < 500; ++n) store_->Replace(n % 2 == 0 ? one : two);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace wb::tls
