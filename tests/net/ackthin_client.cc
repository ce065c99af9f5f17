// SPDX-License-Identifier: Apache-2.0
// A booster's side of one link, for ackthin_test.py: batches of requests, one at a time, the bytes
// of all replies compared, ACKs thinned or not as boosterd would.
//   ackthin_client ADDRESS PORT INTERFACE|- REQUEST REPLY [REQUEST REPLY]...
// INTERFACE: where ACKs are thinned, - nowhere. REQUEST and REPLY are files; the text of the Date
// may differ. Reads lines "TURNS BATCH THINK_US RELEASE" (RELEASE 0: as if boosterd hung), and
// answers each with a line of JSON. Exit: 1 for any error.
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "booster/link/ack_thinning.h"
#include "webbooster/base/unique_fd.h"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr const char* kLabels[] = {
#define WB_X(name, label, text) label,
    WB_THIN_REASONS(WB_X)
#undef WB_X
};

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "ackthin_client: " << what << "\n";
  std::exit(1);
}

std::string File(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Fail(std::string("cannot read ") + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string WithoutDate(std::string reply) {
  constexpr size_t kDate = 29;
  const size_t at = reply.find("\r\nDate: ");
  if (at != std::string::npos && at + 8 + kDate < reply.size())
    reply.replace(at + 8, kDate, kDate, '-');
  return reply;
}

struct Target {
  std::string request, reply;
};

wb::base::UniqueFd Connect(const char* address, const char* port) {
  sockaddr_in6 in6 = {};
  sockaddr_in in = {};
  in6.sin6_port = in.sin_port = htons(static_cast<uint16_t>(atoi(port)));
  in6.sin6_family = AF_INET6;
  in.sin_family = AF_INET;
  const bool v6 = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1;
  if (!v6 && inet_pton(AF_INET, address, &in.sin_addr) != 1) Fail("no address");
  wb::base::UniqueFd fd(socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int error = v6 ? connect(fd.get(), reinterpret_cast<sockaddr*>(&in6), sizeof(in6))
                       : connect(fd.get(), reinterpret_cast<sockaddr*>(&in), sizeof(in));
  if (error != 0) Fail("cannot connect");
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const timeval patience = {10, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  return fd;
}

class Booster {
 public:
  Booster(wb::base::UniqueFd fd, std::vector<Target> targets)
      : fd_(std::move(fd)), targets_(std::move(targets)) {}

  void Thin(const std::string& interface) {
    auto thinning = wb::link::AckThinning::Load();
    if (!thinning.ok()) Fail(thinning.status().ToString());
    thinning_ = *std::move(thinning);
    if (absl::Status s = thinning_->Attach(interface); !s.ok()) Fail(s.ToString());
    auto link = thinning_->Register(fd_.get());
    if (!link.ok()) Fail(link.status().ToString());
    link_.emplace(*std::move(link));
  }

  void Run(int turns, int batch, microseconds think, bool release) {
    std::vector<microseconds> times;
    for (int turn = 0; turn < turns; ++turn) {
      times.push_back(Turn(batch));
      if (think.count() > 0 || turn + 1 == turns) Pause(think, release);
    }
    std::sort(times.begin(), times.end());
    Report(times);
  }

 private:
  microseconds Turn(int batch) {
    std::string requests, replies;
    for (int i = 0; i < batch; ++i) {
      const Target& target = targets_[next_++ % targets_.size()];
      requests += target.request;
      replies += target.reply;
    }
    const Clock::time_point start = Clock::now();
    if (send(fd_.get(), requests.data(), requests.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(requests.size()))
      Fail("cannot send");
    std::string got(replies.size(), '\0');
    for (size_t have = 0; have < got.size();) {
      const ssize_t n = recv(fd_.get(), got.data() + have, got.size() - have, 0);
      if (n <= 0) Fail(n == 0 ? "the link has ended" : "no reply within 10 s");
      have += static_cast<size_t>(n);
    }
    const auto took = std::chrono::duration_cast<microseconds>(Clock::now() - start);
    Compare(got, next_ - static_cast<size_t>(batch));
    return took;
  }

  void Compare(const std::string& got, size_t first) const {
    for (size_t at = 0; at < got.size(); ++first) {
      const std::string& reply = targets_[first % targets_.size()].reply;
      if (WithoutDate(got.substr(at, reply.size())) != reply) Fail("a reply differs");
      at += reply.size();
    }
  }

  // Nothing is asked for so long, or at least until an ACK would have been released.
  void Pause(microseconds think, bool release) {
    const microseconds hold = wb::link::kAckHold;
    std::this_thread::sleep_for(std::min(std::max(think, microseconds(1)), hold));
    if (think.count() > 0 && think < hold) return;
    if (release && link_ && !link_->Release().ok()) Fail("cannot release");
    if (think > hold) std::this_thread::sleep_for(think - hold);
  }

  void Report(const std::vector<microseconds>& times) const {
    tcp_info info = {};
    socklen_t len = sizeof(info);
    getsockopt(fd_.get(), IPPROTO_TCP, TCP_INFO, &info, &len);
    std::cout << "{\"p50_us\": " << times[times.size() / 2].count()
              << ", \"p99_us\": " << times[times.size() * 99 / 100].count()
              << ", \"cwnd\": " << info.tcpi_snd_cwnd
              << ", \"congestion_state\": " << unsigned{info.tcpi_ca_state}
              << ", \"retransmissions\": " << info.tcpi_total_retrans << ", \"acks\": {";
    const char* comma = "";
    if (thinning_) {
      const auto counts = thinning_->Counts();
      for (size_t i = 0; i < counts.size(); ++i, comma = ", ")
        std::cout << comma << "\"" << kLabels[i] << "\": " << counts[i];
    }
    std::cout << "}}" << std::endl;
  }

  wb::base::UniqueFd fd_;
  std::vector<Target> targets_;
  size_t next_ = 0;
  std::unique_ptr<wb::link::AckThinning> thinning_;
  std::optional<wb::link::ThinnedLink> link_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6 || argc % 2 != 0) Fail("wrong usage");
  std::vector<Target> targets;
  for (int i = 4; i + 1 < argc; i += 2)
    targets.push_back({File(argv[i]), WithoutDate(File(argv[i + 1]))});
  Booster booster(Connect(argv[1], argv[2]), std::move(targets));
  if (std::string(argv[3]) != "-") booster.Thin(argv[3]);
  int turns = 0, batch = 0, think = 0, release = 0;
  while (std::cin >> turns >> batch >> think >> release) {
    if (turns < 1 || batch < 1) Fail("wrong usage");
    booster.Run(turns, batch, microseconds(think), release != 0);
  }
  return 0;
}
