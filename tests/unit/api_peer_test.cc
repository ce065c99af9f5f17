// SPDX-License-Identifier: Apache-2.0
// Who is answered on the control socket: real peers of other users and groups (needs root).
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "ctl/api/client.h"
#include "tests/unit/api_fixture.h"

namespace wb::api {
namespace {

using testing::HasSubstr;

constexpr uid_t kUser = 54321;
constexpr gid_t kGroup = 54322;
constexpr gid_t kOtherGroup = 54323;

// What a client that is `user`, of `group` and of `others`, is told.
enum Told { kAnswered = 0, kDenied = 1, kElse = 2 };

class ApiPeer : public ApiFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root";
    ApiFixture::SetUp();
    chmod(base_.c_str(), 0755);
    chmod((base_ + "/run").c_str(), 0755);
  }
  void Serve(const PeerPolicy& allow) {
    server_.reset();
    auto server =
        Server::Start(service_, {.socket_path = socket_, .socket_mode = 0666, .allow = allow});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  // In a child: what is given up does not come back.
  Told As(uid_t user, gid_t group, const std::vector<gid_t>& others = {}) const {
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(others.size(), others.data()) != 0 || setgid(group) != 0 || setuid(user) != 0)
        _exit(kElse);
      const absl::Status status = Client(socket_).Version().status();
      const bool clear =
          status.message().find("may not control accelerd") != absl::string_view::npos;
      _exit(status.ok() ? kAnswered : absl::IsPermissionDenied(status) && clear ? kDenied : kElse);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? static_cast<Told>(WEXITSTATUS(status)) : kElse;
  }
};

TEST_F(ApiPeer, ByDefaultRootAndTheSocketsGroup) {
  Serve({});
  EXPECT_EQ(As(0, 0), kAnswered);
  EXPECT_EQ(As(0, kGroup), kAnswered);
  EXPECT_EQ(service_.denied, 0);
  EXPECT_EQ(As(kUser, kGroup), kDenied);
  EXPECT_EQ(service_.denied, 1);
  EXPECT_EQ(service_.denied_uid, kUser);
  // The group that the file has now.
  ASSERT_EQ(chown(socket_.c_str(), static_cast<uid_t>(-1), kGroup), 0);
  EXPECT_EQ(As(kUser, kGroup), kAnswered);
  EXPECT_EQ(As(kUser, kOtherGroup, {kGroup}), kAnswered);  // a group besides
  EXPECT_EQ(As(kUser, kOtherGroup), kDenied);
}

TEST_F(ApiPeer, ThoseThatAreNamed) {
  Serve({.users = {kUser}, .groups = std::vector<gid_t>{}});
  EXPECT_EQ(As(kUser, kGroup), kAnswered);
  EXPECT_EQ(As(kUser + 1, kGroup), kDenied);
  EXPECT_EQ(As(kUser + 1, 0), kDenied);  // The socket's group is not meant any more.
  EXPECT_EQ(As(0, 0), kAnswered);
  Serve({.users = {}, .groups = std::vector<gid_t>{kGroup}});
  EXPECT_EQ(As(kUser, kGroup), kAnswered);
  EXPECT_EQ(As(kUser, kOtherGroup, {kOtherGroup, kGroup}), kAnswered);
  EXPECT_EQ(As(kUser, kOtherGroup, {kOtherGroup}), kDenied);
}

TEST_F(ApiPeer, TheirRequestsAreNotLookedAt) {
  Serve({});
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(kGroup) != 0 || setuid(kUser) != 0) _exit(kElse);
    const auto purged = Client(socket_).Purge({PurgeKind::kAll, ""});
    // Larger than a socket's buffer: it must be told, not broken off.
    std::vector<std::string> urls(1000, "http://site.test/" + std::string(500, 'x'));
    const auto warmed = Client(socket_).Warm(urls);
    _exit(absl::IsPermissionDenied(purged.status()) && absl::IsPermissionDenied(warmed.status())
              ? kDenied
              : kElse);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), kDenied);
  EXPECT_TRUE(service_.warm_batches.empty());
  EXPECT_EQ(service_.purge.kind, PurgeKind::kUrl);  // never called
}

// Idle connections of strangers must not hold the threads that the operator needs.
TEST_F(ApiPeer, StrangersDoNotKeepTheOperatorOut) {
  Serve({});
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(kGroup) != 0 || setuid(kUser) != 0) _exit(kElse);
    for (int i = 0; i < 100; ++i) Connect();
    (void)!write(ready[1], "x", 1);
    pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(Client(socket_).Version().ok());
  // Each of them would have 5 s of one of 8 threads, were it waited for.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace wb::api
