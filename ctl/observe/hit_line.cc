// SPDX-License-Identifier: Apache-2.0
#include "ctl/observe/hit_line.h"

#include <arpa/inet.h>
#include <strings.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "ctl/observe/log_line.h"
#include "webbooster/abi/object.h"
#include "webbooster/abi/observe.h"

namespace wb::observe {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

struct Request {
  std::string_view line;
  std::optional<std::string_view> host, referer, user_agent;  // of several, the first, as nginx
};

std::string_view TakeLine(std::string_view& text) {
  const size_t end = text.find(kLineEnd);
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + kLineEnd.size());
  return line;
}

Request ParseRequest(std::string_view text) {
  Request request;
  request.line = TakeLine(text);
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
    const auto keep = [&](std::string_view name, std::optional<std::string_view>& field) {
      if (!field && name.size() == colon && strncasecmp(line.data(), name.data(), colon) == 0)
        field = value;
    };
    keep("host", request.host);
    keep("referer", request.referer);
    keep("user-agent", request.user_agent);
  }
  return request;
}

std::string AddressText(const __u32 (&be32)[4]) {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = be32[0] == 0 && be32[1] == 0 && be32[2] == htonl(0xffff);
  return v4 ? inet_ntop(AF_INET, &be32[3], text, sizeof(text))
            : inet_ntop(AF_INET6, be32, text, sizeof(text));
}

}  // namespace

size_t AppendHitLines(const void* data, size_t size, config::LogFormat format, std::string* out) {
  wb_hit hit;
  if (size < WB_HIT_HEAD || size > sizeof(hit) + 8) return 0;  // a ring buffer pads to eight
  memcpy(&hit, data, WB_HIT_HEAD);
  if (hit.text_len > size - WB_HIT_HEAD || hit.parts > WB_PARTS_MAX) return 0;
  std::string_view text(static_cast<const char*>(data) + WB_HIT_HEAD, hit.text_len);
  const std::string remote = AddressText(hit.key.remote_be32);
  const std::string local = AddressText(hit.key.local_be32);
  size_t lines = 0;
  for (unsigned i = 0; i < hit.parts; i++) {
    std::string_view one = text;
    if (hit.parts > 1) one = text.substr(0, text.find(kHeadEnd));
    text.remove_prefix(std::min(text.size(), one.size() + kHeadEnd.size()));
    if ((hit.chosen >> i & 1) == 0) continue;
    const wb_hit_part& part = hit.part[i];
    const int status = part.kind == WB_PART_NOT_MODIFIED ? 304
                       : part.kind == WB_PART_RANGE      ? 206
                                                         : 200;
    const Request request = ParseRequest(one);
    AppendLogLine({.second = hit.second,
                   .remote_addr = remote,
                   .remote_port = ntohs(hit.key.remote_port_be16),
                   .server_addr = local,
                   .server_port = ntohs(hit.key.local_port_be16),
                   .host = request.host,
                   .request = request.line,
                   .status = status,
                   .bytes = part.bytes,
                   .body_bytes = part.bytes - std::min<uint32_t>(part.bytes, part.header_len),
                   .referer = request.referer,
                   .user_agent = request.user_agent},
                  format, out);
    lines++;
  }
  return lines;
}

}  // namespace wb::observe
