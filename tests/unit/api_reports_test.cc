// SPDX-License-Identifier: Apache-2.0
// The routes for one object, one domain and connections; and that docs/openapi.yaml knows the same
// routes as the server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <regex>
#include <set>

#include "ctl/api/client.h"
#include "ctl/api/routes.h"
#include "tests/unit/api_fixture.h"

namespace wb::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using ApiReports = ApiFixture;

TEST_F(ApiReports, CarriesAnObject) {
  const std::string url = "http://site.test/a?b=c&d=%20#+";
  const auto o = Client(socket_).ShowObject(url);
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(service_.object_url, url);
  EXPECT_EQ(o->state, ObjectState::kLive);
  EXPECT_FALSE(o->retry_in_s.has_value());
  EXPECT_TRUE(o->watched);
  ASSERT_EQ(o->variants.size(), 1u);
  EXPECT_THAT(o->variants[0].encodings, ElementsAre("", "gzip"));
  EXPECT_EQ(o->variants[0].overhead_bytes, 400u);
  EXPECT_EQ(o->variants[0].freshness, Freshness::kFile);
  EXPECT_TRUE(o->variants[0].ranges);
  EXPECT_THAT(o->variants[0].header, HasSubstr("\r\nDate: (the second it is sent)\r\n"));
  EXPECT_EQ(o->refused_encodings.at(0).retry_in_s, 7u);
  const auto refused = Client(socket_).ShowObject("http://site.test/refused");
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->state, ObjectState::kRefused);
  EXPECT_EQ(refused->retry_in_s, 25u);
  EXPECT_TRUE(absl::IsNotFound(Client(socket_).ShowObject("http://site.test/missing").status()));
}

TEST_F(ApiReports, CarriesADomainAndConnections) {
  Client client(socket_);
  const auto d = client.ShowDomain("site.test");
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_THAT(d->ports, ElementsAre(80, 8080));
  EXPECT_THAT(d->exclude, ElementsAre("/private/"));
  EXPECT_EQ(d->refused_objects.at("set_cookie"), 4u);
  EXPECT_TRUE(absl::IsNotFound(client.ShowDomain("other.test").status()));
  ConnectionFilter filter{"::FFFF:198.18.0.2", true, 9, ConnectionSort::kUnacked};
  const auto c = client.ListConnections(filter);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(service_.connection_filter.remote, "198.18.0.2");  // IPv4 has one form
  EXPECT_EQ(service_.connection_filter.limit, 9u);
  EXPECT_EQ(service_.connection_filter.sort, ConnectionSort::kUnacked);
  EXPECT_TRUE(service_.connection_filter.spliced);
  EXPECT_EQ(c->total, 3u);
  EXPECT_EQ(c->connections.at(0).d_out, 490000u);
  EXPECT_THAT(c->connections.at(0).flags, ElementsAre("spliced", "booster"));
}

TEST_F(ApiReports, RefusesBadQueries) {
  for (const char* query :
       {"/v1/connections?limit=10001", "/v1/connections?limit=", "/v1/connections?spliced=1",
        "/v1/connections?sort=size", "/v1/connections?remote=site.test",
        "/v1/connections?remote=1.2.3.4%00", "/v1/connections?remote=", "/v1/connections?x=1",
        "/v1/connections?limit=1&limit=2", "/v1/cache/object",
        "/v1/cache/object?url=", "/v1/cache/object?url=x", "/v1/cache/object?url=http://a/%20",
        "/v1/cache/object?uri=x", "/v1/cache/object?url=http://a/&url=http://b/", "/v1/domains/..",
        "/v1/domains/site.test?x"})
    EXPECT_THAT(Get(query), StartsWith("HTTP/1.1 400 ")) << query;
  EXPECT_EQ(service_.object_url, "");
  EXPECT_THAT(Post("/v1/connections", "{}"), StartsWith("HTTP/1.1 405 "));
}

// {name} in the file is * in the server.
TEST(ApiOpenApi, HasTheRoutesOfTheServer) {
  std::set<std::string> documented, known;
  const YAML::Node file = YAML::LoadFile(std::string(WB_SOURCE_DIR) + "/docs/openapi.yaml");
  for (const auto& path : file["paths"]) {
    const std::string name =
        std::regex_replace(path.first.as<std::string>(), std::regex("\\{[a-z]+\\}"), "*");
    for (const auto& method : path.second) {
      std::string verb = method.first.as<std::string>();
      if (verb == "parameters") continue;
      for (char& c : verb) c = static_cast<char>(std::toupper(c));
      documented.insert(verb + " " + name);
    }
  }
  for (const RouteName& route : Routes())
    known.insert(std::string(route.method) + " " + std::string(route.path));
  EXPECT_EQ(documented, known);
  EXPECT_GE(known.size(), 14u);
}

}  // namespace
}  // namespace wb::api
