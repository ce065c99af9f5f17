// SPDX-License-Identifier: Apache-2.0
// Where accelerd is asked: the control socket and the Prometheus exporter. One caller at a time.
#ifndef WEBBOOSTER_CTL_ACCELERD_ENDPOINTS_H_
#define WEBBOOSTER_CTL_ACCELERD_ENDPOINTS_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "ctl/api/server.h"
#include "ctl/api/service.h"
#include "ctl/config/config.h"
#include "ctl/metrics/exporter.h"

namespace wb::accelerd {

class Endpoints {
 public:
  explicit Endpoints(api::Service& service) : service_(service) {}

  absl::Status Start(const config::Config& config);
  // The exporter listens there instead, or nowhere. An error leaves it as it was.
  absl::Status MoveExporter(const config::Config& config);
  absl::Status SetSocketMode(const config::Config& config) const;
  // No request is under way when this returns, and none will be.
  void Stop();

 private:
  absl::Status Listen(const config::Metrics& where, const std::string& instance);

  api::Service& service_;
  config::Metrics metrics_{.listen = std::nullopt};  // in force
  std::unique_ptr<metrics::Exporter> exporter_;
  std::unique_ptr<api::Server> server_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_ENDPOINTS_H_
