// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/daemon.h"

#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <csignal>
#include <cstring>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ctl/accelerd/access_log.h"
#include "ctl/accelerd/clock.h"
#include "ctl/accelerd/content.h"
#include "ctl/accelerd/filler.h"
#include "ctl/accelerd/instance_lock.h"
#include "ctl/accelerd/interfaces.h"
#include "ctl/accelerd/service.h"
#include "ctl/accelerd/setup.h"
#include "ctl/api/server.h"
#include "ctl/metrics/collector.h"
#include "ctl/metrics/exporter.h"
#include "spdlog/spdlog.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::accelerd {
namespace {

using base::PosixError;
using base::UniqueFd;

constexpr std::chrono::milliseconds kMaxTick{100};
constexpr uint64_t kSettleNs = 3000000000;  // for replies of an earlier process to be acknowledged

absl::StatusOr<UniqueFd> BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return PosixError("block", "signals");
  UniqueFd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return PosixError("make", "a signalfd");
  return fd;
}

absl::StatusOr<UniqueFd> MakeTimer(std::chrono::milliseconds interval) {
  UniqueFd fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  itimerspec spec = {};
  spec.it_interval.tv_nsec = spec.it_value.tv_nsec = interval.count() * 1000000;
  if (!fd || timerfd_settime(fd.get(), 0, &spec, nullptr) != 0)
    return PosixError("make", "a timer");
  return fd;
}

int OnMiss(void* context, void* data, size_t size) {
  if (size < sizeof(wb_miss)) return 0;
  wb_miss miss;
  memcpy(&miss, data, sizeof(miss));
  if (miss.target_len > WB_TARGET_MAX || miss.encoding >= WB_ENCODINGS) return 0;
  cache::ObjectKey key{miss.domain,
                       std::string(reinterpret_cast<const char*>(miss.target), miss.target_len)};
  static_cast<Filler*>(context)->Enqueue({std::move(key), miss.encoding});
  return 0;
}

class Daemon {
 public:
  explicit Daemon(const config::Config& config) : config_(config) {}

  absl::Status Start() {
    WB_ASSIGN_OR_RETURN(signals_, BlockSignals());
    WB_RETURN_IF_ERROR(AccessLog::BlockReopenSignal());
    // Before anything that another accelerd may be using is touched.
    WB_ASSIGN_OR_RETURN(lock_, InstanceLock::Take(config_.runtime_dir, config_.pin_dir));
    rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);  // kernels before 5.11
    WB_ASSIGN_OR_RETURN(programs_, kern::Programs::Load(LoadOptionsOf(config_)));
    // Nobody watched the files until now: nothing that was cached is answered.
    programs_->control[0].mode = WB_MODE_DRAIN;
    store_ = std::make_unique<kern::ObjectStore>(*programs_);
    WB_RETURN_IF_ERROR(store_->Clear(kern::ConnTable(*programs_).PortsInUse()));
    WB_RETURN_IF_ERROR(Configure(config_, *store_));
    std::optional<Content::BoosterKey> key;
    if (!config_.boosters.addresses.empty()) {
      WB_ASSIGN_OR_RETURN(key, config::ReadBoosterKey(config_.boosters.key_file));
    }
    WB_ASSIGN_OR_RETURN(content_, Content::Create(config_, *programs_, *store_, key));
    clock_ = std::make_unique<Clock>(*programs_);
    clock_->Tick();
    WB_RETURN_IF_ERROR(AttachAll());
    Settle();
    filler_ = std::make_unique<Filler>(*content_);
    WB_ASSIGN_OR_RETURN(access_log_, AccessLog::Start(config_.access_log, *programs_));
    service_ = std::make_unique<AccelService>(*programs_, *store_, *content_, *filler_,
                                              *interfaces_, access_log_.get());
    clock_->Tick();
    programs_->control[0].mode = WB_MODE_SERVE;
    return Publish();
  }

  absl::Status Run() {
    std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
        ring_buffer__new(bpf_map__fd(programs_->skeleton()->maps.wb_misses), OnMiss, filler_.get(),
                         nullptr),
        ring_buffer__free);
    if (ring == nullptr) return PosixError("read", "the ring of misses");
    WB_ASSIGN_OR_RETURN(UniqueFd timer, MakeTimer(std::min(config_.lease / 5, kMaxTick)));
    UniqueFd poll(epoll_create1(EPOLL_CLOEXEC));
    for (int fd :
         {signals_.get(), timer.get(), content_->watch_fd(), ring_buffer__epoll_fd(ring.get())}) {
      epoll_event event = {};
      event.events = EPOLLIN;
      event.data.fd = fd;
      if (!poll || epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return PosixError("watch", "an event source");
    }
    while (true) {
      epoll_event events[8];
      const int n = epoll_wait(poll.get(), events, 8, -1);
      if (n < 0 && errno != EINTR) return PosixError("wait for", "events");
      for (int i = 0; i < n; i++)
        if (events[i].data.fd == signals_.get()) return absl::OkStatus();
      content_->DrainWatch();
      clock_->Tick();  // after the files: the heartbeat vouches for them
      ring_buffer__consume(ring.get());
      uint64_t expirations;
      if (read(timer.get(), &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
        return PosixError("read", "the timer");
    }
  }

  void Stop() {
    spdlog::info("stopping");
    if (programs_ == nullptr) return;
    programs_->control[0].mode = WB_MODE_DRAIN;
    exporter_.reset();
    server_.reset();
    if (filler_ != nullptr) filler_->Stop();
    if (interfaces_ != nullptr && interfaces_->Leave())
      if (absl::Status status = programs_->Unpin(); !status.ok())
        spdlog::error("{}", status.ToString());
  }

 private:
  absl::Status AttachAll() {
    std::string cgroup = config_.cgroup;
    if (cgroup.empty()) {
      WB_ASSIGN_OR_RETURN(cgroup, FindCgroup2());
    }
    WB_RETURN_IF_ERROR(programs_->AttachSockops(cgroup));
    interfaces_ = std::make_unique<Interfaces>(*programs_, *content_);
    interfaces_->Start();
    return interfaces_->AttachAll(config_.interfaces);
  }

  // After an adoption: memory may be given out anew once no reply of the earlier process can still
  // be repaired from it.
  void Settle() {
    if (!programs_->adopted()) return;
    const kern::ConnTable table(*programs_);
    const uint64_t until = kern::MonotonicNs() + kSettleNs;
    while (!table.VariantsInFlight().empty() && kern::MonotonicNs() < until) {
      usleep(10000);
      clock_->Tick();
    }
    content_->ReserveSlots(table.VariantsInFlight());
    spdlog::info("took over {} connections", table.Count().followed);
  }

  absl::Status Publish() {
    if (config_.metrics.listen) {
      WB_ASSIGN_OR_RETURN(exporter_, metrics::Exporter::Start(config_.metrics.listen->ToString(),
                                                              std::make_shared<metrics::Collector>(
                                                                  *service_, config_.instance)));
    }
    api::Server::Options options;
    options.socket_path = config_.api.socket;
    options.socket_mode = config_.api.mode;
    WB_ASSIGN_OR_RETURN(server_, api::Server::Start(*service_, options));
    spdlog::info("serving; control socket {}", config_.api.socket);
    return absl::OkStatus();
  }

  const config::Config& config_;
  UniqueFd signals_;
  InstanceLock lock_;
  std::unique_ptr<kern::Programs> programs_;
  std::unique_ptr<kern::ObjectStore> store_;
  std::unique_ptr<Content> content_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Interfaces> interfaces_;
  std::unique_ptr<Filler> filler_;
  std::unique_ptr<AccessLog> access_log_;
  std::unique_ptr<AccelService> service_;
  std::unique_ptr<metrics::Exporter> exporter_;
  std::unique_ptr<api::Server> server_;
};

}  // namespace

absl::Status RunDaemon(const config::Config& config) {
  Daemon daemon(config);
  absl::Status status = daemon.Start();
  if (status.ok()) status = daemon.Run();
  daemon.Stop();
  return status;
}

}  // namespace wb::accelerd
