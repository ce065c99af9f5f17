// SPDX-License-Identifier: Apache-2.0
// GET /metrics (or below) over HTTP for Prometheus, in its text format; all else is 404. A wrapper
// of prometheus::Exposer (CivetWeb), which adds three exposer_* metrics of its own. There is no
// authentication: listen on the loopback unless the network is trusted. CivetWeb sets SIGPIPE to
// be ignored in the whole process.
#ifndef CTL_METRICS_EXPORTER_H_
#define CTL_METRICS_EXPORTER_H_

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/collectable.h"

namespace prometheus {
class Exposer;
}

namespace wb::metrics {

// Start and Stop belong to one thread; scrapes come on two threads of the exporter's own.
class Exporter {
 public:
  // `listen` is HOST:PORT with an IPv4 address or a name, as metrics.listen of the configuration;
  // port 0 lets the kernel choose. Errors: InvalidArgument (not HOST:PORT, no such name), those of
  // bind(2), Unimplemented (IPv6, where CivetWeb was built without it, as in Debian 12).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Exporter>> Start(
      const std::string& listen, std::shared_ptr<prometheus::Collectable> collectable);

  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  uint16_t port() const;

  // Returns when no scrape is running and none will be: the collectable may go. A second call does
  // nothing.
  void Stop();

 private:
  Exporter(std::shared_ptr<prometheus::Collectable> collectable,
           std::unique_ptr<prometheus::Exposer> exposer, const sockaddr_storage& address);

  const std::shared_ptr<prometheus::Collectable> collectable_;  // The Exposer holds it weakly.
  std::unique_ptr<prometheus::Exposer> exposer_;                // Null once stopped.
  const sockaddr_storage address_;                              // Where it listens.
};

}  // namespace wb::metrics

#endif  // CTL_METRICS_EXPORTER_H_
