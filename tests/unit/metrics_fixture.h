// SPDX-License-Identifier: Apache-2.0
// An exporter on made-up values, scraped over HTTP, and promtool.
#ifndef TESTS_UNIT_METRICS_FIXTURE_H_
#define TESTS_UNIT_METRICS_FIXTURE_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "ctl/metrics/collector.h"
#include "ctl/metrics/exporter.h"
#include "tests/unit/metrics_scrape.h"
#include "webbooster/abi/reasons.h"

namespace wb::metrics {

inline const std::filesystem::path kRoot = WB_SOURCE_DIR;

class FakeService : public api::Service {
 public:
  absl::StatusOr<api::ServerStatus> GetStatus() override { return Answer(fail_status, status); }
  absl::StatusOr<std::vector<api::DomainInfo>> ListDomains() override {
    return Answer(fail_domains, domains);
  }
  absl::StatusOr<api::ReloadResult> Reload() override { return Unused(); }
  absl::StatusOr<std::vector<api::ReasonCount>> Reasons() override {
    if (throw_reasons) throw std::runtime_error("a bug in the service");
    return Answer(fail_reasons, reasons);
  }
  absl::StatusOr<api::VersionInfo> Version() override { return Unused(); }
  absl::Status EnableDomain(const std::string&) override { return Unused(); }
  absl::Status DisableDomain(const std::string&) override { return Unused(); }
  absl::StatusOr<api::CacheList> ListCache(const api::CacheFilter&) override { return Unused(); }
  absl::StatusOr<api::DomainReport> ShowDomain(const std::string&) override { return Unused(); }
  absl::StatusOr<api::ObjectReport> ShowObject(const std::string&) override { return Unused(); }
  absl::StatusOr<api::ConnectionList> ListConnections(const api::ConnectionFilter&) override {
    return Unused();
  }
  void PeerDenied(const api::DeniedPeer&) override {}
  absl::StatusOr<uint64_t> Purge(const api::PurgeRequest&) override { return Unused(); }
  absl::StatusOr<api::AttachResult> Attach(const std::string&, api::AttachMode, bool) override {
    return Unused();
  }
  absl::StatusOr<std::vector<api::WarmResult>> Warm(const std::vector<std::string>&,
                                                    const absl::Notification&) override {
    return Unused();
  }
  absl::StatusOr<api::DetachResult> Detach(const api::DetachRequest&,
                                           const absl::Notification&) override {
    return Unused();
  }

  // Every number differs from every other, so that a mix-up shows.
  FakeService() {
    status.version = "9.8.7";
    status.uptime_s = 3725;
    status.mode = api::RunMode::kDrain;
    status.adopted = true;
    status.interfaces = {{"wbt0", 7, api::AttachMode::kGeneric, "LRO is on", ""},
                         {"wbt1", 8, api::AttachMode::kNative, "", ""},
                         {"wbt2", 0, api::AttachMode::kAuto, "not attached: no such", ""}};
    status.connections = {5, 3, 65536, 1234567, 11};
    status.cache = {12, 13, 14, 15, 16, 17, 18, {{"set_cookie", 4}, {"vary", 6}},
                    19, 20, 21, {}, {}, 22};
    status.cache.staleness = {25, 1.5, 0.75, 0.5, {{"0.5", 22}, {"0.01", 21}, {"+Inf", 25}}};
    status.cache.verifications = {51, 52, 53, 54, 55};
    status.repairs = {22, 23, 24};
    status.access_log = {true, 51, 52, 53};
    status.interfaces[0].shadow = true;
    status.interfaces[0].bulk = "packet";
    api::BulkStats& b = status.bulk;
    b = {201, 202, 203, 204, 205, 206, 207, 208, 209,   210,
         211, 212, 213, 214, 215, 216, 217, 317, false, 0.5};
    b.rtt_s = {218, 2.5, {{"0.001024", 30}, {"+Inf", 218}}};
    b.cwnd = {219, 9000, {{"64", 31}, {"+Inf", 219}}};
    status.heartbeat_age_ms = 12;
    status.lease_ms = 500;
    status.config = {"0000000000ff", "2026-01-02T03:04:05Z", false, 51, 52};
    status.api_denied_total = 25;
    status.catalogue = {true, 601, 602, 603, 604, 605, 606, 607};
    status.redirect = {true, {{"syn_bounced", 701}}, {{"site.test", 1}}, {{"site.test", 1}}};
    domains = {
        {"site.test", true, {"198.18.0.1:80"}, "/srv/www", 31, 32, 33, 34, 35, 36, 37, 61, 62, 63},
        {"other.test", false, {}, "", 41, 42, 43, 44, 45, 46, 9007199254740991, 71, 72, 73}};
    uint64_t next = 1000;
    for (api::DomainInfo& d : domains) {
      for (auto member : {&api::DomainInfo::body_bytes, &api::DomainInfo::arena_bytes,
                          &api::DomainInfo::overhead_bytes, &api::DomainInfo::share_bytes,
                          &api::DomainInfo::bound_bytes, &api::DomainInfo::evictions,
                          &api::DomainInfo::not_admitted})
        d.*member = ++next;
      d.fills = {0.25 + static_cast<double>(next), next + 1, next + 2, next + 3, 1.5, next + 4};
      next += 4;
    }
#define WB_X(NAME, label, hook, text) reasons.push_back({hook, label, text, 100u + WB_R_##NAME});
    WB_REASONS(WB_X)
#undef WB_X
  }

  api::ServerStatus status;
  std::vector<api::DomainInfo> domains;
  std::vector<api::ReasonCount> reasons;
  std::atomic<bool> fail_status = false, fail_domains = false, fail_reasons = false,
                    throw_reasons = false;

 private:
  template <typename T>
  static absl::StatusOr<T> Answer(bool fail, const T& value) {
    if (fail) return absl::UnavailableError("not now");
    return value;
  }
  static absl::Status Unused() { return absl::UnimplementedError("not for metrics"); }
};

// What comes back for GET `path`, header included.
inline std::string Get(uint16_t port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), ssize_t(request.size()));
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

inline Scrape Parse(const std::string& answer) {
  const size_t body = answer.find("\r\n\r\n");
  return ParseScrape(body == std::string::npos ? "" : answer.substr(body + 4));
}

class MetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/wbmetrics.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir_ = name;
    auto exporter = Exporter::Start("127.0.0.1:0", std::make_shared<Collector>(service_, "left"));
    ASSERT_TRUE(exporter.ok()) << exporter.status();
    exporter_ = *std::move(exporter);
  }
  void TearDown() override {
    exporter_.reset();
    std::filesystem::remove_all(dir_);
  }
  Scrape Read() const { return Parse(Get(exporter_->port(), "/metrics")); }

  // The exit code of `promtool ARGUMENTS < (a file with input)`; what it prints goes to `output_`.
  int Promtool(const std::string& arguments, const std::string& input = "") {
    std::ofstream(dir_ / "input") << input;
    const std::string out = (dir_ / "output").string();
    const int status = std::system(
        ("promtool " + arguments + " < " + (dir_ / "input").string() + " > " + out + " 2>&1")
            .c_str());
    std::ifstream file(out);
    output_.assign(std::istreambuf_iterator<char>(file), {});
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  FakeService service_;
  std::unique_ptr<Exporter> exporter_;
  std::filesystem::path dir_;
  std::string output_;
};

}  // namespace wb::metrics

#endif  // TESTS_UNIT_METRICS_FIXTURE_H_
