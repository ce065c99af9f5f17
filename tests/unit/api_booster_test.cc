// SPDX-License-Identifier: Apache-2.0
// boosterd's API and the server that both daemons share: routes, replies, and a port of TCP that
// silent clients cannot hold.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ctl/api/booster_routes.h"
#include "ctl/api/json.h"
#include "tests/unit/api_booster_fake.h"
#include "webbooster/base/unique_fd.h"

namespace wb::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(BoosterApiTest, HasTheRoutesOfItsDescription) {
  std::set<std::string> documented, known;
  const YAML::Node file =
      YAML::LoadFile(std::string(WB_SOURCE_DIR) + "/docs/openapi-boosterd.yaml");
  for (const auto& path : file["paths"]) {
    for (const auto& method : path.second) {
      std::string verb = method.first.as<std::string>();
      for (char& c : verb) c = static_cast<char>(std::toupper(c));
      documented.insert(verb + " " + path.first.as<std::string>());
    }
  }
  for (const RouteName& route : BoosterRoutes())
    known.insert(std::string(route.method) + " " + std::string(route.path));
  EXPECT_EQ(documented, known);
  EXPECT_EQ(known.size(), 8u);
}

TEST(BoosterApiTest, AnswersAndRefuses) {
  FakeBooster booster;
  const ApiResponse status = Respond(booster, {"GET", "/v1/status", {}, ""});
  EXPECT_EQ(status.http_status, 200);
  const absl::StatusOr<BoosterStatus> read = ParseReply<BoosterStatus>(status.body);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->workers[0].turns, 5u);
  EXPECT_EQ(read->domains[0].origins[0].catalogued_keys, 6u);
  EXPECT_EQ(read->connections.ended.at("client"), 41u);
  const ApiResponse domains = Respond(booster, {"GET", "/v1/domains", {}, ""});
  EXPECT_EQ(ParseReply<BoosterDomainList>(domains.body)->domains[0].refused.at("quota"), 12u);
  const ApiResponse reload = Respond(booster, {"POST", "/v1/reload", {}, "{}"});
  EXPECT_EQ(ParseReply<BoosterReload>(reload.body)->restart, std::vector<std::string>{"listeners"});
  const ApiResponse upgrade = Respond(booster, {"POST", "/v1/upgrade", {}, "{}"});
  EXPECT_EQ(ParseReply<BoosterUpgrade>(upgrade.body)->new_pid, 913u);
  // Nobody chooses what is executed.
  EXPECT_EQ(Respond(booster, {"POST", "/v1/upgrade", {}, "{\"binary\":\"x\"}"}).http_status, 400);
  EXPECT_EQ(Respond(booster, {"GET", "/v1/upgrade", {}, ""}).allow, "POST");
  booster.wrong = true;
  const ApiResponse wrong = Respond(booster, {"POST", "/v1/reload", {}, ""});
  EXPECT_EQ(wrong.http_status, 400);
  EXPECT_THAT(wrong.body, HasSubstr("b.yaml:7: is too large"));
  booster.wrong = false;
  EXPECT_EQ(Respond(booster, {"POST", "/v1/reload", {}, "{\"a\":1}"}).http_status, 400);
  EXPECT_EQ(Respond(booster, {"GET", "/v1/reload", {}, ""}).allow, "POST");
  EXPECT_EQ(Respond(booster, {"GET", "/v1/cache", {}, ""}).http_status, 404);
  EXPECT_EQ(Respond(booster, {"GET", "/v1/status", {{"a", "b"}}, ""}).http_status, 400);
}

TEST(BoosterApiTest, BoostsAndSaysWhy) {
  FakeBooster booster;
  const auto post = [&](const std::string& name, const std::string& body) {
    return Respond(booster, {"POST", "/v1/boost/" + name, {}, body});
  };
  const auto status = ParseReply<BoostStatus>(Respond(booster, {"GET", "/v1/boost", {}, ""}).body);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->domains[0].load->cpu_percent, 91.25);
  EXPECT_EQ(status->domains[0].counters.at("syn_local"), 5u);
  EXPECT_FALSE(status->peers[0].alive);
  const ApiResponse why = Respond(booster, {"GET", "/v1/boost/site.test/explain", {}, ""});
  EXPECT_EQ(ParseReply<BoostExplanation>(why.body)->decisions[0].reason, "manual");
  const ApiResponse on = post("site.test", R"({"mode":"auto","at_percent":70,"for_s":60})");
  EXPECT_EQ(ParseReply<BoostOutcome>(on.body)->connections_kept, 12u);
  EXPECT_EQ(booster.asked.at_percent, 70u);
  EXPECT_EQ(booster.asked.for_s, 60u);
  EXPECT_EQ(post("other.test", R"({"mode":"on"})").http_status, 404);
  for (const char* bad : {"", "{}", R"({"mode":"high"})", R"({"mode":"on","at_percent":70})",
                          R"({"mode":"on","for_s":0})", R"({"mode":"auto","at_percent":0})",
                          R"({"mode":"auto","at_percent":101})", R"({"mode":"on","for_s":-1})",
                          R"({"mode":"on","forever":true})"})
    EXPECT_EQ(post("site.test", bad).http_status, 400) << bad;
  EXPECT_EQ(Respond(booster, {"GET", "/v1/boost/site.test", {}, ""}).allow, "POST");
}

// Two servers as in an upgrade: the second is asked once it has taken the place, and the end of the
// first does not take that away.
TEST(ServerPlaceTest, IsTakenOverBeforeTheFirstEnds) {
  const std::string directory = testing::TempDir() + "wb_place_" + std::to_string(getpid());
  const std::string path = directory + "/x.sock";
  const auto serve = [&](const std::string& what, bool beside) {
    Server::Options options;
    options.socket_path = path;
    options.beside = beside;
    return Server::Start({[what](const ApiRequest&, const absl::Notification&) {
                           return ApiResponse{.http_status = 200, .body = what};
                         }},
                         options);
  };
  const auto ask = [&] {
    httplib::Client client(path);
    client.set_address_family(AF_UNIX);
    const auto result = client.Get("/");
    return result ? result->body : "nobody";
  };
  auto first = serve("1", false);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::IsAlreadyExists(serve("2", false).status()));
  {
    const auto gone = serve("2", true);
    ASSERT_TRUE(gone.ok()) << gone.status();
    EXPECT_EQ(ask(), "1\n");
  }
  EXPECT_EQ(ask(), "1\n");
  EXPECT_NE(access((path + ".new").c_str(), F_OK), 0);
  auto second = serve("2", true);
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE((*second)->TakePlace().ok());
  EXPECT_EQ(ask(), "2\n");
  first->reset();
  EXPECT_EQ(ask(), "2\n");
  second->reset();
  EXPECT_EQ(ask(), "nobody");
  rmdir(directory.c_str());
}

class TcpServerTest : public testing::Test {
 protected:
  void Start(std::chrono::milliseconds read_time) {
    Server::Options options;
    options.host = "127.0.0.1";
    options.read_time = read_time;
    auto server = Server::Start({[](const ApiRequest& request, const absl::Notification&) {
                                  return ApiResponse{.body = request.path,
                                                     .type = "text/html",
                                                     .fields = {{"X-Test", "yes"}}};
                                }},
                                options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  base::UniqueFd Connect() const {
    base::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  }
  std::string Get(const std::string& path) const {
    const base::UniqueFd fd = Connect();
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
    send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd.get(), buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
    return answer;
  }

  std::unique_ptr<Server> server_;
};

TEST_F(TcpServerTest, AnswersWithTypeAndFields) {
  Start(std::chrono::seconds(5));
  const std::string answer = Get("/a");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/html\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Test: yes\r\n"));
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\n/a"));
  server_->Stop();
  server_->Stop();
}

// More silent clients than threads and places to wait: their time passes, and others are served.
TEST_F(TcpServerTest, SilentClientsHoldItForAWhileOnly) {
  Start(std::chrono::milliseconds(50));
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(Connect());
  EXPECT_THAT(Get("/b"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(TcpServerTest, EndsWhileClientsWait) {
  Start(std::chrono::seconds(60));
  std::vector<base::UniqueFd> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(Connect());
  const auto start = std::chrono::steady_clock::now();
  server_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(TcpServerTest, SaysWhyItCannotListen) {
  Start(std::chrono::seconds(5));
  Server::Options options;
  options.host = "127.0.0.1";
  options.port = server_->port();
  EXPECT_THAT(std::string(Server::Start(Server::Handler{}, options).status().message()),
              HasSubstr("Address already in use"));
  options.host = "no-host.invalid";
  EXPECT_TRUE(absl::IsInvalidArgument(Server::Start(Server::Handler{}, options).status()));
}

}  // namespace
}  // namespace wb::api
