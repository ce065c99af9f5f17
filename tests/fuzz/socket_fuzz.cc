// SPDX-License-Identifier: Apache-2.0
// The control socket of a real api::Server. Input: one byte that cuts what follows into writes,
// then what a client sends before it ends its direction. Whatever it is, the server answers one
// whole HTTP response with JSON or nothing, calls the service once at most, and hangs up.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "ctl/api/server.h"
#include "tests/fuzz/api_service.h"

namespace wb::fuzz {
namespace {

struct Running {
  CheckingService service;
  std::string directory;
  std::string path;
  std::unique_ptr<api::Server> server;

  Running() {
    char name[] = "/tmp/wb-fuzz-socket.XXXXXX";
    FUZZ_CHECK(mkdtemp(name) != nullptr, "mkdtemp");
    directory = name;
    path = directory + "/s";
    auto started = api::Server::Start(service, {.socket_path = path});
    FUZZ_CHECK(started.ok(), "%s", started.status().ToString().c_str());
    server = *std::move(started);
  }
  ~Running() {
    server.reset();
    rmdir(directory.c_str());
  }
  int Connect() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    FUZZ_CHECK(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "connect");
    return fd;
  }
};

std::string Exchange(const Running& running, std::string_view text, size_t most) {
  const int fd = running.Connect();
  while (!text.empty()) {
    const ssize_t n = send(fd, text.data(), std::min(text.size(), most), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;  // libFuzzer's timer
    if (n <= 0) break;                      // answered and ended already
    text.remove_prefix(static_cast<size_t>(n));
  }
  shutdown(fd, SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0 || (n < 0 && errno == EINTR);)
    answer.append(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  close(fd);
  return answer;
}

void CheckAnswer(const std::string& answer, bool maybe_head) {
  if (answer.empty()) return;
  const auto head = ReadHead(answer);
  FUZZ_CHECK(head && head->lines[0].starts_with("HTTP/1.1 "), "%s", answer.c_str());
  if (answer.starts_with("HTTP/1.1 100 ")) return CheckAnswer(answer.substr(head->end), maybe_head);
  std::optional<uint64_t> length;
  for (size_t i = 1; i < head->lines.size(); ++i) {
    const auto field = ReadField(head->lines[i]);
    FUZZ_CHECK(field.has_value(), "%s", answer.c_str());
    if (field->name == "content-length") length = Decimal(field->value);
    FUZZ_CHECK(field->name != "content-encoding" && field->name != "content-range", "%s",
               answer.c_str());
  }
  const std::string body = answer.substr(head->end);
  // What was not understood as a HEAD is answered with a body.
  if (maybe_head && body.empty()) return;
  FUZZ_CHECK(length == body.size(), "%s", answer.c_str());
  FUZZ_CHECK(nlohmann::json::accept(body), "%s", answer.c_str());
}

void One(uint8_t cut, std::string_view text) {
  static Running running;
  running.service.calls = 0;
  const size_t most = cut % 4 == 0 ? text.size() : 1 + cut;
  const bool maybe_head = text.substr(0, text.find('\n')).find("HEAD") != text.npos;
  CheckAnswer(Exchange(running, text, most), maybe_head);
  FUZZ_CHECK(running.service.calls <= 1, "%d calls", running.service.calls.load());
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1) wb::fuzz::One(data[0], wb::fuzz::Text(data + 1, size - 1));
  return 0;
}
