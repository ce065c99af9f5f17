// SPDX-License-Identifier: Apache-2.0
// Tickets: good for every store with the same keys, and only under the name and certificate they
// were made with.
#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

class TlsResumptionTest : public TlsTest, public testing::WithParamInterface<int> {
 protected:
  // Of a first connection to `host`.
  Pair First(const std::string& host = "www.example.com") {
    Pair pair = Connected({.host = host, .version = GetParam()});
    EXPECT_FALSE(pair.server->resumed());
    TellTicket(pair);
    return pair;
  }
  bool Resumes(SSL_SESSION* session, const std::string& host = "www.example.com") {
    const Pair pair = Connected({.host = host, .version = GetParam(), .resume = session});
    EXPECT_EQ(pair.server->server_name(), host);
    EXPECT_EQ(pair.server->resumed(), SSL_session_reused(pair.client->ssl()) == 1);
    return pair.server->resumed();
  }
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsResumptionTest,
                         testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), [](const auto& info) {
                           return info.param == TLS1_2_VERSION ? "12" : "13";
                         });

TEST_P(TlsResumptionTest, TicketIsGoodAtOnceAndAgain) {
  const Pair first = First();
  EXPECT_TRUE(Resumes(first.client->session()));
  EXPECT_TRUE(Resumes(first.client->session()));
}

TEST_P(TlsResumptionTest, SurvivesReloadOfTheSameCertificate) {
  const Pair first = First();
  store_->Replace(Load({shop_, www_}));
  EXPECT_TRUE(Resumes(first.client->session()));
}

TEST_P(TlsResumptionTest, EndsWithTheCertificate) {
  const Pair first = First();
  Write("www", www_.names, ca_.Issue({"www.example.com", "example.com"}));
  store_->Replace(Load({www_, shop_}));
  EXPECT_FALSE(Resumes(first.client->session()));
}

TEST_P(TlsResumptionTest, AnotherNameIsAFullHandshake) {
  const Pair first = First();
  EXPECT_FALSE(Resumes(first.client->session(), "example.com"));  // the same certificate
  Offer offer{.host = "shop.test", .version = GetParam(), .resume = first.client->session()};
  EXPECT_FALSE(Connected(offer).server->resumed());
}

TEST_P(TlsResumptionTest, AnotherStoreWithTheSameKeysResumes) {
  const Pair first = First();
  const auto before = std::move(store_);
  store_ = *CertificateStore::Make(tickets_, Load({www_, shop_}));
  EXPECT_TRUE(Resumes(first.client->session()));
}

TEST_P(TlsResumptionTest, SuccessorWithImportedKeysResumesAndAnotherDoesNot) {
  const Pair first = First();
  const auto before = std::move(store_);
  auto others = *TicketKeys::Make();
  store_ = *CertificateStore::Make(others, Load({www_, shop_}));
  EXPECT_FALSE(Resumes(first.client->session()));
  ASSERT_TRUE(others->Import(tickets_->Export()).ok());
  EXPECT_TRUE(Resumes(first.client->session()));
}

TEST_P(TlsResumptionTest, OldKeyRenewsTheTicketAndThenExpires) {
  const auto before = std::move(store_);
  TicketKeys::Clock::time_point now = TicketKeys::Clock::now();
  store_ = *CertificateStore::Make(*TicketKeys::Make([&] { return now; }), Load({www_, shop_}));
  const Pair first = First();
  now += TicketKeys::kPeriod;
  Pair second = Connected({.version = GetParam(), .resume = first.client->session()});
  EXPECT_TRUE(second.server->resumed());
  TellTicket(second);  // a new one, of the new key
  now += TicketKeys::kPeriod * 2;
  EXPECT_FALSE(Resumes(first.client->session()));
  EXPECT_TRUE(Resumes(second.client->session()));
}

TEST_P(TlsResumptionTest, NoEarlyDataIsOffered) {
  const Pair first = First();
  EXPECT_EQ(SSL_SESSION_get_max_early_data(first.client->session()), 0U);
}

TEST_P(TlsResumptionTest, ForgedTicketIsAFullHandshake) {
  const Pair first = First();
  // i2d and d2i of a session whose ticket has one bit turned.
  unsigned char* der = nullptr;
  const int size = i2d_SSL_SESSION(first.client->session(), &der);
  const unsigned char* ticket = nullptr;
  size_t ticket_size = 0;
  SSL_SESSION_get0_ticket(first.client->session(), &ticket, &ticket_size);
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  const size_t at = text.find(std::string(reinterpret_cast<const char*>(ticket), ticket_size));
  ASSERT_NE(at, std::string::npos);
  for (const size_t place : {size_t{0}, size_t{20}, ticket_size / 2, ticket_size - 1}) {
    std::string forged = text;
    forged[at + place] = static_cast<char>(forged[at + place] ^ 1);
    const auto* from = reinterpret_cast<const unsigned char*>(forged.data());
    SSL_SESSION* session = d2i_SSL_SESSION(nullptr, &from, size);
    ASSERT_NE(session, nullptr);
    EXPECT_FALSE(Resumes(session)) << place;
    SSL_SESSION_free(session);
  }
}

class TicketKeysTest : public testing::Test {
 protected:
  TicketKeys::Clock::time_point now_ = TicketKeys::Clock::now();
  std::shared_ptr<TicketKeys> keys_ = *TicketKeys::Make([this] { return now_; });
};

TEST_F(TicketKeysTest, OneHourSealsAndThreeOpen) {
  const auto first = keys_->Current();
  now_ += TicketKeys::kPeriod - std::chrono::seconds(1);
  EXPECT_EQ(keys_->Current(), first);
  now_ += std::chrono::seconds(1);
  const auto second = keys_->Current();
  EXPECT_NE(second->name, first->name);
  EXPECT_NE(second->cipher, first->cipher);
  EXPECT_NE(second->mac, first->mac);
  now_ += TicketKeys::kPeriod;
  EXPECT_EQ(keys_->Find(first->name.data()), first);
  now_ += TicketKeys::kPeriod;
  EXPECT_EQ(keys_->Find(first->name.data()), nullptr);
  EXPECT_EQ(keys_->Find(second->name.data()), second);
}

TEST_F(TicketKeysTest, QuietHoursEndKeysToo) {
  const auto first = keys_->Current();
  now_ += std::chrono::hours(24);
  EXPECT_EQ(keys_->Find(first->name.data()), nullptr);
}

TEST_F(TicketKeysTest, ImportTakesWhatExportGave) {
  const auto first = keys_->Current();
  now_ += TicketKeys::kPeriod;
  const auto second = keys_->Current();
  const std::string exported = keys_->Export();
  const auto heir = *TicketKeys::Make([this] { return now_; });
  ASSERT_TRUE(heir->Import(exported).ok());
  EXPECT_EQ(heir->Current()->name, second->name);
  EXPECT_EQ(heir->Current()->cipher, second->cipher);
  EXPECT_EQ(heir->Current()->mac, second->mac);
  ASSERT_NE(heir->Find(first->name.data()), nullptr);
  EXPECT_EQ(heir->Export(), exported);
  now_ += TicketKeys::kPeriod * 2;  // their ages went with them
  EXPECT_EQ(heir->Find(first->name.data()), nullptr);
  EXPECT_NE(heir->Find(second->name.data()), nullptr);
}

TEST_F(TicketKeysTest, ImportRefusesAnythingElse) {
  now_ += TicketKeys::kPeriod;
  const auto ours = keys_->Current();
  const std::string good = keys_->Export();
  std::string ahead = good;
  ahead[ahead.size() - 1] = '\x7f';  // made in the far future
  std::string before_boot = good;
  before_boot[before_boot.size() - 1] = '\x80';
  for (const std::string& bad : {std::string(), std::string("wb-tickets-1"), good.substr(1),
                                 good + "x", good.substr(0, good.size() - 1),
                                 good + good.substr(12) + good.substr(12), ahead, before_boot}) {
    EXPECT_EQ(keys_->Import(bad).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(keys_->Current(), ours);
  }
  now_ += TicketKeys::kPeriod * 3;
  EXPECT_FALSE(keys_->Import(good).ok());
}

}  // namespace
}  // namespace wb::tls
