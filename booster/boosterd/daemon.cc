// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/daemon.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "booster/boosterd/admin.h"
#include "booster/boosterd/assembly.h"
#include "booster/boosterd/worker.h"
#include "booster/front/config_load.h"
#include "booster/link/channel_client.h"
#include "booster/link/checker.h"
#include "booster/net/socket.h"
#include "ctl/observe/notify.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr int kBacklog = 4096;

absl::StatusOr<base::UniqueFd> Lock(const std::string& runtime_dir) {
  if (mkdir(runtime_dir.c_str(), 0750) != 0 && errno != EEXIST) {
    return base::PosixError("make", runtime_dir);
  }
  const std::string path = runtime_dir + "/boosterd.lock";
  base::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return base::PosixError("open", path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::AlreadyExistsError(absl::StrCat("a boosterd runs already, see ", path));
  }
  return fd;
}

uint32_t UsableCpus() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? static_cast<uint32_t>(CPU_COUNT(&set)) : 1;
}

// Every client takes one, an exchange perhaps another.
void RaiseFileLimit(uint32_t connections) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = 2 * static_cast<rlim_t>(connections) + 1024;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  spdlog::warn("only {} files may be open, {} are wanted for limits.connections", limit.rlim_max,
               wanted);
}

std::vector<tls::Site> SitesOf(const front::Config& config) {
  std::vector<tls::Site> sites;
  for (const front::Domain& domain : config.domains) {
    if (!domain.certificate) continue;
    tls::Site site = {.names = domain.aliases,
                      .chain_file = domain.certificate->chain_file,
                      .key_file = domain.certificate->key_file};
    site.names.push_back(domain.name);
    sites.push_back(std::move(site));
  }
  return sites;
}

class Daemon {
 public:
  explicit Daemon(const std::string& path) : path_(path) {}
  absl::Status Start(const front::Config& config);
  // By a signal, or by the control socket: one at a time. What is wrong leaves everything as it is.
  absl::StatusOr<api::BoosterReload> Reload();
  void ReopenLog() { shared_.log.Reopen(); }
  void Drain();

 private:
  absl::StatusOr<std::shared_ptr<const tls::Certificates>> LoadCertificates(
      const front::Config& config);
  absl::StatusOr<std::vector<ListeningSocket>> Listen(const front::Config& config);

  void ThinAcks(const front::Config& config);
  void Check();
  void TellCatalogues();
  absl::StatusOr<api::BoosterReload> ReadAgain();

  const std::string& path_;
  std::mutex reload_mutex_;
  front::Config config_;  // in force
  Shared shared_;
  std::optional<Assembly> assembly_;
  std::unique_ptr<link::ChannelClients> channels_;
  std::map<std::shared_ptr<const link::Origin>, link::ChannelClients::Id> channel_of_;
  std::unique_ptr<link::Checker> checker_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Admin> admin_;
  bool stopping_ = false;  // with reload_mutex_
};

absl::StatusOr<std::shared_ptr<const tls::Certificates>> Daemon::LoadCertificates(
    const front::Config& config) {
  std::vector<std::string> warnings;
  // Files that have not changed are not read again.
  const std::shared_ptr<const tls::Certificates> before =
      shared_.certificates ? shared_.certificates->certificates() : nullptr;
  auto loaded =
      tls::Certificates::Load(SitesOf(config), config.default_certificate, before.get(), &warnings);
  for (const std::string& warning : warnings) spdlog::warn("{}", warning);
  return loaded;
}

absl::StatusOr<std::vector<ListeningSocket>> Daemon::Listen(const front::Config& config) {
  std::vector<ListeningSocket> sockets;
  for (const front::Listener& listener : config.listeners) {
    WB_ASSIGN_OR_RETURN(const net::Address address,
                        net::Address::Make(listener.address.host, listener.address.port));
    WB_ASSIGN_OR_RETURN(base::UniqueFd fd, net::Listen(address, kBacklog));
    sockets.push_back({std::move(fd), listener.tls, listener.proxy_protocol});
  }
  return sockets;
}

// Without it everything works; the origins receive more packets.
void Daemon::ThinAcks(const front::Config& config) {
  if (!config.thin_acks || config.interfaces.empty()) return;
  auto thinning = link::AckThinning::Load();
  if (!thinning.ok()) {
    return spdlog::warn("ACKs are not thinned: {}", thinning.status().ToString());
  }
  for (const std::string& interface : config.interfaces) {
    if (absl::Status status = (*thinning)->Attach(interface); !status.ok()) {
      spdlog::warn("ACKs are not thinned on {}: {}", interface, status.ToString());
    }
  }
  shared_.thinning = *std::move(thinning);
}

absl::Status Daemon::Start(const front::Config& config) {
  const std::lock_guard lock(reload_mutex_);  // the control socket answers before all is done
  config_ = config;
  RaiseFileLimit(config.limits.connections);
  shared_.clients = std::make_unique<front::ClientTable>(4 * size_t{config.limits.connections});
  assembly_.emplace(*shared_.clients);
  WB_ASSIGN_OR_RETURN(auto snapshot, assembly_->Make(config));
  WB_ASSIGN_OR_RETURN(auto certificates, LoadCertificates(config));
  WB_ASSIGN_OR_RETURN(auto tickets, tls::TicketKeys::Make());
  WB_ASSIGN_OR_RETURN(shared_.certificates,
                      tls::CertificateStore::Make(std::move(tickets), std::move(certificates)));
  ThinAcks(config);
  const uint32_t count = config.workers > 0 ? config.workers : UsableCpus();
  for (uint32_t i = 0; i < count; ++i) {
    WB_ASSIGN_OR_RETURN(std::vector<ListeningSocket> sockets, Listen(config));
    WB_ASSIGN_OR_RETURN(auto worker, Worker::Make(shared_, snapshot, std::move(sockets)));
    workers_.push_back(std::move(worker));
  }
  shared_.log.Configure(config.access_log);
  for (const auto& worker : workers_) worker->Start();
  WB_ASSIGN_OR_RETURN(checker_, link::Checker::Start([](const link::Origin& origin, bool up,
                                                        const std::string& why) {
                        if (up) {
                          spdlog::info("origin {} is up: {}", origin.name, why);
                        } else {
                          spdlog::warn("origin {} is down: {}", origin.name, why);
                        }
                      }));
  WB_ASSIGN_OR_RETURN(channels_, link::ChannelClients::Start());
  Check();
  TellCatalogues();
  WB_ASSIGN_OR_RETURN(admin_,
                      Admin::Start(snapshot, {workers_, shared_.log, [this] { return Reload(); }}));
  for (const front::Listener& listener : config.listeners) {
    spdlog::info("listening on {}{}", listener.address.ToString(), listener.tls ? ", TLS" : "");
  }
  spdlog::info("serving {} domains with {} workers", config.domains.size(), count);
  return absl::OkStatus();
}

void Daemon::Check() {
  std::vector<link::Check> checks;
  for (const Assembly::OriginInUse& in_use : assembly_->origins()) {
    checks.push_back({in_use.origin, in_use.host, in_use.health.path, in_use.health.interval,
                      in_use.health.timeout});
  }
  checker_->Check(std::move(checks));
}

// One channel to each accelerator that the configuration names.
void Daemon::TellCatalogues() {
  std::map<std::shared_ptr<const link::Origin>, link::ChannelClients::Id> kept;
  for (const Assembly::OriginInUse& in_use : assembly_->origins()) {
    if (!in_use.catalogue) continue;
    if (const auto at = channel_of_.find(in_use.origin); at != channel_of_.end()) {
      kept.insert(channel_of_.extract(at));
      continue;
    }
    const link::ChannelTarget target = {in_use.catalogue->host, in_use.catalogue->port,
                                        *in_use.origin->secret};
    const auto id = channels_->Add(target, *in_use.origin->catalogue);
    if (id.ok()) {
      kept.emplace(in_use.origin, *id);
    } else {
      spdlog::error("no catalogue of {}: {}", in_use.origin->name, id.status().ToString());
    }
  }
  channel_of_.swap(kept);
  for (const auto& [origin, id] : kept) channels_->Remove(id);
}

absl::StatusOr<api::BoosterReload> Daemon::Reload() {
  const std::lock_guard lock(reload_mutex_);
  if (stopping_) return absl::FailedPreconditionError("boosterd is stopping");
  observe::NotifyManager("RELOADING=1");
  absl::StatusOr<api::BoosterReload> reload = ReadAgain();
  observe::NotifyManager("READY=1");
  if (!reload.ok()) {
    spdlog::error("not reloaded: {}", reload.status().ToString());
    return reload;
  }
  for (const std::string& warning : reload->warnings) spdlog::warn("{}", warning);
  for (const std::string& key : reload->restart) {
    spdlog::warn("{} has changed: it takes a restart, and stays as it was", key);
  }
  spdlog::info("reloaded: {} domains", reload->domains);
  return reload;
}

absl::StatusOr<api::BoosterReload> Daemon::ReadAgain() {
  api::BoosterReload reload;
  WB_ASSIGN_OR_RETURN(front::Config config, front::Load(path_, &reload.warnings));
  for (const std::string_view key : front::NeedRestart(config_, config)) {
    reload.restart.emplace_back(key);
  }
  WB_ASSIGN_OR_RETURN(auto certificates, LoadCertificates(config));
  WB_ASSIGN_OR_RETURN(auto snapshot, assembly_->Make(config));
  shared_.certificates->Replace(std::move(certificates));
  shared_.log.Configure(config.access_log);
  for (const auto& worker : workers_) worker->Adopt(snapshot);
  Check();
  TellCatalogues();
  admin_->Adopt(snapshot);
  config_.timeouts = config.timeouts;
  reload.domains = config.domains.size();
  return reload;
}

void Daemon::Drain() {
  {
    const std::lock_guard lock(reload_mutex_);
    stopping_ = true;
  }
  admin_->SetDraining();
  std::atomic<int> left = static_cast<int>(workers_.size());
  for (const auto& worker : workers_) worker->Drain(left);
  const auto end = net::Clock::now() + config_.timeouts.drain;
  while (left > 0 && net::Clock::now() < end) {
    const timespec pause = {.tv_sec = 0, .tv_nsec = 10'000'000};
    nanosleep(&pause, nullptr);
  }
  if (left > 0) {
    spdlog::warn("{} connections are ended before their requests", shared_.connections.load());
  }
  admin_.reset();
  for (const auto& worker : workers_) worker->Stop();
  workers_.clear();
}

}  // namespace

absl::Status RunDaemon(const front::Config& config, const std::string& path) {
  // Before there are threads, which inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  WB_ASSIGN_OR_RETURN(const base::UniqueFd lock, Lock(config.runtime_dir));
  Daemon daemon(path);
  WB_RETURN_IF_ERROR(daemon.Start(config));
  observe::NotifyManager("READY=1");
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number == SIGUSR1) {
      daemon.ReopenLog();
    } else if (number == SIGHUP) {
      (void)daemon.Reload();
    } else {
      break;
    }
  }
  observe::NotifyManager("STOPPING=1");
  spdlog::info("draining");
  daemon.Drain();
  return absl::OkStatus();
}

}  // namespace wb::boosterd
