// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/daemon.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "booster/boosterd/admin.h"
#include "booster/boosterd/assembly.h"
#include "booster/boosterd/handover.h"
#include "booster/boosterd/listeners.h"
#include "booster/boosterd/origin_channels.h"
#include "booster/boosterd/process.h"
#include "booster/boosterd/redirection.h"
#include "booster/boosterd/upgrade.h"
#include "booster/boosterd/worker.h"
#include "booster/front/config_load.h"
#include "booster/link/checker.h"
#include "ctl/observe/notify.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::seconds kPredecessorTime(10);  // for each of its answers

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
  explicit Daemon(Invocation& invocation) : invocation_(invocation) {}
  absl::Status Start(const front::Config& config);
  // By a signal, or by the control socket: one at a time. What is wrong leaves everything as it is.
  absl::StatusOr<api::BoosterReload> Reload();
  // Likewise. When it has succeeded, this process is to end: it sends itself SIGTERM.
  absl::StatusOr<api::BoosterUpgrade> Upgrade();
  void UpgradeBySignal();  // returns at once: a stop may come meanwhile
  bool replaced() const { return replaced_; }
  void ReopenLog() { shared_.log.Reopen(); }
  void Drain();

 private:
  absl::StatusOr<std::shared_ptr<const tls::Certificates>> LoadCertificates(
      const front::Config& config);
  absl::StatusOr<std::shared_ptr<const front::Snapshot>> Prepare(const front::Config& config);
  absl::StatusOr<Inheritance> TakeOver();
  void Confirm();
  absl::StatusOr<Successor> StartSuccessor();

  void ThinAcks(const front::Config& config);
  void Check();
  absl::Status Redirect(const std::shared_ptr<const front::Snapshot>& snapshot);
  absl::StatusOr<api::BoosterReload> ReadAgain();

  Invocation& invocation_;
  base::UniqueFd lock_;
  std::mutex reload_mutex_;
  front::Config config_;  // in force
  Shared shared_;
  std::optional<Assembly> assembly_;
  OriginChannels channels_;
  std::unique_ptr<link::Checker> checker_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Redirection> redirection_;  // none: no domain has VIPs
  std::unique_ptr<Admin> admin_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> upgrading_ = false;
  std::atomic<bool> replaced_ = false;
  std::thread upgrade_;
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

// All that needs no listening socket. Origins are checked and catalogues told from here on.
absl::StatusOr<std::shared_ptr<const front::Snapshot>> Daemon::Prepare(
    const front::Config& config) {
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
  WB_ASSIGN_OR_RETURN(checker_, link::Checker::Start([](const link::Origin& origin, bool up,
                                                        const std::string& why) {
                        if (up) {
                          spdlog::info("origin {} is up: {}", origin.name, why);
                        } else {
                          spdlog::warn("origin {} is down: {}", origin.name, why);
                        }
                      }));
  WB_RETURN_IF_ERROR(channels_.Open());
  Check();
  channels_.Keep(assembly_->origins());
  return snapshot;
}

// From here on the predecessor waits for us to accept its clients.
absl::StatusOr<Inheritance> Daemon::TakeOver() {
  const int socket = invocation_.predecessor.get();
  WB_RETURN_IF_ERROR(SendHandover(socket, HandoverKind::kPrepared, WB_VERSION));
  WB_ASSIGN_OR_RETURN(Inheritance heir, Inherit(socket, net::Clock::now() + kPredecessorTime));
  if (absl::Status taken = shared_.certificates->tickets().Import(heir.tickets); !taken.ok())
    spdlog::warn("TLS sessions are not resumed: {}", taken.ToString());
  OPENSSL_cleanse(heir.tickets.data(), heir.tickets.size());
  return heir;
}

absl::Status Daemon::Start(const front::Config& config) {
  const std::lock_guard lock(reload_mutex_);  // the control socket answers before all is done
  const bool heir = invocation_.predecessor.valid();
  Inheritance inherited;
  if (!heir) {
    WB_ASSIGN_OR_RETURN(lock_, LockDirectory(config.runtime_dir, {}));
  }
  WB_ASSIGN_OR_RETURN(auto snapshot, Prepare(config));
  if (heir) {
    WB_ASSIGN_OR_RETURN(inherited, TakeOver());
    WB_ASSIGN_OR_RETURN(lock_, LockDirectory(config.runtime_dir, std::move(inherited.lock)));
  }
  const uint32_t count = config.workers > 0 ? config.workers : UsableCpus();
  WB_ASSIGN_OR_RETURN(auto sockets, BindForAll(config, count, std::move(inherited.listeners)));
  for (std::vector<ListeningSocket>& own : sockets) {
    WB_ASSIGN_OR_RETURN(auto worker, Worker::Make(shared_, snapshot, std::move(own)));
    workers_.push_back(std::move(worker));
  }
  WB_RETURN_IF_ERROR(Redirect(snapshot));
  WB_ASSIGN_OR_RETURN(admin_, Admin::Start(snapshot,
                                           {workers_, shared_.log, [this] { return Reload(); },
                                            [this] { return Upgrade(); }, redirection_.get()},
                                           heir ? &inherited.control_socket : nullptr));
  shared_.log.Configure(config.access_log);
  // Not before: where another listens, part of its clients would come to us.
  for (const auto& worker : workers_) WB_RETURN_IF_ERROR(worker->Listen());
  for (const auto& worker : workers_) worker->Start();
  if (redirection_) WB_RETURN_IF_ERROR(redirection_->Begin());
  if (heir) {
    Confirm();
  } else {
    observe::NotifyManager("READY=1");
  }
  for (const front::Listener& listener : config.listeners) {
    spdlog::info("listening on {}{}", listener.address.ToString(), listener.tls ? ", TLS" : "");
  }
  spdlog::info("serving {} domains with {} workers", config.domains.size(), count);
  return absl::OkStatus();
}

void Daemon::Confirm() {
  const int socket = invocation_.predecessor.get();
  // Should it have ended in this moment, we are alone all the same.
  (void)SendHandover(socket, HandoverKind::kServing);
  (void)ReceiveHandover(socket, net::Clock::now() + kPredecessorTime);  // it lets go
  if (absl::Status taken = admin_->TakePlace(); !taken.ok())
    spdlog::error("no control socket: {}", taken.ToString());
  observe::NotifyManager("READY=1");
  (void)SendHandover(socket, HandoverKind::kDone);
  invocation_.predecessor.reset();
}

void Daemon::Check() {
  std::vector<link::Check> checks;
  for (const Assembly::OriginInUse& in_use : assembly_->origins()) {
    checks.push_back({in_use.origin, in_use.host, in_use.health.path, in_use.health.interval,
                      in_use.health.timeout});
  }
  checker_->Check(std::move(checks));
}

// Domains are calm before that, or as another process has left them.
absl::Status Daemon::Redirect(const std::shared_ptr<const front::Snapshot>& snapshot) {
  if (!Redirection::Wanted(snapshot->config)) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(redirection_, Redirection::Start(snapshot, channels_.list(),
                                                       {workers_, channels_.clients()}));
  return absl::OkStatus();
}

absl::StatusOr<api::BoosterReload> Daemon::Reload() {
  if (upgrading_) return absl::FailedPreconditionError("an upgrade is under way");
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
  WB_ASSIGN_OR_RETURN(front::Config config, front::Load(invocation_.config, &reload.warnings));
  for (const std::string_view key : front::NeedRestart(config_, config)) {
    reload.restart.emplace_back(key);
  }
  WB_ASSIGN_OR_RETURN(auto certificates, LoadCertificates(config));
  WB_ASSIGN_OR_RETURN(auto snapshot, assembly_->Make(config));
  shared_.certificates->Replace(std::move(certificates));
  shared_.log.Configure(config.access_log);
  for (const auto& worker : workers_) worker->Adopt(snapshot);
  Check();
  channels_.Keep(assembly_->origins());
  if (redirection_) {
    if (absl::Status status = redirection_->Adopt(snapshot, channels_.list()); !status.ok()) {
      reload.warnings.push_back(absl::StrCat("the redirection is as it was: ", status.ToString()));
    }
  } else if (Redirection::Wanted(config)) {
    reload.restart.emplace_back("domains[].redirect");
  }
  admin_->Adopt(snapshot);
  config_.timeouts = config.timeouts;
  reload.domains = config.domains.size();
  return reload;
}

absl::StatusOr<Successor> Daemon::StartSuccessor() {
  Estate estate;
  estate.lock = lock_.get();
  estate.tickets = shared_.certificates->tickets().Export();
  for (const auto& worker : workers_) {
    const std::vector<int> fds = worker->listening();
    estate.listeners.insert(estate.listeners.end(), fds.begin(), fds.end());
  }
  estate.control_socket = config_.api.socket;
  admin_->AllowSuccessor();
  auto successor = HandOver(invocation_.program, invocation_.config, estate, stopping_);
  OPENSSL_cleanse(estate.tickets.data(), estate.tickets.size());
  return successor;
}

absl::StatusOr<api::BoosterUpgrade> Daemon::Upgrade() {
  if (upgrading_.exchange(true)) return absl::FailedPreconditionError("an upgrade is under way");
  const std::lock_guard lock(reload_mutex_);
  if (stopping_) return absl::FailedPreconditionError("boosterd is stopping");
  spdlog::info("upgrading to {}", invocation_.program);
  if (redirection_) redirection_->Freeze();
  absl::StatusOr<Successor> successor = StartSuccessor();
  if (successor.ok() && stopping_) {
    kill(successor->pid, SIGTERM);  // both are to stop
    return absl::CancelledError("boosterd is stopping");
  }
  if (successor.ok()) {
    observe::NotifyManager(absl::StrCat("MAINPID=", successor->pid));
    if (!successor->LetGo()) {
      observe::NotifyManager(absl::StrCat("MAINPID=", getpid()));
      successor = absl::FailedPreconditionError("the new boosterd ended as soon as it served");
    }
  }
  if (!successor.ok()) {
    spdlog::error("not upgraded: {}", successor.status().ToString());
    if (redirection_) redirection_->Thaw();
    upgrading_ = false;
    return successor.status();
  }
  replaced_ = true;
  if (redirection_) redirection_->Retire();
  channels_.Leave();  // the successor has its own
  admin_->LeavePort();
  spdlog::info("upgraded: pid {}, version {}", successor->pid, successor->version);
  kill(getpid(), SIGTERM);
  return api::BoosterUpgrade{static_cast<uint64_t>(getpid()), WB_VERSION,
                             static_cast<uint64_t>(successor->pid), successor->version};
}

void Daemon::UpgradeBySignal() {
  if (upgrading_) return;
  if (upgrade_.joinable()) upgrade_.join();
  upgrade_ = std::thread([this] { (void)Upgrade(); });
}

void Daemon::Drain() {
  stopping_ = true;                               // an upgrade gives up
  { const std::lock_guard lock(reload_mutex_); }  // what is under way ends
  if (upgrade_.joinable()) upgrade_.join();
  admin_->SetDraining();
  if (redirection_ && !replaced_) redirection_->Leave();
  std::atomic<int> left = static_cast<int>(workers_.size());
  const auto begin = net::Clock::now(), end = begin + config_.timeouts.drain;
  // A client whose next request is on its way is not to find its connection closed, if there is
  // another boosterd for it.
  bool patient = replaced_;
  for (const auto& worker : workers_) worker->Drain(left, patient);
  while (left > 0 && net::Clock::now() < end) {
    if (patient && net::Clock::now() >= begin + config_.timeouts.drain / 2) {
      for (const auto& worker : workers_) worker->EndIdle();
      patient = false;
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 10'000'000};
    nanosleep(&pause, nullptr);
  }
  if (left > 0) {
    spdlog::warn("{} connections are ended before their requests", shared_.connections.load());
  }
  admin_.reset();
  redirection_.reset();
  for (const auto& worker : workers_) worker->Stop();
  workers_.clear();
}

}  // namespace

void TellPredecessor(const Invocation& invocation, const absl::Status& status) {
  if (!invocation.predecessor) return;
  const absl::string_view why = status.message();
  SendHandover(invocation.predecessor.get(), HandoverKind::kFailed, {why.data(), why.size()})
      .IgnoreError();
}

absl::Status RunDaemon(const front::Config& config, Invocation& invocation) {
  // Before there are threads, which inherit it.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  Daemon daemon(invocation);
  WB_RETURN_IF_ERROR(daemon.Start(config));
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) continue;
    if (number == SIGUSR1) {
      daemon.ReopenLog();
    } else if (number == SIGHUP) {
      (void)daemon.Reload();
    } else if (number == SIGUSR2) {
      daemon.UpgradeBySignal();
    } else {
      break;
    }
  }
  if (!daemon.replaced()) observe::NotifyManager("STOPPING=1");
  spdlog::info("draining");
  daemon.Drain();
  return absl::OkStatus();
}

}  // namespace wb::boosterd
