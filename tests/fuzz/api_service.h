// SPDX-License-Identifier: Apache-2.0
// A Service that holds the API to what service.h promises it: arguments are valid in form. By
// checks of its own.
#ifndef WEBBOOSTER_TESTS_FUZZ_API_SERVICE_H_
#define WEBBOOSTER_TESTS_FUZZ_API_SERVICE_H_

#include <atomic>

#include "ctl/api/service.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {

class CheckingService final : public api::Service {
 public:
  std::atomic<int> calls{0};

  absl::StatusOr<api::ServerStatus> GetStatus() override {
    ++calls;
    return api::ServerStatus{};
  }
  absl::StatusOr<api::VersionInfo> Version() override {
    ++calls;
    return api::VersionInfo{};
  }
  absl::StatusOr<std::vector<api::DomainInfo>> ListDomains() override {
    ++calls;
    return std::vector<api::DomainInfo>(1);
  }
  absl::Status EnableDomain(const std::string& name) override { return Domain(name); }
  absl::Status DisableDomain(const std::string& name) override { return Domain(name); }
  absl::StatusOr<api::CacheList> ListCache(const api::CacheFilter& filter) override {
    ++calls;
    FUZZ_CHECK(filter.limit <= api::kMaxCacheLimit && filter.offset <= UINT32_MAX, "limit");
    if (!filter.domain.empty()) CheckHost(filter.domain);
    if (!filter.prefix.empty()) CheckUrl(filter.prefix);
    return api::CacheList{1, {api::CacheEntry{.url = filter.prefix, .domain = filter.domain}}};
  }
  absl::StatusOr<std::vector<api::ReasonCount>> Reasons() override {
    ++calls;
    return std::vector<api::ReasonCount>(1);
  }
  absl::StatusOr<uint64_t> Purge(const api::PurgeRequest& request) override {
    ++calls;
    if (request.kind == api::PurgeKind::kAll)
      FUZZ_CHECK(request.value.empty(), "value of all");
    else if (request.kind == api::PurgeKind::kDomain)
      CheckHost(request.value);
    else if (request.kind == api::PurgeKind::kTag)
      CheckTag(request);
    else
      CheckUrl(request.value);
    return 7;
  }
  absl::StatusOr<api::AttachResult> Attach(const std::string& interface, api::AttachMode mode,
                                           bool shadow) override {
    ++calls;
    CheckInterface(interface);
    api::AttachResult result;
    result.interface = interface;
    result.mode = mode;
    result.shadow = shadow;
    return result;
  }
  absl::StatusOr<api::DomainReport> ShowDomain(const std::string& name) override {
    ++calls;
    CheckHost(name);
    return api::DomainReport{};
  }
  absl::StatusOr<api::ObjectReport> ShowObject(const std::string& url) override {
    ++calls;
    CheckUrl(url);
    return api::ObjectReport{};
  }
  absl::StatusOr<api::ConnectionList> ListConnections(
      const api::ConnectionFilter& filter) override {
    ++calls;
    FUZZ_CHECK(filter.limit <= 10000u, "limit");
    return api::ConnectionList{};
  }
  void PeerDenied(const api::DeniedPeer&) override {}
  absl::StatusOr<api::ReloadResult> Reload() override {
    ++calls;
    return api::ReloadResult{};
  }
  absl::StatusOr<std::vector<api::WarmResult>> Warm(const std::vector<std::string>& urls,
                                                    const absl::Notification&) override {
    ++calls;
    FUZZ_CHECK(!urls.empty() && urls.size() <= api::kMaxWarmUrls, "%zu URLs", urls.size());
    std::vector<api::WarmResult> results;
    for (const std::string& url : urls) {
      CheckUrl(url);
      results.push_back({.url = url});
    }
    return results;
  }
  absl::StatusOr<api::DetachResult> Detach(const api::DetachRequest& request,
                                           const absl::Notification&) override {
    ++calls;
    CheckInterface(request.interface);
    FUZZ_CHECK(request.deadline_s.value_or(0) <= api::kMaxDetachDeadlineS, "deadline");
    return absl::DeadlineExceededError("3 connections left");
  }

 private:
  absl::Status Domain(const std::string& name) {
    ++calls;
    CheckHost(name);
    return absl::NotFoundError("no domain " + name);
  }
  static void CheckHost(const std::string& name) {
    FUZZ_CHECK(!name.empty() && name.size() <= 253 && name[0] != '.' && name.back() != '.', "host");
    FUZZ_CHECK(name.find("..") == std::string::npos, "host");
    for (const char c : Lower(name))
      FUZZ_CHECK(
          (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.',
          "character %02x of a host", c);
  }
  static void CheckUrl(const std::string& url) {
    FUZZ_CHECK(url.size() <= 4096 && (url.starts_with("http://") || url.starts_with("https://")),
               "URL");
    for (const char c : url) FUZZ_CHECK(c > 0x20 && c < 0x7f, "character %02x of a URL", c);
  }
  static void CheckTag(const api::PurgeRequest& request) {
    FUZZ_CHECK(!request.value.empty() && request.value.size() <= 256, "tag");
    for (const char c : request.value)
      FUZZ_CHECK(c > 0x20 && c < 0x7f && c != ',', "character %02x of a tag", c);
    if (!request.domain.empty()) CheckHost(request.domain);
  }
  static void CheckInterface(const std::string& name) {
    FUZZ_CHECK(!name.empty() && name.size() < 16 && name != "." && name != "..", "interface");
    for (const char c : name)
      FUZZ_CHECK(c > 0x20 && c < 0x7f && c != '/' && c != ':', "character %02x", c);
  }
};

}  // namespace wb::fuzz

#endif  // WEBBOOSTER_TESTS_FUZZ_API_SERVICE_H_
