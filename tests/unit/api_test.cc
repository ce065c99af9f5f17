// SPDX-License-Identifier: Apache-2.0
// The control API's server and client over a real UNIX socket, and what hostile clients get.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "ctl/api/client.h"
#include "ctl/api/errors.h"
#include "tests/unit/api_fixture.h"

namespace wb::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

mode_t ModeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

using ApiClient = ApiFixture;

TEST_F(ApiClient, ReadsStatusBackWhole) {
  const absl::StatusOr<ServerStatus> s = Client(socket_).GetStatus();
  ASSERT_TRUE(s.ok()) << s.status();
  EXPECT_EQ(s->pid, 4711);
  EXPECT_EQ(s->mode, RunMode::kDrain);
  ASSERT_EQ(s->interfaces.size(), 1u);
  EXPECT_EQ(s->interfaces[0].mode, AttachMode::kGeneric);
  EXPECT_EQ(s->connections.opened_total, 1234567u);
  EXPECT_EQ(s->cache.fills_refused.at("set_cookie"), 4u);
  EXPECT_EQ(s->hits_total, UINT64_MAX);
  EXPECT_EQ(s->hit_ratio, 0.75);
}

TEST_F(ApiClient, CallsEveryEndpoint) {
  Client client(socket_);
  EXPECT_EQ(client.Version()->commit, "abc123");
  EXPECT_EQ(client.ListDomains()->domains.at(0).listeners.at(0), "198.18.0.1:80");
  EXPECT_FALSE(client.DisableDomain("site.test")->enabled);
  EXPECT_TRUE(client.EnableDomain("site.test")->enabled);
  EXPECT_EQ(client.Reasons()->reasons.size(), 2u);
  EXPECT_EQ(client.Attach("wbt0", AttachMode::kAuto)->findings.at(0).remedy,
            "ethtool -K wbt0 lro off");
  EXPECT_EQ(client.Detach({"wbt0", true, 5})->reset_connections, 3u);
  EXPECT_EQ(service_.detach.deadline_s, 5u);
  EXPECT_EQ(client.Purge({PurgeKind::kDomain, "site.test"})->purged, 12u);
  EXPECT_EQ(service_.purge.kind, PurgeKind::kDomain);
  EXPECT_EQ(client.Warm({"http://site.test/missing"})->results.at(0).reason, "status 404");
}

TEST_F(ApiClient, CarriesFilterAndHostileBytes) {
  const std::string prefix = "http://site.test/a?b=c&d=%20#+";
  const auto list = Client(socket_).ListCache({"site.test", prefix, 7, 3, CacheSort::kUrl});
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(service_.filter.prefix, prefix);
  EXPECT_EQ(service_.filter.limit, 7u);
  EXPECT_EQ(service_.filter.offset, 3u);
  EXPECT_EQ(service_.filter.sort, CacheSort::kUrl);
  EXPECT_EQ(list->entries.at(0).expires_in_s, 30u);
  EXPECT_FALSE(list->entries.at(1).expires_in_s.has_value());
  EXPECT_EQ(list->entries.at(1).url, "http://site.test/\x1b[2J\xEF\xBF\xBD");
}

TEST_F(ApiClient, CarriesErrorsOfTheService) {
  Client client(socket_);
  const absl::Status domain = client.EnableDomain("other.test").status();
  EXPECT_TRUE(absl::IsNotFound(domain)) << domain;
  EXPECT_EQ(domain.message(), "no domain other.test");
  EXPECT_TRUE(absl::IsFailedPrecondition(client.Attach("wbt0", AttachMode::kNative).status()));
  const absl::Status detach = client.Detach({"wbt0", false, 1}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(detach));
  EXPECT_FALSE(IsUnreachable(detach));
  service_.throw_on_purge = true;
  EXPECT_TRUE(absl::IsInternal(client.Purge({PurgeKind::kAll, ""}).status()));
}

TEST_F(ApiClient, TellsUnreachableFromSlow) {
  const absl::Status gone = Client(base_ + "/none.sock").GetStatus().status();
  EXPECT_TRUE(IsUnreachable(gone)) << gone;
  EXPECT_THAT(std::string(gone.message()), HasSubstr("No such file"));
  Client::Timeouts timeouts;
  timeouts.detach_grace = std::chrono::seconds(1);
  const absl::Status slow = Client(socket_, timeouts).Detach({"busy0", false, 0}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(slow)) << slow;
}

TEST(ApiErrors, EveryCodeSurvivesTheWay) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_GE(HttpStatus(status.code()), 400) << code;
    EXPECT_EQ(StatusFromErrorJson(HttpStatus(status.code()), ErrorJson(status)), status);
  }
  EXPECT_TRUE(absl::IsInternal(StatusFromErrorJson(502, "<html>")));
}

using ApiHostile = ApiFixture;

TEST_F(ApiHostile, RefusesBadBodies) {
  const std::string warm = "/v1/cache/warm", purge = "/v1/cache/purge";
  const std::string deep = std::string(100000, '[');
  const struct {
    std::string path, body, message;
  } cases[] = {
      {warm, "{\"urls\":[", "not JSON"},
      {warm, "\xff\xfe", "not JSON"},
      {warm, deep, "JSON"},
      {warm, "{\"urls\":" + std::string(20, '[') + std::string(20, ']') + "}", "nested too deeply"},
      {warm, "[]", "must be an object"},
      {warm, "{}", "urls: is missing"},
      {warm, "{\"urls\":[]}", "urls: must hold"},
      {warm, "{\"urls\":[7]}", "urls[0]: must be a string"},
      {warm, "{\"urls\":[\"http://a/\",\"ftp://a/\"]}", "urls[1]"},
      {warm, "{\"urls\":[\"http://a/\\r\\nX: y\"]}", "percent-encoded"},
      {warm, "{\"urls\":[\"http://a/\"],\"evil\":1}", "evil: unknown field"},
      {warm, "{\"urls\":[\"http://a/\"],\"urls\":[]}", "appears twice"},
      {purge, "{\"value\":\"x\"}", "kind: is missing"},
      {purge, "{\"kind\":\"everything\"}", "kind: has an unknown value"},
      {purge, "{\"kind\":\"tag\"}", "a tag has 1 to 256 visible"},
      {purge, "{\"kind\":\"tag\",\"value\":\"a,b\"}", "a tag has 1 to 256 visible"},
      {purge, "{\"kind\":\"tag\",\"value\":\"a\",\"domain\":\"-\"}", "domain name"},
      {purge, "{\"kind\":\"all\",\"domain\":\"a.test\"}", "domain: only with kind tag"},
      {purge, "{\"kind\":\"all\",\"value\":\"x\"}", "not allowed"},
      {purge, "{\"kind\":\"prefix\",\"value\":\"\"}", "URL must begin"},
      {"/v1/interfaces/wbt0/detach", "{\"deadline_seconds\":-1}", "must not be negative"},
      {"/v1/interfaces/wbt0/detach", "{\"deadline_seconds\":1.5}", "must be an integer"},
      {"/v1/interfaces/wbt0/detach", "{\"deadline_seconds\":99999999999999999999}",
       "must be an integer"},
      {"/v1/interfaces/wbt0/detach", "{\"force\":\"yes\"}", "must be true or false"},
      {"/v1/domains/site.test/enable", "{\"x\":1}", "unknown field"},
  };
  for (const auto& c : cases) {
    const std::string answer = Post(c.path, c.body);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 ")) << c.body.substr(0, 80);
    EXPECT_THAT(answer, HasSubstr("\"code\":\"invalid_argument\"")) << c.body.substr(0, 80);
    EXPECT_THAT(answer, HasSubstr(c.message)) << c.body.substr(0, 80);
  }
  EXPECT_TRUE(service_.warm_batches.empty());
  EXPECT_EQ(service_.last_domain, "");
}

TEST_F(ApiHostile, RefusesBadNamesAndPaths) {
  const struct {
    std::string path, status;
  } cases[] = {
      {"/v1/domains/..%2F..%2Fetc/enable", "404"},
      {"/v1/domains/../enable", "400"},
      {"/v1/domains/a..b/enable", "400"},
      {"/v1/domains/a%00b/enable", "400"},
      {"/v1/domains//enable", "400"},
      {"/v1/domains/" + std::string(300, 'a') + "/enable", "400"},
      {"/v1/interfaces/../attach", "400"},
      {"/v1/interfaces/a%0Ab/attach", "400"},
      {"/v1/interfaces/abcdefghijklmnop/attach", "400"},
      {"/v1/" + std::string(2000, 'x'), "414"},
      {"/" + std::string(9000, 'x'), "414"},
      {"/v1/nothing", "404"},
      {"/v1/status", "405"},
  };
  for (const auto& c : cases) {
    const std::string answer = Post(c.path, "{}");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + c.status)) << c.path.substr(0, 80);
    EXPECT_THAT(answer, HasSubstr("{\"error\":{\"code\":")) << c.path.substr(0, 80);
  }
  EXPECT_EQ(service_.last_domain, "");
}

TEST_F(ApiHostile, RefusesBadQueries) {
  for (const char* query : {"limit=-1", "limit=99999", "limit=x", "limit=", "sort=size", "foo=1",
                            "limit=1&limit=2", "domain=..", "prefix=x"}) {
    EXPECT_THAT(Get(std::string("/v1/cache?") + query), StartsWith("HTTP/1.1 400 ")) << query;
  }
  EXPECT_THAT(Get("/v1/status?x=1"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Get("/v1/cache?limit=5"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ApiHostile, BoundsBodies) {
  const std::string json_type = "Content-Type: application/json\r\n";
  const std::string path = "/v1/cache/warm";
  EXPECT_THAT(Post(path, std::string(kMaxBodyBytes + 1, ' ')), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Post(path, std::string(kMaxBodyBytes, ' ')), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Post(path, "{}", "Content-Type: text/plain\r\n"), StartsWith("HTTP/1.1 415 "));
  EXPECT_THAT(Post(path, "{}", json_type + "Content-Encoding: gzip\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Post(path, "{}", json_type + "Content-Length: 3\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Raw("POST " + path + " HTTP/1.1\r\n" + json_type +
                  "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_TRUE(service_.warm_batches.empty());
}

TEST_F(ApiHostile, AnswersOneRequestPerConnectionWholeAndPlain) {
  const std::string answer = Get("/v1/version");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answer, HasSubstr("{\"version\":\"9.8.7\",\"commit\":\"abc123\",\"api\":\"v1\"}\n"));
  Raw("GET /v1/status HTTP/1.1\r\n\r\nGET /v1/status HTTP/1.1\r\n\r\n");
  EXPECT_EQ(service_.calls, 1);
  EXPECT_THAT(Raw("POST /v1/domains/site.test/enable HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Raw("garbage\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

using ApiServer = ApiFixture;

TEST_F(ApiServer, AnswersManyAtOnce) {
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      Client client(socket_);
      for (int k = 0; k < 20; ++k) good += client.GetStatus().ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 320);
  EXPECT_EQ(service_.calls, 320);
}

TEST_F(ApiServer, SetsPermissions) {
  EXPECT_EQ(ModeOf(socket_), 0660u);
  EXPECT_EQ(ModeOf(base_ + "/run"), 0750u);
  FakeService other;
  const std::string path = base_ + "/run/b.sock";
  const auto server = Server::Start(other, {.socket_path = path, .socket_mode = 0600});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(ModeOf(path), 0600u);
}

TEST_F(ApiServer, TakesOverOnlyAStaleSocket) {
  FakeService other;
  EXPECT_TRUE(absl::IsAlreadyExists(Server::Start(other, {.socket_path = socket_}).status()));
  EXPECT_TRUE(Client(socket_).GetStatus().ok());  // The first one still answers.
  // A hard link outlives the server: nobody answers on it, as after kill -9.
  const std::string stale = base_ + "/run/stale.sock";
  std::filesystem::create_hard_link(socket_, stale);
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(socket_));
  const auto taken = Server::Start(other, {.socket_path = stale});
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_TRUE(Client(stale).GetStatus().ok());
  Start();
}

TEST_F(ApiServer, RefusesUnsafePlaces) {
  FakeService other;
  const std::string file = base_ + "/run/file";
  std::ofstream(file) << "precious";
  EXPECT_TRUE(absl::IsFailedPrecondition(Server::Start(other, {.socket_path = file}).status()));
  EXPECT_EQ(std::filesystem::file_size(file), 8u);
  const std::string open = base_ + "/open";
  ASSERT_EQ(mkdir(open.c_str(), 0700), 0);
  ASSERT_EQ(chmod(open.c_str(), 0777), 0);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(Server::Start(other, {.socket_path = open + "/s"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Server::Start(other, {.socket_path = "relative"}).status()));
  const std::string longest = base_ + "/" + std::string(120, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(Server::Start(other, {.socket_path = longest}).status()));
}

TEST_F(ApiServer, StopEndsIdleConnectionsAndRunningCalls) {
  const int idle = Connect();
  absl::Status detached;
  std::thread caller([&] { detached = Client(socket_).Detach({"busy0", false, 60}).status(); });
  service_.detach_running.WaitForNotification();
  server_->Stop();  // Would last the 60 s of the detach, were it not told to end.
  server_->Stop();
  caller.join();
  EXPECT_TRUE(absl::IsCancelled(detached)) << detached;
  EXPECT_TRUE(IsUnreachable(Client(socket_).GetStatus().status()));
  EXPECT_FALSE(std::filesystem::exists(socket_));
  close(idle);
}

}  // namespace
}  // namespace wb::api
