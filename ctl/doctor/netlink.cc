// SPDX-License-Identifier: Apache-2.0
#include "ctl/doctor/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>

#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::doctor {
namespace {

// A dump's message is at most 32 KiB (NLMSG_GOODSIZE of the kernel's dump buffers).
constexpr size_t kReceiveBytes = 64 << 10;

absl::Status AnswerStatus(int error) {
  return base::PosixError("ask", "netlink", error == ENODEV ? ENOENT : error);
}

}  // namespace

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags, const void* header, size_t size) {
  nlmsghdr message = {};
  message.nlmsg_type = type;
  message.nlmsg_flags = NLM_F_REQUEST | flags;
  bytes_.assign(reinterpret_cast<const char*>(&message), sizeof(message));
  bytes_.append(static_cast<const char*>(header), size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void NetlinkRequest::Add(uint16_t type, std::string_view value) {
  nlattr attribute = {};
  attribute.nla_type = type;
  attribute.nla_len = static_cast<uint16_t>(NLA_HDRLEN + value.size());
  bytes_.append(reinterpret_cast<const char*>(&attribute), sizeof(attribute));
  bytes_.append(value);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void NetlinkRequest::AddU32(uint16_t type, uint32_t value) {
  Add(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof(value)));
}

absl::Status NetlinkRequest::Run(int protocol,
                                 absl::FunctionRef<void(std::string_view message)> each) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return base::PosixError("open", "netlink socket");
  const base::UniqueFd owner(fd);
  const timeval patience = {.tv_sec = 5, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));

  nlmsghdr header;
  memcpy(&header, bytes_.data(), sizeof(header));
  header.nlmsg_len = static_cast<uint32_t>(bytes_.size());
  header.nlmsg_flags |= NLM_F_ACK;  // so that every request has an end to wait for
  memcpy(bytes_.data(), &header, sizeof(header));
  if (send(fd, bytes_.data(), bytes_.size(), 0) < 0) {
    return base::PosixError("send", "netlink request");
  }
  std::vector<char> buffer(kReceiveBytes);
  while (true) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::PosixError("receive", "netlink answer");
    std::string_view rest(buffer.data(), static_cast<size_t>(got));
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr answer;
      memcpy(&answer, rest.data(), sizeof(answer));
      if (answer.nlmsg_len < sizeof(answer) || answer.nlmsg_len > rest.size()) break;
      const std::string_view message = rest.substr(0, answer.nlmsg_len);
      if (answer.nlmsg_type == NLMSG_ERROR || answer.nlmsg_type == NLMSG_DONE) {
        int error = 0;
        if (message.size() >= NLMSG_HDRLEN + sizeof(error)) {
          memcpy(&error, message.data() + NLMSG_HDRLEN, sizeof(error));
        }
        return error == 0 ? absl::OkStatus() : AnswerStatus(-error);
      }
      if (answer.nlmsg_type >= NLMSG_MIN_TYPE) each(message);
      rest.remove_prefix(std::min<size_t>(NLMSG_ALIGN(answer.nlmsg_len), rest.size()));
    }
  }
}

Attributes ParseMessage(std::string_view message, size_t header_bytes) {
  const size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(header_bytes);
  return message.size() < start ? Attributes() : ParseAttributes(message.substr(start));
}

Attributes ParseAttributes(std::string_view bytes) {
  Attributes attributes;
  while (bytes.size() >= NLA_HDRLEN) {
    nlattr attribute;
    memcpy(&attribute, bytes.data(), sizeof(attribute));
    if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > bytes.size()) break;
    attributes[attribute.nla_type & NLA_TYPE_MASK] =
        bytes.substr(NLA_HDRLEN, attribute.nla_len - NLA_HDRLEN);
    bytes.remove_prefix(std::min<size_t>(NLA_ALIGN(attribute.nla_len), bytes.size()));
  }
  return attributes;
}

uint32_t AttributeU32(const Attributes& attributes, uint16_t type) {
  uint32_t value = 0;
  const auto it = attributes.find(type);
  if (it != attributes.end() && it->second.size() >= sizeof(value)) {
    memcpy(&value, it->second.data(), sizeof(value));
  }
  return value;
}

std::string AttributeString(const Attributes& attributes, uint16_t type) {
  const auto it = attributes.find(type);
  if (it == attributes.end()) return "";
  return std::string(it->second.substr(0, it->second.find('\0')));
}

}  // namespace wb::doctor
