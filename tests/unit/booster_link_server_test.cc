// SPDX-License-Identifier: Apache-2.0
// accelerd's end of the channel, with good and bad boosters over the loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "booster/link/channel_client.h"
#include "booster/link/channel_server.h"
#include "tests/unit/booster_link_peers.h"

namespace wb::link {
namespace {

using testing::HasSubstr;

constexpr ChannelServer::Address kLoopback = {0, 0, 0xffff0000, 0x0100007f};

class ChannelServerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.Start("127.0.0.1", 0).ok());
    ASSERT_TRUE(server_.SetPeers({kLoopback}, SecretOf(1)).ok());
  }
  std::unique_ptr<Peer> Booster(const Secret& secret = SecretOf(1), int buffer = 0) {
    return std::make_unique<Peer>(End::kBoosterd, secret, ConnectTo(server_.port(), buffer));
  }
  // Keys 0 to n - 1, of slots from 1 on.
  void Hold(uint32_t n, uint32_t from = 0) {
    for (uint32_t i = from; i < n; i++) server_.Set(KeyNumber(i), i + 1, 100 + i);
  }

  std::atomic<bool> answered_ = true;
  std::atomic<uint64_t> end_of_slot_1_ = UINT64_MAX;
  ChannelServer server_{[this](uint32_t slot) {
    return !answered_ ? 0 : slot == 1 ? end_of_slot_1_.load() : UINT64_MAX;
  }};
};

TEST_F(ChannelServerTest, TellsAllAndThenChanges) {
  Hold(3000);
  auto booster = Booster();
  ASSERT_TRUE(booster->Pump([&] { return booster->ends == 1; })) << booster->status;
  ASSERT_TRUE(booster->Pump([&] { return booster->known.size() == 3000; }));
  EXPECT_EQ(booster->known[17], 117u);
  server_.Drop(KeyNumber(17));
  Hold(3001, 3000);
  EXPECT_TRUE(
      booster->Pump([&] { return booster->known.size() == 3000 && !booster->known.contains(17); }));
  EXPECT_EQ(booster->begins, 1);
  EXPECT_TRUE(WaitFor([&] { return server_.stats().sent_bytes > 3001 * kHeldBytes; }));
  const ChannelServer::Stats stats = server_.stats();
  EXPECT_EQ(stats.connections, 1u);
  EXPECT_EQ(stats.entries, 3000u);
  EXPECT_EQ(stats.snapshots, 1u);
  booster->Close();
  EXPECT_TRUE(WaitFor([&] { return server_.stats().connections == 0; }));
}

TEST_F(ChannelServerTest, ManyChangesAreOneFrame) {
  Hold(500);
  auto booster = Booster();
  ASSERT_TRUE(booster->Pump([&] { return booster->known.size() == 500; }));
  booster->frames.clear();
  for (uint32_t i = 0; i < 400; i++) server_.Drop(KeyNumber(i));
  ASSERT_TRUE(booster->Pump([&] { return booster->known.size() == 100; }));
  // Those that a busy machine tears apart included.
  EXPECT_LT(std::ranges::count(booster->frames, FrameType::kCatalogueRemove), 20);
}

TEST_F(ChannelServerTest, WhatIsPurgedByACounterOrEndsIsRemoved) {
  end_of_slot_1_ = static_cast<uint64_t>(
      (ChannelClock::now() + milliseconds(300)).time_since_epoch() / std::chrono::nanoseconds(1));
  Hold(100);
  auto booster = Booster();
  ASSERT_TRUE(booster->Pump([&] { return booster->known.size() == 100; }));
  EXPECT_TRUE(booster->Pump([&] { return !booster->known.contains(0); }));
  EXPECT_EQ(booster->known.size(), 99u);
  answered_ = false;
  server_.Recheck();
  EXPECT_TRUE(booster->Pump([&] { return booster->known.empty(); }));
  answered_ = true;  // without a word: the comparison that backs it up
  EXPECT_TRUE(booster->Pump([&] { return booster->known.size() == 99; }));
  EXPECT_EQ(booster->begins, 1);
}

TEST_F(ChannelServerTest, HeartbeatsGoBothWays) {
  auto booster = Booster();
  ASSERT_TRUE(booster->Open());
  // Longer than a channel may be silent.
  const auto end = ChannelClock::now() + kDead + kHeartbeat;
  EXPECT_TRUE(booster->Pump([&] { return ChannelClock::now() > end; })) << booster->status;
  EXPECT_EQ(server_.stats().connections, 1u);
  // And one that says nothing any more is dead.
  EXPECT_TRUE(WaitFor([&] { return server_.stats().connections == 0; }));
}

TEST_F(ChannelServerTest, WithoutTheSecretNothingIsSaid) {
  Hold(10);
  auto stranger = Booster(SecretOf(2));
  EXPECT_FALSE(stranger->Open());
  EXPECT_TRUE(absl::IsUnauthenticated(stranger->status)) << stranger->status;
  EXPECT_EQ(stranger->begins, 0);
  EXPECT_TRUE(WaitFor([&] { return server_.stats().refused_handshake == 1; }));
  auto booster = Booster();
  EXPECT_TRUE(booster->Pump([&] { return booster->known.size() == 10; }));
  EXPECT_TRUE(WaitFor([&] { return server_.stats().snapshots == 1; }));
}

TEST_F(ChannelServerTest, OtherAddressesAreClosedAtOnce) {
  ASSERT_TRUE(server_.SetPeers({{1, 2, 3, 4}}, SecretOf(1)).ok());
  const base::UniqueFd fd = ConnectTo(server_.port());
  EXPECT_TRUE(WaitFor([&] { return Closed(fd.get()); }));
  EXPECT_TRUE(WaitFor([&] { return server_.stats().refused_address == 1; }));
  ASSERT_TRUE(server_.SetPeers({kLoopback}, std::nullopt).ok());  // no secret: nobody
  EXPECT_FALSE(Booster()->Open());
  EXPECT_TRUE(WaitFor([&] { return server_.stats().refused_address == 2; }));
}

TEST_F(ChannelServerTest, SilentConnectionsAreFewAndShort) {
  Hold(10);
  std::vector<base::UniqueFd> silent;
  for (size_t i = 0; i < 3 * kMaxOfAddress; i++) silent.push_back(ConnectTo(server_.port()));
  auto booster = Booster();  // displaces one of them
  EXPECT_TRUE(booster->Pump([&] { return booster->known.size() == 10; }));
  const auto open = [&] {
    return std::ranges::count_if(silent, [](const auto& fd) { return !Closed(fd.get()); });
  };
  EXPECT_LE(open(), static_cast<long>(kMaxOfAddress) - 1);
  EXPECT_TRUE(booster->Pump([&] { return open() == 0; }));
  EXPECT_TRUE(WaitFor([&] {
    const ChannelServer::Stats stats = server_.stats();
    return stats.refused_limit + stats.refused_handshake == 3 * kMaxOfAddress;
  }));
  EXPECT_GT(server_.stats().refused_limit, 2 * kMaxOfAddress);
  EXPECT_EQ(server_.stats().connections, 1u);
}

TEST_F(ChannelServerTest, WhoHasTheSecretIsNotDisplaced) {
  std::vector<std::unique_ptr<Peer>> boosters;
  for (size_t i = 0; i < kMaxOfAddress; i++) {
    boosters.push_back(Booster());
    ASSERT_TRUE(boosters.back()->Open());
  }
  EXPECT_TRUE(WaitFor([&] { return server_.stats().connections == kMaxOfAddress; }));
  EXPECT_FALSE(Booster()->Open());
  EXPECT_TRUE(WaitFor([&] { return server_.stats().refused_limit == 1; }));
  EXPECT_EQ(server_.stats().connections, kMaxOfAddress);
}

TEST_F(ChannelServerTest, GarbageIsRefused) {
  Hold(10);
  const std::vector<std::string> bad = {
      "GET / HTTP/1.1\r\n\r\n", std::string(5000, '\0'), std::string(5000, '\xff'),
      // A ClientHello that never ends.
      std::string("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03", 11) + std::string(9000, 'x')};
  std::vector<base::UniqueFd> fds;
  for (const std::string& text : bad) {
    fds.push_back(ConnectTo(server_.port()));
    (void)send(fds.back().get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  for (const base::UniqueFd& fd : fds) EXPECT_TRUE(WaitFor([&] { return Closed(fd.get()); }));
  EXPECT_TRUE(WaitFor([&] { return server_.stats().refused_handshake == bad.size(); }));
  auto booster = Booster();
  EXPECT_TRUE(booster->Pump([&] { return booster->known.size() == 10; }));
}

TEST_F(ChannelServerTest, OtherKindsOfTlsAreRefused) {
  for (const bool old : {false, true}) {
    const base::UniqueFd fd = ConnectTo(server_.port());
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    if (old) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL* ssl = SSL_new(context);
    SSL_set_fd(ssl, fd.get());
    EXPECT_NE(SSL_connect(ssl), 1) << old;
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  EXPECT_TRUE(WaitFor([&] { return server_.stats().refused_handshake == 2; }));
}

TEST_F(ChannelServerTest, WhoBreaksTheProtocolIsCutOff) {
  auto booster = Booster();
  ASSERT_TRUE(booster->Open());
  booster->Send(
      std::string("\x77\x77\x00\x03"
                  "abc",
                  7));  // of a later version
  EXPECT_TRUE(booster->Pump([&] { return booster->begins == 1; }));
  booster->Send(std::string("\x00\x02\xff\xff", 4));
  EXPECT_TRUE(booster->Ends());
  EXPECT_TRUE(WaitFor([&] { return server_.stats().connections == 0; }));
}

// One that reads nothing costs a buffer, and is told all anew when it reads on.
TEST_F(ChannelServerTest, ASlowReaderBeginsAnew) {
  Hold(2000);
  auto slow = Booster(SecretOf(1), 4096), quick = Booster();
  ASSERT_TRUE(slow->Pump([&] { return slow->known.size() == 2000; }));
  ASSERT_TRUE(quick->Pump([&] { return quick->known.size() == 2000; }));
  // More than sockets hold, and more than the log does.
  for (uint32_t round = 1; round <= 60; round++) {
    for (uint32_t i = 0; i < 2000; i++) server_.Set(KeyNumber(i), i + 1, 1000 * round + i);
    ASSERT_TRUE(quick->Pump([&] { return quick->known[1999] == 1000 * round + 1999; }));
  }
  EXPECT_EQ(quick->begins, 1);
  EXPECT_TRUE(slow->Pump([&] { return slow->known == quick->known; })) << slow->status;
  EXPECT_GT(slow->begins, 1);
}

TEST_F(ChannelServerTest, AnotherSecretOrAddressEndsConnections) {
  auto booster = Booster();
  ASSERT_TRUE(booster->Open());
  ASSERT_TRUE(server_.SetPeers({kLoopback, {1, 2, 3, 4}}, SecretOf(1)).ok());
  auto other = Booster();
  ASSERT_TRUE(other->Open());
  booster->Turn();
  EXPECT_TRUE(booster->status.ok()) << "the same secret and address";
  ASSERT_TRUE(server_.SetPeers({kLoopback}, SecretOf(2)).ok());
  EXPECT_TRUE(booster->Ends());
  EXPECT_FALSE(Booster(SecretOf(1))->Open());
  auto next = Booster(SecretOf(2));
  ASSERT_TRUE(next->Open());
  ASSERT_TRUE(server_.SetPeers({{1, 2, 3, 4}}, SecretOf(2)).ok());
  EXPECT_TRUE(next->Ends());
}

TEST(ChannelServerStartTest, OneListenerServesBothFamilies) {
  ChannelServer server([](uint32_t) { return UINT64_MAX; });
  ASSERT_TRUE(server.Start("::", 0).ok());
  ASSERT_TRUE(server.SetPeers({kLoopback}, SecretOf(1)).ok());
  Peer booster(End::kBoosterd, SecretOf(1), ConnectTo(server.port()));
  EXPECT_TRUE(booster.Open()) << booster.status;
}

TEST(ChannelServerStartTest, SaysWhereItCannotListen) {
  Listener taken;
  ChannelServer server([](uint32_t) { return UINT64_MAX; });
  EXPECT_THAT(server.Start("127.0.0.1", taken.port()).message(),
              HasSubstr("cannot listen on the catalogue's address 127.0.0.1 port"));
  EXPECT_TRUE(absl::IsInvalidArgument(server.Start("example.com", 1)));
}

// Both real ends.
TEST_F(ChannelServerTest, AndTheClientAgree) {
  Hold(5000);
  Catalogue catalogue(10000);
  auto clients = *ChannelClients::Start();
  const auto id = *clients->Add({"127.0.0.1", server_.port(), SecretOf(1)}, catalogue);
  ASSERT_TRUE(WaitFor([&] { return catalogue.size() == 5000; }));
  EXPECT_TRUE(WaitFor([&] { return clients->state(id).complete; }));
  EXPECT_EQ(catalogue.Find(KeyNumber(4999)), 5099u);
  server_.Drop(KeyNumber(4999));
  EXPECT_TRUE(WaitFor([&] { return !catalogue.Find(KeyNumber(4999)); }));
  server_.Stop();
  EXPECT_TRUE(WaitFor([&] { return catalogue.size() == 0; }));
  EXPECT_FALSE(clients->state(id).open);
}

}  // namespace
}  // namespace wb::link
