// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "ctl/cache/response.h"
#include "webbooster/base/posix_error.h"

namespace wb::cache {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLeastBytesPerMs = 8192;  // of a large body

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t len = 0;
};

absl::StatusOr<SocketAddress> Resolve(const std::string& host, uint16_t port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.len = sizeof(*v4);
  } else if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.len = sizeof(*v6);
  } else {
    return absl::InvalidArgumentError("not an IP address: " + host);
  }
  return address;
}

bool SaysClose(const Response& response) {
  for (const Field& field : response.fields) {
    const absl::string_view name(field.name.data(), field.name.size());
    const std::string value =
        absl::AsciiStrToLower(absl::string_view(field.value.data(), field.value.size()));
    if (absl::EqualsIgnoreCase(name, "Connection") && absl::StrContains(value, "close")) {
      return true;
    }
  }
  return false;
}

}  // namespace

OriginConnection::OriginConnection(OriginAddress origin, FetchLimits limits)
    : origin_(std::move(origin)), limits_(limits) {}

std::string OriginConnection::Name() const {
  const bool v6 = origin_.host.find(':') != std::string::npos;
  return (v6 ? "[" + origin_.host + "]" : origin_.host) + ":" + std::to_string(origin_.port);
}

absl::StatusOr<std::string> OriginConnection::Exchange(std::string_view request, bool head) {
  const Deadline deadline = Clock::now() + limits_.total;
  const bool kept = Reusable();
  if (!kept) WB_RETURN_IF_ERROR(Connect(deadline));
  absl::StatusOr<Answer> answer = TryExchange(request, head, deadline);
  // A server may close an idle connection at any time (RFC 9112 9.3.1); only before the first byte
  // of an answer, and only GET and HEAD are sent here, so that asking again is harmless. The last
  // answer on a connection (nginx's keepalive_requests, Apache's MaxKeepAliveRequests) has a
  // Connection field that says nothing about the object, so it is asked for anew as well.
  if (kept && (answer.ok() ? answer->closes : absl::IsAborted(answer.status()))) {
    WB_RETURN_IF_ERROR(Connect(deadline));
    answer = TryExchange(request, head, deadline);
  }
  if (!answer.ok()) fd_.reset();
  if (absl::IsAborted(answer.status())) {
    return absl::UnavailableError(Name() + " closed the connection without an answer");
  }
  if (!answer.ok()) return answer.status();
  return std::move(answer->raw);
}

bool OriginConnection::Reusable() {
  if (!fd_) return false;
  pollfd p{fd_.get(), POLLIN, 0};
  if (poll(&p, 1, 0) == 0) return true;
  fd_.reset();  // closed, or something unasked for (408 Request Timeout)
  return false;
}

absl::Status OriginConnection::Connect(Deadline deadline) {
  WB_ASSIGN_OR_RETURN(const SocketAddress address, Resolve(origin_.host, origin_.port));
  ++connects_;
  fd_.reset(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return base::PosixError("open", "a socket");
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // saves time only
  WB_RETURN_IF_ERROR(Bind());
  int error = 0;
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.len) != 0) {
    error = errno;
  }
  if (error == EINPROGRESS) {
    WB_RETURN_IF_ERROR(Wait(POLLOUT, std::min(deadline, Clock::now() + limits_.connect)));
    socklen_t len = sizeof(error);
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
  }
  if (error == 0) return absl::OkStatus();
  fd_.reset();
  return absl::UnavailableError(
      std::string(base::PosixError("connect to", Name(), error).message()));
}

absl::Status OriginConnection::Bind() {
  if (origin_.from.empty()) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(const SocketAddress from, Resolve(origin_.from, 0));
  const int on = 1;  // the port is chosen by connect(), which knows the other end: more are free
  setsockopt(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&from.storage), from.len) == 0) {
    return absl::OkStatus();
  }
  const absl::Status status = base::PosixError("bind to", origin_.from);
  fd_.reset();
  return absl::UnavailableError(std::string(status.message()));
}

absl::Status OriginConnection::Wait(short events, Deadline deadline) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd p{fd_.get(), events, 0};
    const int n = poll(&p, 1, static_cast<int>(std::max<int64_t>(0, left)));
    if (n > 0) return absl::OkStatus();
    if (n == 0) return absl::DeadlineExceededError("no answer in time from " + Name());
    if (errno != EINTR) return base::PosixError("wait for", Name());
  }
}

// Aborted, here and in Receive(): the connection is gone, and not a byte of the answer was seen.
absl::Status OriginConnection::Send(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      WB_RETURN_IF_ERROR(Wait(POLLOUT, deadline));
    } else if (errno != EINTR) {
      return absl::AbortedError("cannot send");
    }
  }
  return absl::OkStatus();
}

absl::Status OriginConnection::Receive(std::string& into, Deadline deadline) {
  std::array<char, 16384> buffer;
  for (;;) {
    WB_RETURN_IF_ERROR(Wait(POLLIN, deadline));
    const ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) {
      into.append(buffer.data(), static_cast<size_t>(n));
      return absl::OkStatus();
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (into.empty()) return absl::AbortedError("closed");
    return absl::UnavailableError(Name() + " closed the connection within its answer");
  }
}

absl::StatusOr<OriginConnection::Answer> OriginConnection::TryExchange(std::string_view request,
                                                                       bool head,
                                                                       Deadline deadline) {
  WB_RETURN_IF_ERROR(Send(request, deadline));
  std::string raw;
  size_t end;
  while ((end = raw.find("\r\n\r\n")) == std::string::npos) {
    if (raw.size() > limits_.response_bytes) {
      return absl::ResourceExhaustedError("header too long from " + Name());
    }
    WB_RETURN_IF_ERROR(Receive(raw, deadline));
  }
  const absl::StatusOr<Response> header = ParseResponse(raw);
  if (!header.ok()) {
    return absl::DataLossError(Name() + ": " + std::string(header.status().message()));
  }
  if (header->status < 200) return absl::DataLossError("interim response from " + Name());
  const bool close = SaysClose(*header);
  size_t body = 0;
  if (!head && header->status != 304 && header->status != 204) {
    const bool framed = header->content_length && header->Count("Transfer-Encoding") == 0;
    if (!framed || *header->content_length + header->header_len > limits_.response_bytes) {
      fd_.reset();
      return Answer{raw.substr(0, end + 4), close};
    }
    body = *header->content_length;
  }
  deadline += std::chrono::milliseconds(body / kLeastBytesPerMs);
  raw.reserve(end + 4 + body);
  const size_t whole = end + 4 + body;
  while (raw.size() < whole) WB_RETURN_IF_ERROR(Receive(raw, deadline));
  if (raw.size() > whole) return absl::DataLossError("bytes behind the response of " + Name());
  if (close) fd_.reset();
  return Answer{std::move(raw), close};
}

}  // namespace wb::cache
