// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/endpoints.h"

#include <sys/stat.h>

#include "ctl/accelerd/setup.h"
#include "ctl/metrics/collector.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {

absl::Status Endpoints::Start(const config::Config& config) {
  WB_RETURN_IF_ERROR(MoveExporter(config));
  api::Server::Options options;
  options.socket_path = config.api.socket;
  options.socket_mode = config.api.mode;
  options.allow = PeerPolicyOf(config);
  WB_ASSIGN_OR_RETURN(server_, api::Server::Start(service_, options));
  return absl::OkStatus();
}

absl::Status Endpoints::Listen(const config::Metrics& where, const std::string& instance) {
  std::unique_ptr<metrics::Exporter> exporter;
  if (where.listen) {
    WB_ASSIGN_OR_RETURN(exporter, metrics::Exporter::Start(
                                      where.listen->ToString(),
                                      std::make_shared<metrics::Collector>(service_, instance)));
  }
  exporter_ = std::move(exporter);
  metrics_ = where;
  return absl::OkStatus();
}

// The new address first: it may be wrong. Where the old one stands in its way (the same port on
// another address), that goes first, and comes again if it was of no use.
absl::Status Endpoints::MoveExporter(const config::Config& config) {
  if (metrics_ == config.metrics) return absl::OkStatus();
  if (Listen(config.metrics, config.instance).ok()) return absl::OkStatus();
  const config::Metrics before = metrics_;
  exporter_.reset();
  absl::Status status = Listen(config.metrics, config.instance);
  if (status.ok()) return status;
  if (absl::Status back = Listen(before, config.instance); !back.ok())
    spdlog::error("the exporter does not listen again: {}", back.ToString());
  return status;
}

absl::Status Endpoints::SetSocketMode(const config::Config& config) const {
  if (chmod(config.api.socket.c_str(), config.api.mode) != 0)
    return base::PosixError("set the permissions of", config.api.socket);
  return absl::OkStatus();
}

void Endpoints::Stop() {
  exporter_.reset();
  server_.reset();
}

}  // namespace wb::accelerd
