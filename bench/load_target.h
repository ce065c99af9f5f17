// SPDX-License-Identifier: Apache-2.0
// What a load asks for: the bytes of each request and what is known of the reply. Plain data.
#ifndef BENCH_LOAD_TARGET_H_
#define BENCH_LOAD_TARGET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace wb::bench {

enum class Mode { kClose, kKeep, kKeyed };

struct Target {
  std::string path;     // request-target
  std::string request;  // whole request
  // From the document root where the target is a file there; else from the first reply.
  std::optional<uint64_t> length;
  std::optional<uint32_t> crc;
  // From the first reply: its head, which all others must equal but for the Date.
  std::string head;
  size_t date_at = std::string::npos;
  bool seen = false;
};

struct TargetOptions {
  Mode mode = Mode::kKeep;
  std::string domain;
  std::string docroot;          // empty: lengths and sums are learned
  std::vector<uint8_t> secret;  // of the booster link; for kKeyed
};

// An error text, or an empty string.
std::string MakeTarget(const TargetOptions& options, const std::string& path, Target* target);

// The secret in a key file (hexadecimal digits); empty if the file holds none.
std::vector<uint8_t> ReadSecret(const std::string& path);

}  // namespace wb::bench

#endif  // BENCH_LOAD_TARGET_H_
