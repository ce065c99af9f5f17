// SPDX-License-Identifier: Apache-2.0
// The fake service behind a real Server in a temporary directory, and a way to send raw bytes to
// it.
#ifndef TESTS_UNIT_API_FIXTURE_H_
#define TESTS_UNIT_API_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "ctl/api/server.h"
#include "tests/unit/api_fake.h"

namespace wb::api {

class ApiFixture : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/wbapi.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    socket_ = base_ + "/run/accelerd.sock";
    Start();
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(base_);
  }
  void Start() {
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(service_, {.socket_path = socket_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  int Connect() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  // All that comes back until the server hangs up.
  std::string Raw(const std::string& bytes) const {
    const int fd = Connect();
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
    close(fd);
    return answer;
  }
  std::string Post(const std::string& path, const std::string& body,
                   const std::string& fields = "Content-Type: application/json\r\n") const {
    return Raw("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + fields +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  std::string Get(const std::string& path) const {
    return Raw("GET " + path +
               " HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nRange: bytes=3-4\r\n\r\n");
  }

  FakeService service_;
  std::string base_, socket_;
  std::unique_ptr<Server> server_;
};

}  // namespace wb::api

#endif  // TESTS_UNIT_API_FIXTURE_H_
