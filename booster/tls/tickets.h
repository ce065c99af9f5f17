// SPDX-License-Identifier: Apache-2.0
// The keys that session tickets are sealed with (RFC 5077, RFC 8446 section 4.6.1): one set for all
// workers of the process, so that a client resumes wherever it lands. A new key each hour seals;
// the two before it still open, so a ticket is good for two hours at least. Nothing is kept of
// sessions. Safe from any thread.
#ifndef BOOSTER_TLS_TICKETS_H_
#define BOOSTER_TLS_TICKETS_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace wb::tls {

class TicketKeys {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::duration kPeriod = std::chrono::hours(1);
  static constexpr size_t kKept = 3;
  static constexpr std::chrono::seconds kTicketLife = std::chrono::hours(2);

  struct Key {
    ~Key();  // wipes itself
    std::array<uint8_t, 16> name;
    std::array<uint8_t, 32> cipher;  // AES-256-CBC
    std::array<uint8_t, 32> mac;     // HMAC-SHA-256
    Clock::time_point made;
  };

  // Unavailable: no randomness.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<TicketKeys>> Make(
      std::function<Clock::time_point()> now = Clock::now);

  // The key to seal with; due rotations happen here and in Find. A key is used beyond its hour only
  // while there is no randomness for another.
  std::shared_ptr<const Key> Current();
  // Null: unknown or too old.
  std::shared_ptr<const Key> Find(const uint8_t* name);

  // For a process that takes this one's place: the keys with their ages (CLOCK_MONOTONIC, so of one
  // boot of one machine). These are secrets: hand them over a socket or a sealed memfd, never a
  // file, and wipe them.
  std::string Export();
  // Takes the place of the keys at hand. InvalidArgument, and nothing changes: the string is not of
  // Export(), or all its keys are too old.
  [[nodiscard]] absl::Status Import(std::string_view exported);

 private:
  explicit TicketKeys(std::function<Clock::time_point()> now) : now_(std::move(now)) {}
  void RotateIfDue();  // mutex_ held

  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const Key>> keys_;  // newest first
};

}  // namespace wb::tls

#endif  // BOOSTER_TLS_TICKETS_H_
