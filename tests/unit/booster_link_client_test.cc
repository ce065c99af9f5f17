// SPDX-License-Identifier: Apache-2.0
// boosterd's end of the channel, with accelerds that break, lie and fall silent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "booster/link/channel_client.h"
#include "tests/unit/booster_link_peers.h"

namespace wb::link {
namespace {

using testing::HasSubstr;

class ChannelClientsTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    clients_ = *ChannelClients::Start();
    id_ = *clients_->Add({"127.0.0.1", listener_.port(), SecretOf(1)}, catalogue_);
  }
  // The client's next connection.
  std::unique_ptr<Peer> Accelerd(const Secret& secret = SecretOf(1)) {
    return std::make_unique<Peer>(End::kAccelerd, secret, listener_.Accept());
  }
  std::unique_ptr<Peer> OpenAccelerd() {
    auto peer = Accelerd();
    EXPECT_TRUE(peer->Open()) << peer->status;
    return peer;
  }
  static std::string Put(uint32_t from, uint32_t to) {
    std::string out;
    std::vector<Held> held;
    for (uint32_t i = from; i < to; i++) held.push_back({KeyNumber(i), i + 100});
    AppendPut(held, &out);
    return out;
  }
  static std::string Only(FrameType type) {
    std::string out;
    AppendFrame(type, &out);
    return out;
  }
  // Waits for a failure, the n-th.
  std::string Failure(uint64_t n = 1) {
    EXPECT_TRUE(WaitFor([&] { return clients_->state(id_).failed >= n; }));
    EXPECT_EQ(catalogue_.size(), 0u);
    return clients_->state(id_).last_error;
  }
  bool Holds(size_t n) {
    return WaitFor([&] { return catalogue_.size() == n; });
  }

  Listener listener_;
  Catalogue catalogue_{1000};
  std::unique_ptr<ChannelClients> clients_;
  ChannelClients::Id id_ = 0;
};

TEST_F(ChannelClientsTest, KeepsWhatItIsTold) {
  auto accelerd = OpenAccelerd();
  accelerd->Send(Only(FrameType::kCatalogueBegin) + Put(0, 900));
  EXPECT_TRUE(Holds(900));
  EXPECT_FALSE(clients_->state(id_).complete);
  std::string remove;
  AppendRemove(std::vector<Key>{KeyNumber(5), KeyNumber(5000)}, &remove);
  accelerd->Send(Only(FrameType::kCatalogueEnd) + std::string("\x77\x77\0\0", 4) + remove);
  EXPECT_TRUE(Holds(899));
  EXPECT_EQ(catalogue_.Find(KeyNumber(5)), std::nullopt);
  EXPECT_EQ(catalogue_.Find(KeyNumber(6)), 106u);
  const ChannelState state = clients_->state(id_);
  EXPECT_TRUE(state.open && state.complete);
  EXPECT_TRUE(state.since.has_value());
  EXPECT_EQ(state.opened, 1u);
  EXPECT_EQ(state.failed, 0u);
  // Told anew, as after it fell behind.
  accelerd->Send(Only(FrameType::kCatalogueBegin) + Put(0, 1));
  EXPECT_TRUE(Holds(1));
  EXPECT_EQ(clients_->state(id_).snapshots, 2u);
  clients_->Remove(id_);
  EXPECT_EQ(catalogue_.size(), 0u);
  EXPECT_TRUE(accelerd->Ends());
  EXPECT_FALSE(clients_->state(id_).open);
}

TEST_F(ChannelClientsTest, WhatThereIsNoRoomForIsCounted) {
  auto accelerd = OpenAccelerd();
  accelerd->Send(Only(FrameType::kCatalogueBegin) + Put(0, 1200));
  EXPECT_TRUE(WaitFor([&] { return clients_->state(id_).no_room == 200; }));
  EXPECT_EQ(catalogue_.size(), 1000u);
}

TEST_F(ChannelClientsTest, ForgetsAllWhenTheConnectionIsLostAndConnectsAgain) {
  for (uint64_t n = 1; n <= 3; n++) {
    auto accelerd = OpenAccelerd();
    accelerd->Send(Only(FrameType::kCatalogueBegin) + Put(0, 50));
    EXPECT_TRUE(Holds(50));
    accelerd->Close();
    EXPECT_THAT(Failure(n), HasSubstr("eof"));
    EXPECT_EQ(clients_->state(id_).opened, n);
  }
}

TEST_F(ChannelClientsTest, ForgetsAllOfOneThatFallsSilent) {
  auto accelerd = OpenAccelerd();
  accelerd->Send(Only(FrameType::kCatalogueBegin) + Put(0, 50) + Only(FrameType::kCatalogueEnd));
  EXPECT_TRUE(Holds(50));
  const auto end = ChannelClock::now() + kDead + kHeartbeat;  // heartbeats are enough
  EXPECT_TRUE(accelerd->Pump([&] { return ChannelClock::now() > end; }));
  EXPECT_EQ(catalogue_.size(), 50u);
  EXPECT_EQ(Failure(), "nothing was heard for 3 s");
  EXPECT_TRUE(OpenAccelerd()->status.ok());
}

TEST_F(ChannelClientsTest, DoesNotWaitForOneThatIsSilentFromTheBeginning) {
  const base::UniqueFd silent = listener_.Accept();
  EXPECT_EQ(Failure(), "no TLS within 2 s");
}

TEST_F(ChannelClientsTest, BelievesNobodyWithoutTheSecret) {
  auto stranger = Accelerd(SecretOf(2));
  EXPECT_FALSE(stranger->Open());
  EXPECT_THAT(Failure(), HasSubstr("TLS: "));
  EXPECT_EQ(clients_->state(id_).opened, 0u);
}

// One in between that ends TLS with a certificate, as it has no key.
TEST_F(ChannelClientsTest, BelievesNoCertificate) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_pubkey(certificate, key);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  ASSERT_EQ(SSL_CTX_use_certificate(context, certificate), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(context, key), 1);
  const base::UniqueFd fd = listener_.Accept();
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd.get());
  // TLS 1.3: the server is done before the client has looked at the certificate.
  (void)SSL_accept(ssl);
  std::string tell;
  AppendHello(&tell);
  tell += Only(FrameType::kCatalogueBegin) + Put(0, 50) + Only(FrameType::kCatalogueEnd);
  (void)SSL_write(ssl, tell.data(), static_cast<int>(tell.size()));
  EXPECT_THAT(Failure(), HasSubstr("certificate verify failed"));
  EXPECT_EQ(clients_->state(id_).snapshots, 0u);
  EXPECT_EQ(clients_->state(id_).opened, 0u);
  SSL_free(ssl);
  SSL_CTX_free(context);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

TEST_F(ChannelClientsTest, GarbageIsAFailure) {
  for (const std::string& text :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string(100000, '\0'),
        std::string("\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03", 11) + std::string(9000, 'x')}) {
    const uint64_t failed = clients_->state(id_).failed;
    const base::UniqueFd fd = listener_.Accept();
    (void)send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    EXPECT_NE(Failure(failed + 1), "");
  }
  EXPECT_TRUE(OpenAccelerd()->status.ok());
}

TEST_F(ChannelClientsTest, WhoBreaksTheProtocolIsLeft) {
  const std::string begin = Only(FrameType::kCatalogueBegin);
  const std::vector<std::pair<std::string, std::string>> bad = {
      {Put(0, 1), "has no beginning"},
      {Only(FrameType::kCatalogueEnd), "has no beginning"},
      {begin + std::string("\0\x11\0\x15", 4) + std::string(21, 'k'), "type 17 with 21 bytes"},
      {begin + Only(FrameType::kCatalogueRemove), "type 18 with 0 bytes"},
      {begin + Put(0, 9) + std::string("\0\x11\xff\xff", 4), "a frame of 65535 bytes"}};
  uint64_t n = 0;
  for (const auto& [frames, error] : bad) {
    auto accelerd = OpenAccelerd();
    accelerd->Send(frames);
    EXPECT_THAT(Failure(++n), HasSubstr(error));
  }
}

TEST_F(ChannelClientsTest, SeveralOriginsAreOneThreadsWork) {
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::unique_ptr<Catalogue>> catalogues;
  std::vector<std::unique_ptr<Peer>> accelerds;
  for (uint8_t i = 0; i < 8; i++) {
    listeners.push_back(std::make_unique<Listener>());
    catalogues.push_back(std::make_unique<Catalogue>(100));
    ASSERT_TRUE(
        clients_->Add({"127.0.0.1", listeners[i]->port(), SecretOf(i)}, *catalogues[i]).ok());
    accelerds.push_back(
        std::make_unique<Peer>(End::kAccelerd, SecretOf(i), listeners[i]->Accept()));
    ASSERT_TRUE(accelerds[i]->Open()) << accelerds[i]->status;
    accelerds[i]->Send(Only(FrameType::kCatalogueBegin) + Put(0, i + 1u));
  }
  for (uint8_t i = 0; i < 8; i++)
    EXPECT_TRUE(WaitFor([&] { return catalogues[i]->size() == i + 1u; }));
  clients_.reset();
  for (const auto& catalogue : catalogues) EXPECT_EQ(catalogue->size(), 0u);
}

TEST_F(ChannelClientsTest, RefusesNames) {
  EXPECT_TRUE(
      absl::IsInvalidArgument(clients_->Add({"origin.test", 1, SecretOf(1)}, catalogue_).status()));
}

// A fixed pause of 100 ms would be 20 tries in 2 s; no pause at all, thousands.
TEST(ChannelClientsPauseTest, TriesLessAndLessOften) {
  uint16_t nobody;
  {
    const Listener listener;
    nobody = listener.port();
  }
  Catalogue catalogue(10);
  auto clients = *ChannelClients::Start();
  const auto begin = ChannelClock::now();
  const auto id = *clients->Add({"127.0.0.1", nobody, SecretOf(1)}, catalogue);
  ASSERT_TRUE(WaitFor([&] { return clients->state(id).failed >= 2; }));
  EXPECT_THAT(clients->state(id).last_error, HasSubstr("refused"));
  while (ChannelClock::now() < begin + milliseconds(2000))
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_LE(clients->state(id).failed, 8u);
  Listener listener(nobody);  // it is there at last
  Peer accelerd(End::kAccelerd, SecretOf(1), listener.Accept());
  EXPECT_TRUE(accelerd.Open()) << accelerd.status;
}

}  // namespace
}  // namespace wb::link
