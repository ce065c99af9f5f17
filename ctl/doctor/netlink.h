// SPDX-License-Identifier: Apache-2.0
//
// A netlink request with its answers, for what rtnetlink and generic netlink tell about an
// interface. Requests go to the network namespace of the calling thread. Host byte order
// throughout.
#ifndef CTL_DOCTOR_NETLINK_H_
#define CTL_DOCTOR_NETLINK_H_

#include <linux/netlink.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace wb::doctor {

class NetlinkRequest {
 public:
  // `header` is the fixed structure of the message type (ifinfomsg, genlmsghdr...).
  template <typename Header>
  NetlinkRequest(uint16_t type, uint16_t flags, const Header& header)
      : NetlinkRequest(type, flags, &header, sizeof(header)) {}

  void Add(uint16_t type, std::string_view value);
  void AddU32(uint16_t type, uint32_t value);

  // Sends, and calls `each` with every answer of a type above NLMSG_MIN_TYPE: the whole message,
  // headers included. An error answer is the status (NotFound for ENODEV and ENOENT).
  absl::Status Run(int protocol, absl::FunctionRef<void(std::string_view message)> each);

 private:
  NetlinkRequest(uint16_t type, uint16_t flags, const void* header, size_t size);

  std::string bytes_;
};

// The attributes after `header_bytes` of family header in a whole message, by type without flags.
using Attributes = std::map<uint16_t, std::string_view>;
Attributes ParseMessage(std::string_view message, size_t header_bytes);
Attributes ParseAttributes(std::string_view bytes);

// 0 and "" where absent or too short.
uint32_t AttributeU32(const Attributes& attributes, uint16_t type);
std::string AttributeString(const Attributes& attributes, uint16_t type);

}  // namespace wb::doctor

#endif  // CTL_DOCTOR_NETLINK_H_
