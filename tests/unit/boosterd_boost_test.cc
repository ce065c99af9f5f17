// SPDX-License-Identifier: Apache-2.0
// boosterd's side of the redirection that needs no kernel programs: words of the engine and of the
// API, connections to VIPs, origins that bounce and are told so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "booster/boosterd/boost_report.h"
#include "booster/boosterd/boost_usage.h"
#include "booster/boosterd/bounce_way.h"
#include "booster/boosterd/heart.h"
#include "booster/boosterd/vip_connections.h"
#include "booster/net/socket.h"

namespace wb::boosterd {
namespace {

using testing::HasSubstr;

TEST(BoostReportTest, TheConfigurationsWordsAreTheEngines) {
  front::Domain domain;
  domain.name = "a.test";
  domain.priority = front::Priority::kHigh;
  domain.redirect.mode = front::BoostMode::kAuto;
  domain.redirect.raise = 70;
  domain.redirect.switches_hour = 7;
  const boost::DomainConfig config = DomainConfigOf(domain);
  EXPECT_EQ(config.name, "a.test");
  EXPECT_EQ(config.parameters.mode, boost::Mode::kAuto);
  EXPECT_EQ(config.parameters.priority, boost::Priority::kHigh);
  EXPECT_EQ(config.parameters.raise, 70);
  EXPECT_EQ(config.parameters.switches_hour, 7u);
  const auto request = SetRequestOf({.mode = "auto", .at_percent = 60, .for_s = 5});
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->at, 60.0);
  EXPECT_EQ(request->lasting, std::chrono::seconds(5));
  EXPECT_EQ(SetRequestOf({"perhaps", {}, {}}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BoostReportTest, AStatusIsToldInTheApisUnits) {
  const boost::TimePoint now = std::chrono::steady_clock::now();
  boost::DomainStatus status;
  status.name = "a.test";
  status.mode = boost::Mode::kOn;
  status.state = boost::State::kDraining;
  status.reason = boost::Reason::kManual;
  status.since = boost::WallTime(std::chrono::seconds(1767323045));
  status.left = std::chrono::milliseconds(1001);
  status.load = boost::Sample{.cpu = 91, .rate = 12, .at = now - std::chrono::milliseconds(40)};
  const api::BoostDomain told = ReportOf(status, now);
  EXPECT_EQ(told.mode, "on");
  EXPECT_EQ(told.state, "draining");
  EXPECT_EQ(told.reason, "manual");
  EXPECT_EQ(told.since, "2026-01-02T03:04:05Z");
  EXPECT_EQ(told.until_s, 2u);  // never 0 before it is over
  EXPECT_EQ(told.load->age_ms, 40u);
  EXPECT_EQ(told.load->requests_per_s, 12);
  boost::Outcome outcome;
  outcome.took = std::chrono::microseconds(1500);
  outcome.kept = 3;
  EXPECT_EQ(ReportOf("a.test", outcome).took_ms, 1.5);
  EXPECT_EQ(ReportOf("a.test", outcome).connections_kept, 3u);
}

class VipConnectionsTest : public testing::TestWithParam<const char*> {};

TEST_P(VipConnectionsTest, CountsTheConnectionsOfItsPlaces) {
  const std::string host = GetParam();
  auto listener = net::Listen(*net::Address::Make(host, 0), 5);
  ASSERT_TRUE(listener.ok()) << listener.status();
  sockaddr_storage storage;
  socklen_t size = sizeof(storage);
  ASSERT_EQ(getsockname(listener->get(), reinterpret_cast<sockaddr*>(&storage), &size), 0);
  const uint16_t port = ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
  const auto count = [&](uint16_t at) { return *VipConnections({"192.0.2.1", host}, {9, at}); };
  EXPECT_EQ(count(port), 0u);  // a listener is no connection
  const auto client = net::Dial(*net::Address::Make(host, port));
  ASSERT_TRUE(client.ok());
  for (int i = 0; i < 100 && count(port) == 0; ++i) usleep(10'000);
  EXPECT_EQ(count(port), 1u);
  EXPECT_EQ(count(static_cast<uint16_t>(port - 1)), 0u);
  EXPECT_EQ(*VipConnections({"192.0.2.1"}, {port}), 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, VipConnectionsTest, testing::Values("127.0.0.1", "::1"));

TEST(BounceWayTest, ADomainWithoutAChannelCannotBeBoosted) {
  auto channels = link::ChannelClients::Start();
  ASSERT_TRUE(channels.ok());
  BounceWay way(**channels);
  EXPECT_EQ(way.Apply("a.test", true).status().code(), absl::StatusCode::kNotFound);
  front::Config config;
  front::Domain& domain = config.domains.emplace_back();
  domain.name = "a.test";
  domain.redirect.vips = {"192.0.2.80"};
  domain.redirect.by = front::Way::kBounce;
  way.Adopt(config, {});
  const auto effect = way.Apply("a.test", true);
  EXPECT_EQ(effect.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(effect.status().ToString(), HasSubstr("no origin of a.test has a channel"));
}

// a.test, bounced by an origin whose accelerd shall be at a port of this machine.
class BounceTest : public testing::Test {
 protected:
  void Begin(uint16_t port) {
    auto started = link::ChannelClients::Start();
    ASSERT_TRUE(started.ok());
    channels_ = *std::move(started);
    const auto id = channels_->Add({.host = "127.0.0.1", .port = port, .secret = {}}, catalogue_);
    ASSERT_TRUE(id.ok());
    id_ = *id;
    const auto origin = std::make_shared<link::Origin>();
    origin->name = "192.0.2.1:80";
    front::Config config;
    front::Domain& domain = config.domains.emplace_back();
    domain.name = "a.test";
    domain.redirect.vips = {"192.0.2.80"};
    domain.redirect.by = front::Way::kBounce;
    domain.origins.emplace_back().address = {"192.0.2.1", 80};
    way_ = std::make_unique<BounceWay>(*channels_);
    way_->Adopt(config, {{origin, id_}});
  }
  absl::Status Boost(std::chrono::milliseconds* took) {
    const auto begun = std::chrono::steady_clock::now();
    const auto effect = way_->Apply("a.test", true);
    *took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                  begun);
    return effect.status();
  }
  link::Catalogue catalogue_{16};
  std::unique_ptr<link::ChannelClients> channels_;
  link::ChannelClients::Id id_ = 0;
  std::unique_ptr<BounceWay> way_;
};

// An accelerd that does not answer: the toggle fails in its time, and all is as before.
TEST_F(BounceTest, AnOriginThatIsNotToldFailsTheToggle) {
  auto listener = net::Listen(*net::Address::Make("127.0.0.1", 0), 5);
  ASSERT_TRUE(listener.ok()) << listener.status();
  sockaddr_in own = {};
  socklen_t size = sizeof(own);
  ASSERT_EQ(getsockname(listener->get(), reinterpret_cast<sockaddr*>(&own), &size), 0);
  Begin(ntohs(own.sin_port));
  std::chrono::milliseconds took;
  const absl::Status status = Boost(&took);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.ToString(), HasSubstr("was not told"));
  EXPECT_GE(took, std::chrono::milliseconds(450));
  EXPECT_LT(took, std::chrono::milliseconds(1500));
}

TEST_F(BounceTest, NobodyWaitsForAnOriginThatIsKnownToBeAway) {
  Begin(1);
  for (int i = 0; i < 500 && channels_->state(id_).failed == 0; ++i) usleep(10'000);
  ASSERT_GT(channels_->state(id_).failed, 0u);
  std::chrono::milliseconds took;
  const absl::Status status = Boost(&took);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.ToString(), HasSubstr("an origin of a.test cannot be told: "));
  EXPECT_THAT(status.ToString(), HasSubstr("Connection refused"));
  EXPECT_LT(took, std::chrono::milliseconds(300));
}

TEST(BoostUsageTest, WhereADirectorCountsPacketsTheyAreTheDemand) {
  const std::vector<std::unique_ptr<Worker>> none;
  uint64_t packets = 500;
  BoostUsage usage(none, std::make_shared<front::Snapshot>(),
                   [&](const std::string& domain) -> std::optional<uint64_t> {
                     return domain == "bounced.test" ? std::nullopt : std::optional(packets);
                   });
  EXPECT_EQ(usage.Demand("a.test"), 0);
  EXPECT_EQ(usage.Demand("bounced.test"), 0);
  usleep(100'000);
  packets += 3000;
  const double demand = usage.Demand("a.test");
  EXPECT_GT(demand, 0);
  EXPECT_LE(demand, 3000 / 0.1 / boost::kPacketsPerRequest);
  EXPECT_EQ(usage.Demand("bounced.test"), 0);
}

TEST(HeartTest, ABeatThatComesBehindTheLeaseIsALapse) {
  using std::chrono::milliseconds;
  const boost::TimePoint begun = std::chrono::steady_clock::now();
  Heart heart(milliseconds(300));
  heart.Beaten(begun);  // the first one is never late
  heart.Beaten(begun + milliseconds(300));
  EXPECT_EQ(heart.TakeLapse(), milliseconds(0));
  heart.Beaten(begun + milliseconds(650));
  heart.Beaten(begun + milliseconds(951));
  heart.Beaten(begun + milliseconds(1000));
  EXPECT_EQ(heart.TakeLapse(), milliseconds(50));
  EXPECT_EQ(heart.TakeLapse(), milliseconds(0));
}

}  // namespace
}  // namespace wb::boosterd
