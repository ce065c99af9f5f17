// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/params.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace wb::api {
namespace {

constexpr char kMapped[] = "::ffff:";
constexpr size_t kShownChars = 64;  // Of a hostile name.

}  // namespace

absl::Status ReadParams(
    const Params& params,
    const std::function<absl::Status(const std::string& name, const std::string& value)>& read) {
  for (const auto& [name, value] : params) {
    if (params.count(name) > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("parameter ", name.substr(0, kShownChars), " is doubled"));
    }
    if (absl::Status status = read(name, value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status UnknownParam(const std::string& name) {
  return absl::InvalidArgumentError(
      absl::StrCat("unknown parameter ", name.substr(0, kShownChars)));
}

absl::Status ReadNumber(const std::string& name, const std::string& text, uint64_t max,
                        uint64_t& out) {
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos ||
      !absl::SimpleAtoi(text, &out) || out > max) {
    return absl::InvalidArgumentError(absl::StrCat(name, " must be a number from 0 to ", max));
  }
  return absl::OkStatus();
}

absl::Status ReadFlag(const std::string& name, const std::string& text, bool& out) {
  out = text == "true";
  if (out || text == "false") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " must be true or false"));
}

absl::Status ReadAddress(const std::string& name, const std::string& text, std::string& out) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  const int family = text.find(':') == text.npos ? AF_INET : AF_INET6;
  // inet_pton reads up to a zero byte.
  if (text.find('\0') != text.npos || inet_pton(family, text.c_str(), bytes.data()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(name, " must be an IPv4 or IPv6 address"));
  }
  out = inet_ntop(family, bytes.data(), canonical.data(), canonical.size());
  if (out.starts_with(kMapped) && out.find('.') != out.npos) out.erase(0, sizeof(kMapped) - 1);
  return absl::OkStatus();
}

}  // namespace wb::api
