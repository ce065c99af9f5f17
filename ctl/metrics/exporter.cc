// SPDX-License-Identifier: Apache-2.0
#include "ctl/metrics/exporter.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::metrics {
namespace {

socklen_t SizeOf(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

void SetPort(sockaddr_storage* address, int port) {
  // The port is at the same place in both families.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(static_cast<uint16_t>(port));
}

// Strict, because CivetWeb reads more into the text: lists, "+", and letters after the port.
absl::StatusOr<sockaddr_storage> Resolve(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  std::string host = colon == std::string::npos ? "" : listen.substr(0, colon);
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string::npos;
  int number = -1;
  if (host.empty() || !digits || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", listen, "\" is not HOST:PORT to listen on"));
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = brackets ? AF_INET6 : AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", listen, ": ", gai_strerror(error)));
  }
  sockaddr_storage address{};
  std::copy_n(reinterpret_cast<const char*>(found->ai_addr), found->ai_addrlen,
              reinterpret_cast<char*>(&address));
  freeaddrinfo(found);
  SetPort(&address, number);
  return address;
}

// CivetWeb says only that it failed, so the same is asked of the kernel, which says why.
absl::Status WhyNotListening(const std::string& listen, const sockaddr_storage& address) {
  const base::UniqueFd fd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return base::PosixError("listen on", listen);
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), SizeOf(address)) != 0 ||
      ::listen(fd.get(), 1) != 0) {
    return base::PosixError("listen on", listen);
  }
  if (address.ss_family == AF_INET6) {
    return absl::UnimplementedError(
        absl::StrCat("cannot listen on ", listen, ": libcivetweb was built without IPv6"));
  }
  return absl::UnavailableError(absl::StrCat("cannot listen on ", listen, ": CivetWeb failed"));
}

void Connect(const sockaddr_storage& address) {
  const base::UniqueFd fd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return;
  // Whatever comes of it: the attempt is what wakes the listener.
  (void)connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), SizeOf(address));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Exporter>> Exporter::Start(
    const std::string& listen, std::shared_ptr<prometheus::Collectable> collectable) {
  WB_ASSIGN_OR_RETURN(sockaddr_storage address, Resolve(listen));
  try {
    // The time limit keeps two silent clients from blocking every scrape for 30 seconds.
    auto exposer = std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", listen, "num_threads", "2", "request_timeout_ms", "5000"});
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (ports.empty()) return WhyNotListening(listen, address);
    SetPort(&address, ports.front());
    exposer->RegisterCollectable(collectable);
    return std::unique_ptr<Exporter>(
        new Exporter(std::move(collectable), std::move(exposer), address));
  } catch (const std::exception&) {
    return WhyNotListening(listen, address);
  }
}

Exporter::Exporter(std::shared_ptr<prometheus::Collectable> collectable,
                   std::unique_ptr<prometheus::Exposer> exposer, const sockaddr_storage& address)
    : collectable_(std::move(collectable)), exposer_(std::move(exposer)), address_(address) {}

Exporter::~Exporter() { Stop(); }

uint16_t Exporter::port() const {
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address_)->sin_port);
}

void Exporter::Stop() {
  if (!exposer_) return;
  // CivetWeb looks at its stop flag when its poll wakes: every 2 s, or when somebody connects.
  std::atomic<bool> stopped = false;
  std::thread waker;
  try {
    waker = std::thread([&] {
      while (!stopped) {
        Connect(address_);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
  } catch (const std::system_error&) {
    // No thread to be had: it only takes longer.
  }
  exposer_.reset();
  stopped = true;
  if (waker.joinable()) waker.join();
}

}  // namespace wb::metrics
