// SPDX-License-Identifier: Apache-2.0
// Copies of the packets that XDP answers and of its answers, for one reader. The data path copies
// while wb_control.tap is on; this switches it on, keeps it on for some seconds at a time, and off.
#ifndef WEBBOOSTER_CTL_ACCELERD_TAP_H_
#define WEBBOOSTER_CTL_ACCELERD_TAP_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctl/api/service.h"
#include "ctl/kern/programs.h"
#include "ctl/observe/capture.h"

struct perf_buffer;

namespace wb::accelerd {

struct TapOptions {
  wb_tap_filter filter = {};
  uint64_t count = 0;       // packets after which it ends; 0: none
  uint64_t duration_s = 0;  // 0: without end
};

// Addresses and numbers of the request; the domain is the caller's to find.
absl::StatusOr<TapOptions> TapOptionsOf(const api::TapRequest& request, uint32_t domain);

class Tap : public api::TapStream {
 public:
  // `release` is called when it ends.
  static absl::StatusOr<std::unique_ptr<Tap>> Open(kern::Programs& programs,
                                                   const TapOptions& options,
                                                   std::function<void()> release);
  ~Tap() override;
  absl::StatusOr<std::string> Next() override;

 private:
  struct Copy {
    wb_tap_packet head;
    std::string data;
  };
  Tap(kern::Programs& programs, const TapOptions& options, std::function<void()> release);
  static void OnSample(void* self, int cpu, void* data, uint32_t size);
  absl::Status Start();
  absl::StatusOr<uint64_t> Lost() const;
  absl::Status Renew(uint64_t now);
  std::string TakeUntil(uint64_t ns);
  uint64_t UnixNs(uint64_t monotonic_ns) const { return monotonic_ns + unix_offset_ns_; }

  kern::Programs& programs_;
  const TapOptions options_;
  const std::function<void()> release_;
  std::unique_ptr<perf_buffer, void (*)(perf_buffer*)> buffer_;
  std::map<uint32_t, uint32_t> interfaces_;  // index in the stream by ifindex
  std::string head_;                         // of the stream, until it is taken
  std::vector<Copy> pending_;
  uint64_t unix_offset_ns_ = 0, ends_ns_ = 0, told_ns_ = 0, lost_before_ = 0, taken_ = 0;
  bool ended_ = false;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_TAP_H_
