// SPDX-License-Identifier: Apache-2.0
// The configurations of accelerd and, behind a byte 1, which no file can have, of boosterd. Input:
// a file. Nothing throws or hangs, findings name a place in the file, and what is accepted keeps
// within the limits that the rest of the daemon relies on.
#include "booster/front/config_load.h"
#include "booster/front/network.h"
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

void CheckNetworks(const std::vector<std::string>& networks) {
  for (const std::string& text : networks) {
    const absl::StatusOr<front::Network> network = front::ParseNetwork(text);
    FUZZ_CHECK(network.ok() && network->ToString() == text, "a prefix that is not canonical");
    FUZZ_CHECK(network->Contains(network->base), "an empty prefix");
    FUZZ_CHECK(std::ranges::count(networks, text) == 1, "a prefix twice");
  }
}

void CheckAccepted(const front::Config& c) {
  FUZZ_CHECK(!c.listeners.empty() && c.listeners.size() <= front::kMaxListeners, "listeners");
  FUZZ_CHECK(!c.domains.empty() && c.domains.size() <= front::kMaxDomains, "domains");
  FUZZ_CHECK(In(c.timeouts.head, front::kTimeout), "timeout");
  FUZZ_CHECK(In(c.limits.connections, front::kConnections), "connections");
  FUZZ_CHECK(c.limits.target_bytes <= c.limits.head_bytes, "target");
  FUZZ_CHECK(c.limits.memory_bytes >= front::kLeastBuffers * c.limits.buffer_bytes, "memory");
  FUZZ_CHECK(!c.api.socket.empty() && c.api.socket[0] == '/', "socket");
  CheckNetworks(c.trusted_proxies);
  bool certificates = false;
  for (const front::Domain& d : c.domains) {
    FUZZ_CHECK(!d.name.empty() && d.name.size() <= front::kMaxNameChars, "name");
    FUZZ_CHECK(!d.origins.empty() && d.origins.size() <= front::kMaxOrigins, "origins");
    for (const front::Origin& origin : d.origins) {
      FUZZ_CHECK(front::Address::Parse(origin.address.host) && origin.address.port != 0, "origin");
      FUZZ_CHECK(origin.key_file.empty() == !origin.catalogue, "half an accelerator");
    }
    for (const front::Quota* quota : {&d.quota, &d.client_quota})
      FUZZ_CHECK(quota->burst == 0 || quota->rate != 0, "a burst without a rate");
    CheckNetworks(d.deny_clients);
    certificates |= d.certificate.has_value();
  }
  for (const front::Listener& listener : c.listeners)
    FUZZ_CHECK(!listener.tls || certificates, "TLS without a certificate");
}

template <typename Result>
void Check(const Result& result, std::string_view text) {
  CheckFindings(result.errors, text);
  CheckFindings(result.warnings, text);
  if (result.errors.empty()) CheckAccepted(result.config);
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = wb::fuzz::Text(data, size);
  if (text.starts_with('\x01')) {
    wb::fuzz::Check(wb::front::Parse(text.substr(1)), text.substr(1));
  } else {
    wb::fuzz::Check(wb::config::Parse(text), text);
  }
  return 0;
}
