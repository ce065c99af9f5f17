// SPDX-License-Identifier: Apache-2.0
// Sampled verification: one in so many hits of a variant is asked of the web server, too, off the
// path, and what is not the same is not answered any more. A thread of its own, bounded in rate.
#ifndef WEBBOOSTER_CTL_ACCELERD_VERIFIER_H_
#define WEBBOOSTER_CTL_ACCELERD_VERIFIER_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "ctl/accelerd/content.h"

namespace wb::accelerd {

class Verifier {
 public:
  Verifier(Content& content, kern::Programs& programs);
  ~Verifier();

  void Stop();
  // So far, of one verdict. Thread-safe.
  uint64_t count(Verdict verdict) const { return counts_[static_cast<size_t>(verdict)]; }

 private:
  // When a variant is to be looked at next.
  struct Next {
    uint32_t gen = 0;
    uint64_t hits = 0;  // 0: this life of the slot has not been seen yet
  };
  void Run();
  bool Due(uint32_t slot, uint32_t one_in);
  void Check(const config::Config& config, uint32_t slot);

  Content& content_;
  kern::Programs& programs_;
  std::vector<Next> next_;  // by slot
  std::minstd_rand random_;
  std::array<std::atomic<uint64_t>, 5> counts_ = {};
  std::mutex mu_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_VERIFIER_H_
