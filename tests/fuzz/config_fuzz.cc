// SPDX-License-Identifier: Apache-2.0
// accelerd's configuration. Input: a file. Nothing throws or hangs, findings name a place in the
// file, and what is accepted keeps within the limits that the rest of accelerd relies on.
#include "ctl/config/load.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {
namespace {

template <typename T>
bool In(T value, config::Range<T> range) {
  return value >= range.min && value <= range.max;
}

void CheckFindings(const std::vector<config::Finding>& findings, std::string_view text) {
  const auto lines = std::ranges::count(text, '\n') + std::ranges::count(text, '\r') + 1;
  FUZZ_CHECK(findings.size() <= config::kMaxErrors + 1, "%zu findings", findings.size());
  for (const config::Finding& f : findings) {
    FUZZ_CHECK(f.line >= 1 && f.line <= lines + 1 && f.column >= 1, "line %d", f.line);
    FUZZ_CHECK(!f.message.empty() && !f.path.empty(), "an empty finding");
    for (const char c : config::FormatFinding("f", f))
      FUZZ_CHECK(static_cast<uint8_t>(c) >= 0x20 && c != 0x7f, "a control character in a finding");
  }
}

void CheckAccepted(const config::Config& c) {
  FUZZ_CHECK(!c.domains.empty() && c.domains.size() <= WB_DOMAINS_MAX, "domains");
  FUZZ_CHECK(c.accept_encodings.size() < WB_ENCODINGS, "encodings");
  for (const std::string& encoding : c.accept_encodings)
    FUZZ_CHECK(!encoding.empty() && encoding.size() <= WB_ENCODING_MAX, "encoding");
  FUZZ_CHECK(In(c.limits.memory_bytes, config::kMemoryBytes), "memory");
  FUZZ_CHECK(In(c.limits.connections, config::kConnections), "connections");
  FUZZ_CHECK(In(c.limits.fill_rate, config::kFillRate), "fill rate");
  FUZZ_CHECK(In(c.limits.fill_concurrency, config::kFillConcurrency), "fill concurrency");
  FUZZ_CHECK(In(c.lease, config::kLease), "lease");
  FUZZ_CHECK(!c.api.socket.empty() && c.api.socket[0] == '/', "socket");
  FUZZ_CHECK(c.boosters.addresses.empty() || !c.boosters.key_file.empty(), "key file");
  std::vector<std::string> names;
  for (const config::Domain& d : c.domains) {
    names.push_back(d.name);
    names.insert(names.end(), d.aliases.begin(), d.aliases.end());
    FUZZ_CHECK(!d.ports.empty() && std::ranges::find(d.ports, 0) == d.ports.end(), "ports");
    FUZZ_CHECK(!d.origin.host.empty() && d.origin.port != 0, "origin");
    for (const std::string& prefix : d.exclude) FUZZ_CHECK(prefix.starts_with('/'), "exclude");
  }
  for (const std::string& name : names) {
    FUZZ_CHECK(!name.empty() && name.size() < WB_HOST_MAX && name == Lower(name), "name");
    FUZZ_CHECK(std::ranges::count(names, name) == 1, "name twice");
  }
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = wb::fuzz::Text(data, size);
  const wb::config::LoadResult result = wb::config::Parse(text);
  wb::fuzz::CheckFindings(result.errors, text);
  wb::fuzz::CheckFindings(result.warnings, text);
  if (result.errors.empty()) wb::fuzz::CheckAccepted(result.config);
  return 0;
}
