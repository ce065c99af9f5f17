// SPDX-License-Identifier: Apache-2.0
// Debian's etcd on the loopback, with a directory of its own: killed and started again as a test
// likes. With files of PEM it is https, and wants certificates of clients if it has a CA for them.
#ifndef TESTS_UNIT_BOOST_ETCD_SERVER_H_
#define TESTS_UNIT_BOOST_ETCD_SERVER_H_

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "booster/boost/etcd_client.h"
#include "booster/net/socket.h"
#include "cache_temp_dir.h"

namespace wb::boost {

class EtcdServer {
 public:
  struct Tls {
    std::string cert, key, client_ca = {};
  };

  EtcdServer() : client_port_(FreePort()), peer_port_(FreePort()) {}
  explicit EtcdServer(Tls tls) : EtcdServer() { tls_ = std::move(tls); }
  ~EtcdServer() { Kill(); }

  std::string url() const {
    const std::string plain = Url(client_port_);
    return tls_ ? "https" + plain.substr(plain.find(':')) : plain;
  }

  // False: it does not answer within 20 s. `access`: by which it is asked; its endpoints are set.
  bool Start(EtcdAccess access = {}, int tries = 400) {
    const std::string peers = Url(peer_port_);
    std::vector<std::string> words = {"etcd",
                                      "--data-dir",
                                      dir_ / "data",
                                      "--unsafe-no-fsync",
                                      "--listen-client-urls",
                                      url(),
                                      "--advertise-client-urls",
                                      url(),
                                      "--listen-peer-urls",
                                      peers,
                                      "--initial-advertise-peer-urls",
                                      peers,
                                      "--initial-cluster",
                                      "default=" + peers};
    if (tls_) {
      words.insert(words.end(), {"--cert-file", tls_->cert, "--key-file", tls_->key});
      if (!tls_->client_ca.empty())
        words.insert(words.end(), {"--client-cert-auth", "--trusted-ca-file", tls_->client_ca});
    }
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    for (const int fd : {1, 2}) {
      posix_spawn_file_actions_addopen(&files, fd, (dir_ / "log").c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
    const int error = posix_spawnp(&pid_, "etcd", &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) return false;
    access.endpoints = {url()};
    EtcdClient client(access);
    for (int i = 0; i < tries; ++i) {
      if (client.Call("/v3/maintenance/status", nlohmann::json::object()).ok()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  // As a power failure does it.
  void Kill() { End(SIGKILL); }
  // Stands still: connections are open and nothing answers.
  void Stop() { kill(pid_, SIGSTOP); }
  void Continue() { kill(pid_, SIGCONT); }

 private:
  static std::string Url(uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }
  static uint16_t FreePort() {
    const auto fd = net::Listen(*net::Address::Make("127.0.0.1", 0), 1);
    net::Address own;
    own.length = sizeof(own.storage);
    getsockname(fd->get(), reinterpret_cast<sockaddr*>(&own.storage), &own.length);
    return own.Port();
  }
  void End(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  const cache::TempDir dir_;
  const uint16_t client_port_, peer_port_;
  std::optional<Tls> tls_;
  pid_t pid_ = 0;
};

}  // namespace wb::boost

#endif  // TESTS_UNIT_BOOST_ETCD_SERVER_H_
