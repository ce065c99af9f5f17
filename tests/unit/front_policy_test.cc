// SPDX-License-Identifier: Apache-2.0
// Filters and quotas of a domain: addresses, paths, and what is admitted when.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "booster/front/client_address.h"
#include "booster/front/policy.h"

namespace wb::front {
namespace {

Address At(const std::string& text) { return Address::Parse(text).value(); }

TEST(FrontNetworkTest, KeepsBothFamiliesInOneForm) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(0xc0000201);
  EXPECT_EQ(Address::From(reinterpret_cast<sockaddr*>(&v4)), At("192.0.2.1"));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  for (const char* text : {"::ffff:192.0.2.1", "2001:db8::1"}) {
    ASSERT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    EXPECT_EQ(Address::From(reinterpret_cast<sockaddr*>(&v6)), At(text));
  }
  EXPECT_EQ(At("::ffff:192.0.2.1"), At("192.0.2.1"));
  EXPECT_EQ(At("::ffff:192.0.2.1").ToString(), "192.0.2.1");
  EXPECT_EQ(At("2001:DB8:0::1").ToString(), "2001:db8::1");
  const sockaddr other{AF_UNIX, {}};
  EXPECT_FALSE(Address::From(&other));
  for (const std::string text : {"", "1.2.3", "1.2.3.4 ", "::1%lo", "[::1]", "01.2.3.4"})
    EXPECT_FALSE(Address::Parse(text)) << text;
  EXPECT_FALSE(Address::Parse(std::string("1.2.3.4\0", 8)));
}

TEST(FrontNetworkTest, PrefixesHoldTheirAddresses) {
  const struct {
    const char* network;
    std::vector<const char*> in, out;
  } cases[] = {
      {"192.0.2.0/24", {"192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9"}, {"192.0.3.0", "::1"}},
      {"10.2.0.0/15", {"10.2.0.0", "10.3.255.255"}, {"10.1.255.255", "10.4.0.0"}},
      {"192.0.2.7", {"192.0.2.7"}, {"192.0.2.6", "192.0.2.8"}},
      {"0.0.0.0/0", {"1.2.3.4", "255.255.255.255"}, {"::1", "2001:db8::"}},
      {"::/0", {"::1", "2001:db8::"}, {"1.2.3.4", "0.0.0.0"}},
      {"2001:db8::/33", {"2001:db8:7fff::1"}, {"2001:db8:8000::"}},
      {"2001:db8::/65", {"2001:db8::7fff:0:0:1"}, {"2001:db8::8000:0:0:0"}},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<Network> network = ParseNetwork(c.network);
    ASSERT_TRUE(network.ok()) << network.status();
    EXPECT_EQ(network->ToString(), c.network);
    const AddressSet set({"203.0.113.0/24", "2001:db8:ffff::/48", c.network});
    for (const char* in : c.in) {
      EXPECT_TRUE(network->Contains(At(in))) << c.network << " " << in;
      EXPECT_TRUE(set.Contains(At(in))) << c.network << " " << in;
    }
    for (const char* out : c.out) {
      EXPECT_FALSE(network->Contains(At(out))) << c.network << " " << out;
      EXPECT_FALSE(set.Contains(At(out))) << c.network << " " << out;
    }
  }
}

// The set against Network::Contains(), which shares nothing with it.
TEST(FrontNetworkTest, SetsAgreeWithTheirNetworks) {
  std::mt19937 random(1);
  int inside = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Network> networks;
    std::vector<std::string> texts;
    for (int i = 0; i < 20; ++i) {
      Address base = At(i % 2 != 0 ? "10.0.0.0" : "2001:db8::");
      for (int k = 13; k < 16; ++k) base.bytes[k] = static_cast<uint8_t>(random() & 3);
      const int bits = static_cast<int>(112 + random() % 17);
      networks.push_back({base.Prefix(bits), bits});
      texts.push_back(networks.back().ToString());
    }
    const AddressSet set(texts);
    for (int i = 0; i < 50; ++i) {
      Address address = At(i % 2 != 0 ? "10.0.0.0" : "2001:db8::");
      for (int k = 13; k < 16; ++k) address.bytes[k] = static_cast<uint8_t>(random() & 7);
      bool any = false;
      for (const Network& network : networks) any |= network.Contains(address);
      EXPECT_EQ(set.Contains(address), any) << address.ToString();
      inside += any ? 1 : 0;
    }
  }
  EXPECT_GT(inside, 1000);
  EXPECT_LT(inside, 14000);
}

TEST(FrontClientAddressTest, BelievesTrustedProxiesOnly) {
  const AddressSet trusted({"10.0.0.0/8", "2001:db8::/32"});
  const struct {
    const char *peer, *forwarded_for, *client;
  } cases[] = {
      {"192.0.2.1", "203.0.113.1", "192.0.2.1"},
      {"10.0.0.1", "", "10.0.0.1"},
      {"10.0.0.1", "203.0.113.1", "203.0.113.1"},
      {"10.0.0.1", "1.2.3.4, 203.0.113.1", "203.0.113.1"},
      {"10.0.0.1", "1.2.3.4, 203.0.113.1 ,10.0.0.2,\t2001:db8::1", "203.0.113.1"},
      {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
      {"2001:db8::1", ",203.0.113.1,,", "203.0.113.1"},
      {"10.0.0.1", "203.0.113.1:4711", "203.0.113.1"},
      {"10.0.0.1", "[2001:dba::1]:4711", "2001:dba::1"},
      {"10.0.0.1", "2001:dba::1", "2001:dba::1"},
      {"10.0.0.1", "203.0.113.1, unknown", "10.0.0.1"},
      {"10.0.0.1", "203.0.113.1, 10.0.0.2, _hidden, 10.0.0.4", "10.0.0.4"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(ClientOf(At(c.peer), trusted, c.forwarded_for).ToString(), c.client)
        << c.peer << " " << c.forwarded_for;
  EXPECT_EQ(ClientOf(At("10.0.0.1"), AddressSet(), "203.0.113.1"), At("10.0.0.1"));
}

TEST(FrontPathRulesTest, NoSpellingGetsRound) {
  const PathRules rules({"/admin/", "/a b"});
  for (const char* path :
       {"/admin/", "/admin/x", "//admin/x", "/%61dmin/x", "/%61%64%6D%69%6e/", "/x/../admin/x",
        "/./admin/x", "/admin//x", "/x/%2e%2e/admin/", "/x/%2E./admin/x", "/admin%2Fx",
        "/../../admin/x", "/a%20b", "/a%20bc", "/x/y/.././../admin/x", "/admin/../x"}) {
    EXPECT_TRUE(rules.Match(path)) << path;
  }
  for (const char* path : {"/", "/admin", "/administrator", "/x/admin/", "/%2561dmin/x", "/a", "*",
                           "/ADMIN/", "/x/../y", "/%zzadmin/"}) {
    EXPECT_FALSE(rules.Match(path)) << path;
  }
  EXPECT_TRUE(PathRules({"/caf%C3%A9/"}).Match("/caf%c3%a9/x"));
  EXPECT_FALSE(PathRules().Match("/admin/"));
}

TEST(FrontPathRulesTest, ResolvesPaths) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/", "/"},          {"/a/b", "/a/b"},   {"/a/b/", "/a/b/"},
      {"/a/./b", "/a/b"},  {"/a/../b", "/b"},  {"/../../b", "/b"},
      {"/a/..", "/"},      {"/a/b/..", "/a/"}, {"//a///b", "/a/b"},
      {"/a/%2e%2E/", "/"}, {"/a/.", "/a/"},    {"/a%", "/a%"},
      {"/a%4", "/a%4"},    {"/...", "/..."},   {"/a/b/../../c/d/..", "/c/"}};
  for (const auto& [path, resolved] : cases) EXPECT_EQ(ResolvePath(path), resolved) << path;
}

class FrontPolicyTest : public testing::Test {
 protected:
  FrontPolicyTest() { domain_.name = "a.test"; }
  Policy::Verdict Admit(Policy& policy, const std::string& client = "192.0.2.1",
                        std::string_view method = "GET", std::string_view path = "/") {
    return policy.Admit(At(client), method, path, now_);
  }
  int Status(Policy& policy, const std::string& client = "192.0.2.1") {
    return Admit(policy, client).refusal.status;
  }

  ClientTable clients_{1024};
  Clock::time_point now_{seconds(1000)};
  Domain domain_;
};

TEST_F(FrontPolicyTest, AdmitsAllWithoutRules) {
  Policy policy(domain_, clients_);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Status(policy), 0);
  EXPECT_EQ(policy.allow(), "");
}

TEST_F(FrontPolicyTest, Filters) {
  domain_.deny_clients = {"198.51.100.0/24", "2001:db8::/32"};
  domain_.deny_paths = {"/admin/"};
  domain_.allow_methods = {"GET", "HEAD"};
  Policy policy(domain_, clients_);
  EXPECT_EQ(Admit(policy, "198.51.100.7").refusal.status, 403);
  EXPECT_EQ(Admit(policy, "2001:db8::7").refusal.status, 403);
  EXPECT_EQ(Admit(policy, "192.0.2.1", "GET", "/%61dmin/").refusal.status, 403);
  EXPECT_EQ(Admit(policy, "192.0.2.1", "POST").refusal.status, 405);
  EXPECT_EQ(Admit(policy, "192.0.2.1", "get").refusal.status, 405);
  EXPECT_EQ(Admit(policy, "192.0.2.1", "HEAD").refusal.status, 0);
  EXPECT_EQ(policy.allow(), "GET, HEAD");
}

TEST_F(FrontPolicyTest, HoldsTheRatesAndSaysWhenToComeAgain) {
  domain_.quota = {.rate = 1, .burst = 3};
  Policy policy(domain_, clients_);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Status(policy), 0);
  Policy::Verdict verdict = Admit(policy);
  EXPECT_EQ(verdict.refusal.status, 503);
  EXPECT_EQ(verdict.retry_after_s, 1U);
  now_ += milliseconds(950);
  EXPECT_EQ(Status(policy), 503);
  now_ += milliseconds(50);
  EXPECT_EQ(Status(policy), 0);
  EXPECT_EQ(Status(policy), 503);
}

// What a large burst has used up is not given back by a reload that takes the burst away.
TEST_F(FrontPolicyTest, SaysHowLongToWait) {
  domain_.quota = {.rate = 1, .burst = 100};
  Policy before(domain_, clients_);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Status(before), 0);
  domain_.quota.burst = 10;
  Policy after(domain_, clients_, &before);
  EXPECT_EQ(Admit(after).retry_after_s, 91U);
  now_ += milliseconds(90100);
  EXPECT_EQ(Admit(after).retry_after_s, 1U);
  now_ += seconds(1);
  EXPECT_EQ(Status(after), 0);
}

TEST_F(FrontPolicyTest, AClientAtItsLimitTakesNothingFromOthers) {
  domain_.quota = {.rate = 10, .burst = 10};
  domain_.client_quota = {.rate = 2, .burst = 4};
  Policy policy(domain_, clients_);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Status(policy), i < 4 ? 0 : 429) << i;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Status(policy, "192.0.2.2"), 0);
  EXPECT_EQ(Status(policy, "192.0.2.3"), 0);
  EXPECT_EQ(Status(policy, "192.0.2.3"), 0);
  EXPECT_EQ(Status(policy, "192.0.2.3"), 503);
  now_ += seconds(10);
  EXPECT_EQ(Status(policy, "192.0.2.1"), 0);
}

TEST_F(FrontPolicyTest, AnIpv6ClientIsA64) {
  domain_.client_quota = {.rate = 1, .burst = 2};
  Policy policy(domain_, clients_);
  EXPECT_EQ(Status(policy, "2001:db8::1"), 0);
  EXPECT_EQ(Status(policy, "2001:db8::ffff:ffff:ffff:ffff"), 0);
  EXPECT_EQ(Status(policy, "2001:db8::3"), 429);
  EXPECT_EQ(Status(policy, "2001:db8:0:1::1"), 0);
}

TEST_F(FrontPolicyTest, HoldsWhatIsUnderWay) {
  domain_.quota.concurrent = 3;
  domain_.client_quota.concurrent = 2;
  std::optional<Policy> policy(std::in_place, domain_, clients_);
  Policy::Verdict first = Admit(*policy), second = Admit(*policy);
  EXPECT_EQ(first.refusal.status, 0);
  EXPECT_EQ(second.refusal.status, 0);
  Policy::Verdict third = Admit(*policy);
  EXPECT_EQ(third.refusal.status, 429);
  EXPECT_EQ(third.retry_after_s, 1U);
  Policy::Verdict other = Admit(*policy, "192.0.2.2");
  EXPECT_EQ(other.refusal.status, 0);
  EXPECT_EQ(Status(*policy, "192.0.2.3"), 503);
  first.admission = {};
  EXPECT_EQ(Status(*policy, "192.0.2.3"), 0);  // ends at once
  Policy::Admission moved = std::move(second.admission);
  second.admission = {};
  Policy::Verdict again = Admit(*policy);
  EXPECT_EQ(again.refusal.status, 0);
  EXPECT_EQ(Status(*policy, "192.0.2.3"), 503);
  moved = std::move(again.admission);
  EXPECT_EQ(Status(*policy, "192.0.2.3"), 0);
  // A reload: what is under way counts on, and may outlive the policy that admitted it.
  Policy next(domain_, clients_, &*policy);
  policy.reset();
  Policy::Verdict more = Admit(next, "192.0.2.3");
  EXPECT_EQ(more.refusal.status, 0);
  EXPECT_EQ(Status(next, "192.0.2.4"), 503);
  moved = {};
  EXPECT_EQ(Status(next, "192.0.2.4"), 0);
}

// A request that the domain refuses must give the client's place back.
TEST_F(FrontPolicyTest, RefusalsLeaveNothingUnderWay) {
  domain_.quota = {.rate = 1, .burst = 1, .concurrent = 2};
  domain_.client_quota.concurrent = 1;
  Policy policy(domain_, clients_);
  EXPECT_EQ(Status(policy), 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Status(policy), 503);
  now_ += seconds(1);
  const Policy::Verdict verdict = Admit(policy);
  EXPECT_EQ(verdict.refusal.status, 0);
  EXPECT_EQ(Status(policy), 429);
}

TEST_F(FrontPolicyTest, ClientsQuotasAreOfEachDomain) {
  domain_.client_quota = {.rate = 1, .burst = 1};
  Policy a(domain_, clients_);
  domain_.name = "b.test";
  Policy b(domain_, clients_);
  EXPECT_EQ(Status(a), 0);
  EXPECT_EQ(Status(b), 0);
  EXPECT_EQ(Status(a), 429);
  EXPECT_EQ(Status(b), 429);
}

}  // namespace
}  // namespace wb::front
