// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <vector>

#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"

namespace wb::kern {
namespace {

// One element of a per-CPU array of structs of 64-bit counters, summed over the CPUs.
template <typename T>
absl::StatusOr<T> ReadSum(bpf_map* map, uint32_t key) {
  static_assert(sizeof(T) % sizeof(uint64_t) == 0);
  constexpr size_t kBytes = sizeof(T);
  constexpr size_t kWords = kBytes / sizeof(uint64_t);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return base::PosixError("count", "the CPUs", -cpus);
  std::vector<uint64_t> values(static_cast<size_t>(cpus) * kWords);
  if (bpf_map_lookup_elem(bpf_map__fd(map), &key, values.data()) != 0)
    return base::PosixError("read", bpf_map__name(map));
  std::array<uint64_t, kWords> sum = {};
  for (size_t i = 0; i < values.size(); i++) sum[i % kWords] += values[i];
  T result;
  static_assert(sizeof(sum) == sizeof(result));
  __builtin_memcpy(&result, sum.data(), sizeof(result));
  return result;
}

}  // namespace

const std::array<ReasonText, WB_R_COUNT>& ReasonTexts() {
  static const std::array<ReasonText, WB_R_COUNT> texts = {{
#define WB_X(name, label, hook, text) {label, hook, text},
      WB_REASONS(WB_X)
#undef WB_X
  }};
  return texts;
}

absl::StatusOr<std::array<uint64_t, WB_R_COUNT>> ReadReasons(const Programs& programs) {
  std::array<uint64_t, WB_R_COUNT> counts;
  for (uint32_t i = 0; i < WB_R_COUNT; i++) {
    auto n = ReadSum<uint64_t>(programs.skeleton()->maps.wb_reasons, i);
    if (!n.ok()) return n.status();
    counts[i] = *n;
  }
  return counts;
}

absl::Status ResetDomain(const Programs& programs, uint32_t domain) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return base::PosixError("count", "the CPUs", -cpus);
  const std::vector<wb_domain_stats> zero(static_cast<size_t>(cpus));
  bpf_map* map = programs.skeleton()->maps.wb_domain_stats;
  if (bpf_map_update_elem(bpf_map__fd(map), &domain, zero.data(), BPF_ANY) != 0)
    return base::PosixError("write", bpf_map__name(map));
  return absl::OkStatus();
}

absl::StatusOr<wb_domain_stats> ReadDomain(const Programs& programs, uint32_t domain) {
  return ReadSum<wb_domain_stats>(programs.skeleton()->maps.wb_domain_stats, domain);
}

}  // namespace wb::kern
