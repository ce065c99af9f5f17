// SPDX-License-Identifier: Apache-2.0
// wb_relay: what it costs to pass bytes from one TCP connection to another, by each way that Linux
// has. Run on the booster of a lab; source and sink are children in namespaces of the lab, on CPU
// 0. Prints for each way the CPU time of this process, and of the kernel's threads of this CPU
// (NAPI of the booster's interfaces, ksoftirqd, kworker), in microseconds a megabyte.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/errqueue.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace wb::bench {
namespace {

constexpr size_t kMegabyte = 1 << 20;
constexpr size_t kChunk = 64 << 10;  // as boosterd reads
constexpr uint16_t kRelayPort = 7001, kSinkPort = 7002;

struct Options {
  std::string prefix;
  std::vector<std::string> ways;
  size_t megabytes = 512;
  int rounds = 3;
};

template <typename T>
T Must(T result, const char* what) {
  if (result >= 0) return result;
  std::fprintf(stderr, "wb_relay: %s: %s\n", what, std::strerror(errno));
  _exit(1);
}

sockaddr_in At(const char* ip, uint16_t port) {
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  inet_pton(AF_INET, ip, &at.sin_addr);
  return at;
}

int Listen(uint16_t port) {
  const int fd = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in at = At("0.0.0.0", port);
  Must(bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), "bind");
  Must(listen(fd, 1), "listen");
  return fd;
}

int Connect(const char* ip, uint16_t port) {
  const sockaddr_in at = At(ip, port);
  for (int turn = 0; turn < 200; ++turn) {
    const int fd = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    if (connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0) return fd;
    close(fd);
    usleep(10000);
  }
  return Must(-1, "connect");
}

// A child on a host of the lab, on CPU 0.
pid_t On(const std::string& prefix, const char* host, const std::function<void()>& run) {
  const pid_t pid = Must(fork(), "fork");
  if (pid != 0) return pid;
  const int ns = Must(open(("/run/netns/" + prefix + "-" + host).c_str(), O_RDONLY), "namespace");
  Must(setns(ns, CLONE_NEWNET), "setns");
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  Must(sched_setaffinity(0, sizeof(cpus), &cpus), "CPU 0");
  run();
  _exit(0);
}

void SendAll(int fd, const char* data, size_t size, int flags = 0) {
  while (size > 0) {
    const ssize_t n = Must(send(fd, data, size, MSG_NOSIGNAL | flags), "send");
    data += n;
    size -= static_cast<size_t>(n);
  }
}

void Source(size_t megabytes) {
  const std::vector<char> body(kMegabyte, 'x');
  const int fd = Connect("198.18.1.2", kRelayPort);
  for (size_t i = 0; i < megabytes; ++i) SendAll(fd, body.data(), body.size());
  close(fd);
}

// Takes the bytes without copying them.
void Sink(int listener, size_t megabytes) {
  const int fd = Must(accept(listener, nullptr, nullptr), "accept");
  size_t left = megabytes * kMegabyte;
  while (left > 0) {
    const ssize_t n = Must(recv(fd, nullptr, left, MSG_TRUNC), "recv");
    if (n == 0) _exit(1);
    left -= static_cast<size_t>(n);
  }
  close(fd);
}

void Copy(int in, int out) {
  std::vector<char> buffer(kChunk);
  while (const ssize_t n = Must(recv(in, buffer.data(), buffer.size(), 0), "recv")) {
    SendAll(out, buffer.data(), static_cast<size_t>(n));
  }
}

void Splice(int in, int out) {
  int pipes[2];
  Must(pipe(pipes), "pipe");
  Must(fcntl(pipes[1], F_SETPIPE_SZ, kMegabyte), "F_SETPIPE_SZ");
  while (ssize_t left =
             Must(splice(in, nullptr, pipes[1], nullptr, kMegabyte, SPLICE_F_MOVE), "splice")) {
    while (left > 0) {
      left -= Must(splice(pipes[0], nullptr, out, nullptr, static_cast<size_t>(left),
                          SPLICE_F_MOVE | SPLICE_F_MORE),
                   "splice");
    }
  }
  close(pipes[0]);
  close(pipes[1]);
}

// Takes notifications; true if the kernel had to copy after all.
bool Completed(int fd, uint32_t* upto) {
  bool copied = false;
  std::array<char, 128> control;
  msghdr message = {};
  message.msg_control = control.data();
  for (;;) {
    message.msg_controllen = control.size();
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return copied;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      sock_extended_err error;
      std::memcpy(&error, CMSG_DATA(c), sizeof(error));
      *upto = error.ee_data + 1;
      copied = copied || (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
    }
  }
}

void ZeroCopy(int in, int out) {
  constexpr size_t kBuffers = 64;
  const int on = 1;
  Must(setsockopt(out, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)), "SO_ZEROCOPY");
  std::vector<char> buffers(kBuffers * kChunk);
  uint32_t sent = 0, done = 0, chunk = 0;
  std::array<uint32_t, kBuffers> last = {};  // number of sends when the buffer was sent whole
  bool copied = false;
  for (;; ++chunk) {
    const size_t place = chunk % kBuffers;
    while (chunk >= kBuffers && static_cast<int32_t>(done - last[place]) < 0) {
      copied = Completed(out, &done) || copied;
    }
    char* data = &buffers[place * kChunk];
    ssize_t n = Must(recv(in, data, kChunk, 0), "recv");
    if (n == 0) break;
    for (; n > 0; ++sent) {
      const ssize_t took = send(out, data, static_cast<size_t>(n), MSG_NOSIGNAL | MSG_ZEROCOPY);
      if (took < 0 && errno == ENOBUFS) {
        copied = Completed(out, &done) || copied;
        --sent;
        continue;
      }
      data += Must(took, "send");
      n -= took;
    }
    last[place] = sent;
  }
  while (static_cast<int32_t>(done - sent) < 0) copied = Completed(out, &done) || copied;
  if (copied)
    std::printf("  (zerocopy: the kernel copied, as it does for receivers on the same machine)\n");
}

// The kernel passes on what arrives, without this process. Returns when the source has ended.
void SockMap(int in, int out) {
  const int map = Must(bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "wb_relay", 4, 4, 1, nullptr), "map");
  // return bpf_sk_redirect_map(skb, &map, 0, 0)
  const bpf_insn program[] = {
      {.code = BPF_LD | BPF_DW | BPF_IMM,
       .dst_reg = 2,
       .src_reg = BPF_PSEUDO_MAP_FD,
       .off = 0,
       .imm = map},
      {.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_CALL,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = BPF_FUNC_sk_redirect_map},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const int verdict = Must(
      bpf_prog_load(BPF_PROG_TYPE_SK_SKB, "wb_relay", "GPL", program, std::size(program), nullptr),
      "program");
  // The program redirects to place 0; the source's socket has the program by a map of its own.
  const int sources =
      Must(bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "wb_relay_in", 4, 4, 1, nullptr), "map");
  Must(bpf_prog_attach(verdict, sources, BPF_SK_SKB_STREAM_VERDICT, 0), "attach");
  const uint32_t place = 0;
  Must(bpf_map_update_elem(map, &place, &out, BPF_ANY), "sink into the map");
  Must(bpf_map_update_elem(sources, &place, &in, BPF_ANY), "source into the map");
  // What came before the socket was in the map has to be passed on by hand.
  std::vector<char> buffer(kChunk);
  while (const ssize_t n = recv(in, buffer.data(), buffer.size(), 0)) {
    if (n > 0) SendAll(out, buffer.data(), static_cast<size_t>(n));
  }
  close(verdict);
  close(sources);
  close(map);
}

// recv of a whole chunk and the send behind it, linked: one call for both.
void IoUring(int in, int out) {
  io_uring_params params = {};
  const int ring =
      Must(static_cast<int>(syscall(SYS_io_uring_setup, 4, &params)), "io_uring_setup");
  const size_t bytes =
      std::max<size_t>(params.sq_off.array + params.sq_entries * 4,
                       params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
  auto* base = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING));
  auto* sqes = static_cast<io_uring_sqe*>(mmap(nullptr, params.sq_entries * sizeof(io_uring_sqe),
                                               PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                                               ring, IORING_OFF_SQES));
  if (base == MAP_FAILED || sqes == MAP_FAILED) Must(-1, "mmap");
  const auto word = [base](uint32_t off) {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(base + off));
  };
  const uint32_t mask = params.sq_entries - 1, cq_mask = params.cq_entries - 1;
  const auto* cqes = reinterpret_cast<const io_uring_cqe*>(base + params.cq_off.cqes);
  std::vector<char> buffer(kChunk);
  for (;;) {
    uint32_t tail = word(params.sq_off.tail);
    for (const uint8_t op : {IORING_OP_RECV, IORING_OP_SEND}) {
      io_uring_sqe* sqe = &sqes[tail & mask];
      *sqe = {};
      sqe->opcode = op;
      sqe->fd = op == IORING_OP_RECV ? in : out;
      sqe->addr = reinterpret_cast<uint64_t>(buffer.data());
      sqe->len = kChunk;
      sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
      if (op == IORING_OP_RECV) sqe->flags = IOSQE_IO_LINK;
      word(params.sq_off.array + (tail & mask) * 4) = tail & mask;
      ++tail;
    }
    word(params.sq_off.tail).store(tail, std::memory_order_release);
    Must(syscall(SYS_io_uring_enter, ring, 2, 2, IORING_ENTER_GETEVENTS, nullptr, 0),
         "io_uring_enter");
    uint32_t head = word(params.cq_off.head);
    const int received = cqes[head & cq_mask].res;
    const uint32_t completed = word(params.cq_off.tail).load(std::memory_order_acquire) - head;
    word(params.cq_off.head).store(head + completed, std::memory_order_release);
    if (received == 0) break;  // a megabyte has whole chunks
    Must(received, "recv");
  }
  munmap(base, bytes);
  munmap(sqes, params.sq_entries * sizeof(io_uring_sqe));
  close(ring);
}

// Run time in ns of the kernel's threads that relay: NAPI of the booster's interfaces, and those of
// CPU 1.
uint64_t KernelNs(const std::string& prefix) {
  uint64_t sum = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "comm");
    std::string comm;
    if (!std::getline(file, comm)) continue;
    if (!comm.starts_with("napi/" + prefix + "b") && comm != "ksoftirqd/1" &&
        !comm.starts_with("kworker/1:") && !comm.starts_with("kworker/u"))
      continue;
    uint64_t ns = 0;
    std::ifstream(entry.path() / "schedstat") >> ns;
    sum += ns;
  }
  return sum;
}

uint64_t OwnNs() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}

void Measure(const Options& options, const std::string& way,
             const std::function<void(int, int)>& relay) {
  const int listener = Listen(kRelayPort);
  const pid_t sink =
      On(options.prefix, "client", [&] { Sink(Listen(kSinkPort), options.megabytes); });
  const int out = Connect("198.18.2.2", kSinkPort);
  const pid_t source = On(options.prefix, "origin", [&] { Source(options.megabytes); });
  const int in = Must(accept(listener, nullptr, nullptr), "accept");
  const uint64_t own = OwnNs(), kernel = KernelNs(options.prefix);
  const auto begin = std::chrono::steady_clock::now();
  relay(in, out);
  int status = 0, source_status = 0;
  waitpid(sink, &status, 0);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double megabytes = static_cast<double>(options.megabytes);
  const double process = static_cast<double>(OwnNs() - own) / 1e3 / megabytes;
  const double threads = static_cast<double>(KernelNs(options.prefix) - kernel) / 1e3 / megabytes;
  waitpid(source, &source_status, 0);
  if (status != 0 || source_status != 0) Must(-1, "source or sink");
  std::printf("%-9s %7.0f us/MB process %7.0f kernel %7.0f both %8.0f MB/s\n", way.c_str(), process,
              threads, process + threads, megabytes / seconds);
  std::fflush(stdout);
  close(in);
  close(out);
  close(listener);
}

int Main(int argc, char** argv) {
  const std::map<std::string, std::function<void(int, int)>> ways = {{"copy", Copy},
                                                                     {"splice", Splice},
                                                                     {"zerocopy", ZeroCopy},
                                                                     {"sockmap", SockMap},
                                                                     {"io_uring", IoUring}};
  Options options;
  CLI::App app{"What passing bytes from one TCP connection to another costs"};
  app.add_option("--prefix", options.prefix, "of the lab, on whose booster this runs")->required();
  app.add_option("--way", options.ways,
                 "copy, splice, zerocopy, sockmap, io_uring; repeatable; default: all");
  app.add_option("--megabytes", options.megabytes, "of each measurement")->capture_default_str();
  app.add_option("--rounds", options.rounds, "of all ways in turn")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  for (int round = 0; round < options.rounds; ++round) {
    for (const auto& [way, relay] : ways) {
      if (!options.ways.empty() &&
          std::find(options.ways.begin(), options.ways.end(), way) == options.ways.end())
        continue;
      Measure(options, way, relay);
    }
  }
  return 0;
}

}  // namespace
}  // namespace wb::bench

int main(int argc, char** argv) { return wb::bench::Main(argc, argv); }
