// SPDX-License-Identifier: Apache-2.0
#include "ctl/observe/hit_line.h"

#include <arpa/inet.h>
#include <strings.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <optional>

#include "absl/strings/str_cat.h"
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

std::string TimeText(uint32_t second, const char* format) {
  const time_t time = second;
  tm local;
  char text[64];
  localtime_r(&time, &local);
  return {text, strftime(text, sizeof(text), format, &local)};
}

struct Answer {
  const wb_hit& hit;
  uint32_t status, bytes, body;
};

void AppendQuoted(const std::optional<std::string_view>& text, std::string* out) {
  out->append(" \"");
  if (text) {
    AppendEscaped(*text, out);
  } else {
    out->push_back('-');
  }
  out->push_back('"');
}

void AppendCombined(const Answer& a, const Request& r, std::string* out) {
  absl::StrAppend(out, AddressText(a.hit.key.remote_be32), " - - [",
                  TimeText(a.hit.second, "%d/%b/%Y:%H:%M:%S %z"), "]");
  AppendQuoted(r.line, out);
  absl::StrAppend(out, " ", a.status, " ", a.body);
  AppendQuoted(r.referer, out);
  AppendQuoted(r.user_agent, out);
}

void AppendField(const char* name, const std::optional<std::string_view>& text, std::string* out) {
  absl::StrAppend(out, ",\"", name, "\":");
  if (!text) {
    out->append("null");
    return;
  }
  out->push_back('"');
  AppendJsonEscaped(*text, out);
  out->push_back('"');
}

void AppendJson(const Answer& a, const Request& r, std::string* out) {
  std::string time = TimeText(a.hit.second, "%Y-%m-%dT%H:%M:%S%z");
  if (time.size() > 2) time.insert(time.size() - 2, ":");  // RFC 3339
  absl::StrAppend(
      out, "{\"time\":\"", time, "\",\"remote_addr\":\"", AddressText(a.hit.key.remote_be32),
      "\",\"remote_port\":", ntohs(a.hit.key.remote_port_be16), ",\"server_addr\":\"",
      AddressText(a.hit.key.local_be32), "\",\"server_port\":", ntohs(a.hit.key.local_port_be16));
  AppendField("host", r.host, out);
  AppendField("request", r.line, out);
  absl::StrAppend(out, ",\"status\":", a.status, ",\"bytes_sent\":", a.bytes,
                  ",\"body_bytes_sent\":", a.body);
  AppendField("http_referer", r.referer, out);
  AppendField("http_user_agent", r.user_agent, out);
  out->push_back('}');
}

void AppendHex(const char* prefix, unsigned char byte, std::string* out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  out->append(prefix);
  out->push_back(kDigits[byte >> 4]);
  out->push_back(kDigits[byte & 15]);
}

bool Plain(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void AppendEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    if (Plain(static_cast<unsigned char>(c))) {
      out->push_back(c);
    } else {
      AppendHex("\\x", static_cast<unsigned char>(c), out);
    }
  }
}

void AppendJsonEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    if (Plain(static_cast<unsigned char>(c))) {
      out->push_back(c);
    } else if (c == '"' || c == '\\') {
      out->append({'\\', c});
    } else {
      AppendHex("\\u00", static_cast<unsigned char>(c), out);
    }
  }
}

size_t AppendHitLines(const void* data, size_t size, config::LogFormat format, std::string* out) {
  wb_hit hit;
  if (size < WB_HIT_HEAD || size > sizeof(hit) + 8) return 0;  // a ring buffer pads to eight
  memcpy(&hit, data, WB_HIT_HEAD);
  if (hit.text_len > size - WB_HIT_HEAD || hit.parts > WB_PARTS_MAX) return 0;
  std::string_view text(static_cast<const char*>(data) + WB_HIT_HEAD, hit.text_len);
  size_t lines = 0;
  for (unsigned i = 0; i < hit.parts; i++) {
    std::string_view one = text;
    if (hit.parts > 1) one = text.substr(0, text.find(kHeadEnd));
    text.remove_prefix(std::min(text.size(), one.size() + kHeadEnd.size()));
    if ((hit.chosen >> i & 1) == 0) continue;
    const wb_hit_part& part = hit.part[i];
    const uint32_t status = part.kind == WB_PART_NOT_MODIFIED ? 304
                            : part.kind == WB_PART_RANGE      ? 206
                                                              : 200;
    const Answer answer{hit, status, part.bytes,
                        part.bytes - std::min<uint32_t>(part.bytes, part.header_len)};
    const Request request = ParseRequest(one);
    if (format == config::LogFormat::kJson) {
      AppendJson(answer, request, out);
    } else {
      AppendCombined(answer, request, out);
    }
    out->push_back('\n');
    lines++;
  }
  return lines;
}

}  // namespace wb::observe
