// SPDX-License-Identifier: Apache-2.0
// The section `redirect`: what it becomes, and what must hold between it and the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/config_parse.h"

namespace wb::config {
namespace {

using testing::HasSubstr;

// A valid file but for what `redirect` says, which is on line 4.
std::string With(const std::string& redirect) {
  return "domains: [{name: a.test, aliases: [w.test]}, {name: b.test}]\n"
         "boosters: {addresses: [198.18.0.9], key_file: /k,\n"
         "           catalogue: '0.0.0.0:9466'}\n"
         "redirect: " +
         redirect + "\n";
}

std::string Services(const std::string& services) {
  return With("{bounce: {booster: 198.18.0.9, services: [" + services + "]}}");
}

TEST(ConfigRedirectTest, IsRead) {
  const LoadResult result = Parse(With(R"(
  directors: [198.18.0.9, "fd00:0::9"]
  bounce:
    booster: "fd00::9"
    local: "fd00::1"
    lease: 500ms
    services:
      - {domain: a.test, vips: [198.18.5.1, "fd00:0::5"], ports: [80]}
      - {domain: b.test, vips: [198.18.5.1]  , ports: [81, 443]})"));
  EXPECT_EQ(Text(result), "");
  Redirect want;
  want.directors = {"198.18.0.9", "fd00::9"};
  want.bounce =
      Bounce{"fd00::9",
             "fd00::1",
             {{"a.test", {"198.18.5.1", "fd00::5"}, {80}}, {"b.test", {"198.18.5.1"}, {81, 443}}},
             milliseconds(500)};
  EXPECT_TRUE(result.config.redirect == want);
}

TEST(ConfigRedirectTest, IsNothingByDefault) {
  EXPECT_TRUE(Parse(kDomain).config.redirect == Redirect{});
  const Config config = Parse(Services("{domain: a.test, vips: [198.18.5.1]}")).config;
  ASSERT_TRUE(config.redirect.bounce.has_value());
  EXPECT_EQ(config.redirect.bounce->lease, milliseconds(300));
  EXPECT_EQ(config.redirect.bounce->services[0].ports, (std::vector<uint16_t>{80, 443}));
}

TEST(ConfigRedirectTest, OnlyWhatIsKnownIsBounced) {
  EXPECT_THAT(OnlyError(Services("{domain: c.test, vips: [198.18.5.1]}")),
              HasSubstr("f:4:62: redirect.bounce.services[0].domain: \"c.test\" is not the name"));
  EXPECT_THAT(OnlyError(Services("{domain: w.test, vips: [198.18.5.1]}")),
              HasSubstr("not the name"));
  EXPECT_THAT(OnlyError(Services("{domain: a.test}")), HasSubstr("vips: is required"));
  EXPECT_THAT(OnlyError(Services("{vips: [198.18.5.1]}")), HasSubstr("domain: is required"));
  EXPECT_THAT(OnlyError(With("{bounce: {booster: 198.18.0.9}}")),
              HasSubstr("services: is required"));
  EXPECT_THAT(OnlyError(Services("{domain: a.test, vips: [vip.test]}")), HasSubstr("vips[0]"));
}

TEST(ConfigRedirectTest, AServiceIsOfOneDomain) {
  EXPECT_THAT(OnlyError(Services("{domain: a.test, vips: [198.18.5.1]},\n"
                                 "  {domain: b.test, vips: [198.18.5.1], ports: [443, 8080]}")),
              HasSubstr("f:5:3: redirect.bounce.services[1]: 198.18.5.1:443 is on line 4 already"));
}

TEST(ConfigRedirectTest, TheTunnelIsNotInTheTunnel) {
  EXPECT_THAT(OnlyError(Services("{domain: a.test, vips: [198.18.0.9]}")),
              HasSubstr("is an end of the tunnel"));
  EXPECT_THAT(OnlyError(With("{bounce: {booster: 198.18.0.9, local: 'fd00::1', "
                             "services: [{domain: a.test, vips: [198.18.5.1]}]}}")),
              HasSubstr("redirect.bounce.local: is not of the same family"));
}

TEST(ConfigRedirectTest, SomebodyMustTellWhoIsBoosted) {
  EXPECT_THAT(
      OnlyError(std::string(kDomain) + "redirect: {bounce: {booster: 198.18.0.9, "
                                       "services: [{domain: a.test, vips: [198.18.5.1]}]}}"),
      HasSubstr("f:2:20: redirect.bounce: needs boosters.addresses"));
  EXPECT_EQ(Text(Parse(std::string(kDomain) + "redirect: {directors: [198.18.0.9]}")), "");
}

}  // namespace
}  // namespace wb::config
