// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/daemon.h"

#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "booster/link/channel_server.h"
#include "ctl/accelerd/access_log.h"
#include "ctl/accelerd/bulk_path.h"
#include "ctl/accelerd/clock.h"
#include "ctl/accelerd/content.h"
#include "ctl/accelerd/endpoints.h"
#include "ctl/accelerd/filler.h"
#include "ctl/accelerd/instance_lock.h"
#include "ctl/accelerd/interfaces.h"
#include "ctl/accelerd/last_will.h"
#include "ctl/accelerd/load_sources.h"
#include "ctl/accelerd/reloader.h"
#include "ctl/accelerd/service.h"
#include "ctl/accelerd/setup.h"
#include "ctl/accelerd/verifier.h"
#include "ctl/api/server.h"
#include "ctl/config/load.h"
#include "ctl/metrics/collector.h"
#include "ctl/metrics/exporter.h"
#include "ctl/observe/notify.h"
#include "spdlog/spdlog.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::accelerd {
namespace {

using base::PosixError;
using base::UniqueFd;

constexpr std::chrono::milliseconds kMaxTick{100};
constexpr std::chrono::milliseconds kBulkPatience{10000};  // below TimeoutStopSec of the unit
constexpr uint64_t kMissesNs = 5000000;                    // spent on misses between two heartbeats

absl::StatusOr<UniqueFd> BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return PosixError("block", "signals");
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return PosixError("make", "a signalfd");
  return fd;
}

// The heartbeat's timer goes off several times within a lease.
absl::Status SetTimer(int timer, const config::Config& config) {
  itimerspec spec = {};
  spec.it_interval.tv_nsec = spec.it_value.tv_nsec =
      std::min(config.lease / 5, kMaxTick).count() * 1000000;
  if (timerfd_settime(timer, 0, &spec, nullptr) != 0) return PosixError("set", "a timer");
  return absl::OkStatus();
}

struct MissReader {
  Filler* filler;
  bool useful = false;  // one of the misses will be filled
  uint64_t until = 0;   // then the rest waits for the heartbeat
  bool more = false;
};

int OnMiss(void* context, void* data, size_t size) {
  if (size < sizeof(wb_miss)) return 0;
  wb_miss miss;
  memcpy(&miss, data, sizeof(miss));
  if (miss.target_len > WB_TARGET_MAX || miss.encoding >= WB_ENCODINGS) return 0;
  cache::ObjectKey key{miss.domain,
                       std::string(reinterpret_cast<const char*>(miss.target), miss.target_len)};
  auto* reader = static_cast<MissReader*>(context);
  if (reader->filler->Enqueue({std::move(key), miss.encoding})) reader->useful = true;
  reader->more = kern::MonotonicNs() >= reader->until;
  return reader->more ? -EINTR : 0;
}

class Daemon {
 public:
  Daemon(const config::Config& config, const std::string& path, const std::string& text)
      : config_(config), path_(path), text_(text) {}

  absl::Status Start() {
    WB_ASSIGN_OR_RETURN(will_, LastWill::Leave(config_.pin_dir));
    WB_ASSIGN_OR_RETURN(signals_, BlockSignals());
    timer_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!timer_) return PosixError("make", "a timer");
    WB_RETURN_IF_ERROR(AccessLog::BlockReopenSignal());
    // Before anything that another accelerd may be using is touched.
    WB_ASSIGN_OR_RETURN(lock_, InstanceLock::Take(config_.runtime_dir, config_.pin_dir));
    will_.Arm();
    rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);  // kernels before 5.11
    if (!config_.boosters.addresses.empty()) {
      WB_ASSIGN_OR_RETURN(key_, config::ReadBoosterKey(config_.boosters.key_file));
    }
    WB_ASSIGN_OR_RETURN(programs_, kern::Programs::Load(LoadOptionsOf(config_)));
    // Nobody watched the files until now: nothing that was cached is answered until it is proved.
    programs_->control[0].mode = WB_MODE_DRAIN;
    store_ = std::make_unique<kern::ObjectStore>(*programs_);
    if (config_.boosters.catalogue) {
      catalogue_ = std::make_unique<link::ChannelServer>(
          [store = store_.get()](uint32_t slot) { return store->AnsweredUntil(slot); });
      store_->Observe(*catalogue_);
    }
    WB_ASSIGN_OR_RETURN(const config::Config arranged,
                        ArrangeAsBefore(config_, *programs_, *store_));
    WB_ASSIGN_OR_RETURN(const kern::Names names, NamesOf(arranged));
    WB_RETURN_IF_ERROR(store_->CheckRoom(names));
    WB_RETURN_IF_ERROR(Configure(arranged, *store_));
    WB_RETURN_IF_ERROR(store_->RestPorts(kern::ConnTable(*programs_).PortsInUse()));
    WB_RETURN_IF_ERROR(StartBulk());
    WB_ASSIGN_OR_RETURN(content_,
                        Content::Create(arranged, *programs_, *store_, key_, bulk_objects_.get()));
    clock_ = std::make_unique<Clock>(*programs_);
    clock_->Tick();
    WB_RETURN_IF_ERROR(AttachAll());
    Adopt();
    filler_ = std::make_unique<Filler>(*content_);
    WB_ASSIGN_OR_RETURN(access_log_, AccessLog::Start(config_.access_log, *programs_));
    verifier_ = std::make_unique<Verifier>(*content_, *programs_);
    service_ = std::make_unique<AccelService>(*programs_, *store_, *content_, *filler_,
                                              *interfaces_, *bulk_, *bulk_objects_, *verifier_,
                                              access_log_.get(), catalogue_.get());
    content_->DrainWatch();
    clock_->Tick();
    programs_->control[0].mode = WB_MODE_SERVE;
    return Publish();
  }

  absl::Status Run() {
    MissReader misses{filler_.get()};
    std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
        ring_buffer__new(bpf_map__fd(programs_->skeleton()->maps.wb_misses), OnMiss, &misses,
                         nullptr),
        ring_buffer__free);
    if (ring == nullptr) return PosixError("read", "the ring of misses");
    WB_RETURN_IF_ERROR(SetTimer(timer_.get(), config_));
    UniqueFd poll(epoll_create1(EPOLL_CLOEXEC));
    const int ring_fd = ring_buffer__epoll_fd(ring.get());
    for (int fd : {signals_.get(), timer_.get(), content_->watch_fd(), ring_fd}) {
      epoll_event event = {};
      event.events = fd == ring_fd ? EPOLLIN | EPOLLONESHOT : EPOLLIN;
      event.data.fd = fd;
      if (!poll || epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return PosixError("watch", "an event source");
    }
    while (true) {
      epoll_event events[8];
      const int n = epoll_wait(poll.get(), events, 8, misses.more ? 0 : -1);
      if (n < 0 && errno != EINTR) return PosixError("wait for", "events");
      for (int i = 0; i < n; i++)
        if (events[i].data.fd == signals_.get() && Signalled()) return absl::OkStatus();
      content_->DrainWatch();
      clock_->Tick();  // after the files: the heartbeat vouches for them
      misses.more = false;
      misses.until = kern::MonotonicNs() + kMissesNs;
      ring_buffer__consume(ring.get());
      for (Filler::Job& job : content_->TakeStale(kern::MonotonicNs()))
        filler_->Enqueue(std::move(job));
      uint64_t expirations;
      const bool ticked = read(timer_.get(), &expirations, sizeof(expirations)) > 0;
      if (!ticked && errno != EAGAIN) return PosixError("read", "the timer");
      // Misses that come to nothing are read once a tick: they must not wake us one by one.
      if (std::exchange(misses.useful, false) || ticked) {
        epoll_event event = {EPOLLIN | EPOLLONESHOT, {}};
        event.data.fd = ring_fd;
        if (epoll_ctl(poll.get(), EPOLL_CTL_MOD, ring_fd, &event) != 0)
          return PosixError("watch", "the ring of misses");
      }
    }
  }

  void Stop() {
    spdlog::info("stopping");
    observe::NotifyManager("STOPPING=1");
    if (programs_ == nullptr) return;
    const bool keep = content_ == nullptr || OnStop() == config::StopPolicy::kKeep;
    if (!keep) std::atomic_ref(programs_->control[0].mode).store(WB_MODE_DRAIN);
    if (reloader_ != nullptr) reloader_->Stop();
    if (endpoints_ != nullptr) endpoints_->Stop();
    if (catalogue_ != nullptr) catalogue_->Stop();
    if (filler_ != nullptr) filler_->Stop();
    if (verifier_ != nullptr) verifier_->Stop();
    if (bulk_ != nullptr) bulk_->Stop(kBulkPatience);
    if (interfaces_ != nullptr && (keep ? interfaces_->Remain() : interfaces_->Leave()))
      if (absl::Status status = programs_->Unpin(); !status.ok())
        spdlog::error("{}", status.ToString());
  }

 private:
  // True: it is time to stop.
  bool Signalled() {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGHUP) return true;
      reloader_->Request();
    }
    return false;
  }

  config::StopPolicy OnStop() const {
    const config::Snapshot config = content_->config();
    return config->on_stop;
  }

  absl::Status StartBulk() {
    auto memory = bulk::Store::Create(config_.bulk.memory_bytes);
    if (!memory.ok()) return memory.status();
    bulk_objects_ = std::make_unique<BulkObjects>(*std::move(memory));
    WB_ASSIGN_OR_RETURN(bulk_, BulkPath::Start(config_.bulk, *programs_, *bulk_objects_));
    return absl::OkStatus();
  }

  absl::Status AttachAll() {
    std::string cgroup = config_.cgroup;
    if (cgroup.empty()) {
      WB_ASSIGN_OR_RETURN(cgroup, FindCgroup2());
    }
    WB_RETURN_IF_ERROR(programs_->AttachSockops(cgroup));
    interfaces_ = std::make_unique<Interfaces>(*programs_, *content_, bulk_.get());
    interfaces_->Start();
    return interfaces_->AttachAll(config_.interfaces);
  }

  // What an earlier process left in the maps, as far as it holds.
  void Adopt() {
    const Content::Adoption adoption = content_->Adopt();
    if (!programs_->adopted()) return;
    spdlog::info(
        "took over {} connections and {} cached objects in {} variants; {} others could not be "
        "proved to be as they were",
        kern::ConnTable(*programs_).Count().followed, adoption.objects, adoption.variants,
        adoption.dropped);
  }

  absl::Status Publish() {
    endpoints_ = std::make_unique<Endpoints>(*service_);
    const auto lease_changed = [timer = timer_.get()](const config::Config& config) {
      if (absl::Status s = SetTimer(timer, config); !s.ok()) spdlog::error("{}", s.ToString());
    };
    reloader_ = std::make_unique<Reloader>(
        Reloader::Parts{*programs_, *store_, *content_, *filler_, *interfaces_, *endpoints_,
                        catalogue_.get(), lease_changed},
        path_, text_);
    service_->SetReloader(reloader_.get());
    WB_RETURN_IF_ERROR(endpoints_->Start(config_));
    if (catalogue_ != nullptr) {
      WB_ASSIGN_OR_RETURN(auto sample, MakeLoadSample(*programs_, *content_, *interfaces_));
      catalogue_->ReportLoad(std::move(sample));
      WB_ASSIGN_OR_RETURN(const kern::Names names, NamesOf(config_));
      WB_RETURN_IF_ERROR(catalogue_->SetPeers(names.boosters, key_));
      WB_RETURN_IF_ERROR(
          catalogue_->Start(config_.boosters.catalogue->host, config_.boosters.catalogue->port));
    }
    spdlog::info("serving; control socket {}", config_.api.socket);
    observe::NotifyManager("READY=1");
    return absl::OkStatus();
  }

  const config::Config& config_;  // as it was at the start
  const std::string& path_;
  const std::string& text_;
  LastWill will_;
  UniqueFd signals_;
  UniqueFd timer_;
  InstanceLock lock_;
  std::unique_ptr<kern::Programs> programs_;
  std::unique_ptr<kern::ObjectStore> store_;
  std::optional<Content::BoosterKey> key_;            // at the start
  std::unique_ptr<link::ChannelServer> catalogue_;  // null: none is configured
  std::unique_ptr<BulkObjects> bulk_objects_;
  std::unique_ptr<BulkPath> bulk_;
  std::unique_ptr<Content> content_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Interfaces> interfaces_;
  std::unique_ptr<Filler> filler_;
  std::unique_ptr<Verifier> verifier_;
  std::unique_ptr<AccessLog> access_log_;
  std::unique_ptr<AccelService> service_;
  std::unique_ptr<Endpoints> endpoints_;
  std::unique_ptr<Reloader> reloader_;
};

}  // namespace

absl::Status RunDaemon(const config::Config& config, const std::string& path,
                       const std::string& text) {
  Daemon daemon(config, path, text);
  absl::Status status = daemon.Start();
  if (status.ok()) status = daemon.Run();
  daemon.Stop();
  return status;
}

}  // namespace wb::accelerd
