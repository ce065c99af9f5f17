// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/boosters.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/boost/etcd_store.h"
#include "booster/boost/file_store.h"
#include "ctl/config/load.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boosterd {
namespace {

absl::StatusOr<std::string> ReadPassword(const std::string& path) {
  const base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return base::PosixError("open", path);
  struct stat status = {};
  if (fstat(fd.get(), &status) != 0) return base::PosixError("examine", path);
  if (!S_ISREG(status.st_mode) || (status.st_mode & 07137) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": must be a file of mode 0600 or 0640"));
  }
  char text[1024];
  const ssize_t n = read(fd.get(), text, sizeof(text));
  if (n < 0) return base::PosixError("read", path);
  std::string password(text, static_cast<size_t>(n));
  if (password.ends_with('\n')) password.pop_back();
  if (password.empty() || n == sizeof(text))
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds no password"));
  return password;
}

}  // namespace

absl::Status Boosters::Start(Changed changed) {
  if (config_.peers.empty()) return absl::OkStatus();
  boost::PeerHealth::Options options;
  options.address = config_.tunnel[0];
  options.port = config_.peer_port;
  WB_ASSIGN_OR_RETURN(options.key, config::ReadBoosterKey(config_.peer_key_file));
  options.peers = config_.peers;
  options.changed = std::move(changed);
  WB_ASSIGN_OR_RETURN(auto health, boost::PeerHealth::Start(std::move(options)));
  const std::lock_guard lock(mutex_);
  health_ = std::move(health);
  return absl::OkStatus();
}

void Boosters::Stop() {
  std::unique_ptr<boost::PeerHealth> ended;
  {
    const std::lock_guard lock(mutex_);
    ended.swap(health_);
  }
}

bool Boosters::Leads() const {
  const std::lock_guard lock(mutex_);
  return !health_ || health_->Leads();
}

std::vector<api::BoostPeer> Boosters::Report() const {
  std::vector<api::BoostPeer> report;
  const std::lock_guard lock(mutex_);
  for (const std::string& peer : config_.peers)
    report.push_back({peer, health_ && health_->Alive(peer)});
  return report;
}

absl::StatusOr<std::unique_ptr<boost::Store>> Boosters::MakeStore() const {
  if (config_.etcd.endpoints.empty()) return std::make_unique<boost::FileStore>(config_.state_file);
  boost::EtcdStore::Options options;
  options.access.endpoints = config_.etcd.endpoints;
  options.access.user = config_.etcd.user;
  if (!config_.etcd.password_file.empty()) {
    WB_ASSIGN_OR_RETURN(options.access.password, ReadPassword(config_.etcd.password_file));
  }
  options.access.ca_file = config_.etcd.ca_file;
  options.access.chain_file = config_.etcd.chain_file;
  options.access.key_file = config_.etcd.key_file;
  options.prefix = config_.etcd.prefix;
  options.id = id_;
  options.address = config_.tunnel.empty() ? "" : config_.tunnel[0];
  options.file = config_.state_file;
  return std::make_unique<boost::EtcdStore>(std::move(options));
}

}  // namespace wb::boosterd
