// SPDX-License-Identifier: Apache-2.0
#include "bench/floor_sender.h"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "bench/cpu_time.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bench {
namespace {

constexpr int kPort = 9;  // FLOOR_PORT; answers come back to the same, since ports are not swapped
constexpr int kBurst = 16;
constexpr int kReceive = 256;
constexpr double kGiveUpS = 0.02;
constexpr size_t kLargestFrame = 4096;
constexpr int kReceiveBytes = 32 << 20;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Sender {
 public:
  explicit Sender(const FloorSendOptions& options)
      : options_(options), payload_(options.payload_bytes, 'x') {
    out_iov_ = {.iov_base = payload_.data(), .iov_len = payload_.size()};
    for (mmsghdr& m : out_) {
      m = {};
      m.msg_hdr.msg_iov = &out_iov_;
      m.msg_hdr.msg_iovlen = 1;
    }
    // What arrives is read, as every receiver does: memory that another CPU has read is dearer to
    // write again.
    for (int i = 0; i < kReceive; ++i) {
      in_iov_[i] = {.iov_base = buffer_.data(), .iov_len = buffer_.size()};
      in_[i] = {};
      in_[i].msg_hdr.msg_iov = &in_iov_[i];
      in_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  FloorSendResult Run() {
    if (!Open()) result_.error = std::string("socket: ") + std::strerror(errno);
    double start = Now();
    bool warm = true;
    uint64_t received = 0;
    std::map<std::string, int64_t> before;
    while (result_.error.empty()) {
      const double now = Now();
      if (warm && now - start > options_.warm_s) {
        warm = false;
        start = now;
        received = received_;
        before = RunTimes(options_.cpu_pids);
      } else if (!warm && now - start > options_.window_s) {
        break;
      }
      Fill();
      Collect();
    }
    if (!result_.error.empty()) return result_;
    result_.seconds = Now() - start;
    result_.requests = static_cast<double>(received_ - received) / options_.segments;
    result_.cpu_ns = RunTimesSince(before, options_.cpu_pids);
    if (received_ == received) result_.error = "nothing was answered";
    return result_;
  }

 private:
  bool Open() {
    fd_.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(kPort);
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes));
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return false;
    if (inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) {
      errno = EINVAL;
      return false;
    }
    return connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }

  void Fill() {
    const int64_t missing = static_cast<int64_t>(sent_) * options_.segments -
                            static_cast<int64_t>(received_ + result_.lost);
    const int64_t out = (missing + options_.segments - 1) / options_.segments;
    const int room = std::clamp<int64_t>(options_.outstanding - out, 0, kBurst);
    if (room == 0) return;
    const int n = sendmmsg(fd_.get(), out_, room, 0);
    if (n > 0) {
      sent_ += n;
    } else if (errno != ENOBUFS && errno != EAGAIN) {
      result_.error = std::string("sendmmsg: ") + std::strerror(errno);
    }
  }

  // Never sleeps, for the reason that LoadDriver gives.
  void Collect() {
    const double begun = Now();
    int n = 0;
    while ((n = recvmmsg(fd_.get(), in_, kReceive, MSG_DONTWAIT | MSG_TRUNC, nullptr)) <= 0) {
      if (Now() - begun > kGiveUpS) {
        result_.lost = sent_ * options_.segments - received_;
        return;
      }
      sched_yield();
    }
    received_ += n;
  }

  FloorSendOptions options_;
  std::string payload_;
  std::vector<char> buffer_ = std::vector<char>(kLargestFrame);
  iovec out_iov_ = {};
  iovec in_iov_[kReceive];
  mmsghdr out_[kBurst];
  mmsghdr in_[kReceive];
  base::UniqueFd fd_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  FloorSendResult result_;
};

}  // namespace

FloorSendResult SendToFloor(const FloorSendOptions& options) { return Sender(options).Run(); }

}  // namespace wb::bench
