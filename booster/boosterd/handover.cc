// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/handover.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::boosterd {
namespace {

constexpr std::chrono::milliseconds kSlice(100);

// The version is in the magic: another one is no message of ours.
struct Header {
  std::array<char, 4> magic = {'W', 'B', 'H', '1'};
  uint32_t kind = 0;
};

absl::Status NotOurs(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("no handover of this version: ", absl::string_view(what.data(), what.size())));
}

bool CarriesDescriptor(HandoverKind kind) {
  return kind == HandoverKind::kListener || kind == HandoverKind::kLock;
}

// All descriptors of the message, so that none is left open, whatever was sent.
std::vector<base::UniqueFd> Descriptors(msghdr& message) {
  std::vector<base::UniqueFd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

absl::StatusOr<HandoverMessage> Receive(int socket) {
  Header header;
  std::string text(kMaxHandoverText, '\0');
  std::array<iovec, 2> parts = {{{&header, sizeof(header)}, {text.data(), text.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return base::PosixError("read", "the handover");
  std::vector<base::UniqueFd> fds = Descriptors(message);
  if (n == 0) return absl::UnavailableError("the other boosterd has ended");
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) return NotOurs("too large");
  const auto size = static_cast<size_t>(n);
  if (size < sizeof(header) || header.magic != Header().magic) return NotOurs("another magic");
  const auto kind = static_cast<HandoverKind>(header.kind);
  if (kind < HandoverKind::kPrepared || kind > HandoverKind::kDone) return NotOurs("no such kind");
  if (fds.size() != (CarriesDescriptor(kind) ? 1 : 0)) return NotOurs("descriptors");
  text.resize(size - sizeof(header));
  return HandoverMessage{kind, std::move(text),
                         fds.empty() ? base::UniqueFd() : std::move(fds.front())};
}

int Option(int fd, int level, int option) {
  int value = -1;
  socklen_t length = sizeof(value);
  return getsockopt(fd, level, option, &value, &length) == 0 ? value : -1;
}

// Whoever sent it: it listens on TCP, and an accept of ours does not wait.
bool Listens(int fd) {
  const int domain = Option(fd, SOL_SOCKET, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) &&
         Option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP &&
         Option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 &&
         fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0;
}

bool IsFile(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace

absl::Status SendHandover(int socket, HandoverKind kind, std::string_view text, int fd) {
  Header header;
  header.kind = static_cast<uint32_t>(kind);
  text = text.substr(0, kMaxHandoverText);
  std::array<iovec, 2> parts = {
      {{&header, sizeof(header)}, {const_cast<char*>(text.data()), text.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(c), &fd, sizeof(fd));
  }
  if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) return base::PosixError("send", "the handover");
  return absl::OkStatus();
}

absl::StatusOr<HandoverMessage> ReceiveHandover(int socket, net::Clock::time_point until,
                                                const std::atomic<bool>* abandon) {
  for (;;) {
    const bool abandoned = abandon != nullptr && *abandon;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - net::Clock::now());
    if (abandoned || left.count() < 0) left = std::chrono::milliseconds(0);
    pollfd entry = {socket, POLLIN, 0};
    // What has been said counts, however late it is.
    if (poll(&entry, 1, static_cast<int>(std::min(left, kSlice).count())) > 0)
      return Receive(socket);
    if (abandoned) return absl::CancelledError("given up");
    if (left.count() == 0) return absl::DeadlineExceededError("the other boosterd says nothing");
  }
}

absl::Status Bequeath(int socket, const Estate& estate) {
  for (const int fd : estate.listeners)
    WB_RETURN_IF_ERROR(SendHandover(socket, HandoverKind::kListener, {}, fd));
  WB_RETURN_IF_ERROR(SendHandover(socket, HandoverKind::kLock, {}, estate.lock));
  WB_RETURN_IF_ERROR(SendHandover(socket, HandoverKind::kTickets, estate.tickets));
  return SendHandover(socket, HandoverKind::kEnd, estate.control_socket);
}

absl::StatusOr<Inheritance> Inherit(int socket, net::Clock::time_point until) {
  Inheritance heir;
  for (;;) {
    WB_ASSIGN_OR_RETURN(HandoverMessage message, ReceiveHandover(socket, until));
    switch (message.kind) {
      case HandoverKind::kListener:
        if (!Listens(message.fd.get())) return NotOurs("a listener that does not listen");
        if (heir.listeners.size() == kMaxHandedListeners) return NotOurs("too many listeners");
        heir.listeners.push_back(std::move(message.fd));
        break;
      case HandoverKind::kLock:
        if (heir.lock || !IsFile(message.fd.get())) return NotOurs("a lock that is no file");
        heir.lock = std::move(message.fd);
        break;
      case HandoverKind::kTickets:
        heir.tickets = std::move(message.text);
        break;
      case HandoverKind::kEnd:
        if (!heir.lock || heir.listeners.empty()) return NotOurs("something is missing");
        heir.control_socket = std::move(message.text);
        return heir;
      default:
        return NotOurs("out of turn");
    }
  }
}

}  // namespace wb::boosterd
