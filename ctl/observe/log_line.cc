// SPDX-License-Identifier: Apache-2.0
#include "ctl/observe/log_line.h"

#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace wb::observe {
namespace {

// The text of a second is made once: most lines of a thread have that of the line before.
struct TimeTexts {
  int64_t second = -1;
  std::string combined;  // "02/Jan/2026:03:04:05 +0000"
  std::string json;      // RFC 3339
};

std::string TimeText(const tm& local, const char* format) {
  char text[64];
  return {text, strftime(text, sizeof(text), format, &local)};
}

const TimeTexts& TextsOf(int64_t second) {
  thread_local TimeTexts texts;
  if (texts.second == second) return texts;
  const time_t time = second;
  tm local;
  localtime_r(&time, &local);
  texts.combined = TimeText(local, "%d/%b/%Y:%H:%M:%S %z");
  texts.json = TimeText(local, "%Y-%m-%dT%H:%M:%S%z");
  if (texts.json.size() > 2) texts.json.insert(texts.json.size() - 2, ":");
  texts.second = second;
  return texts;
}

void AppendHex(const char* prefix, unsigned char byte, std::string* out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  out->append(prefix);
  out->push_back(kDigits[byte >> 4]);
  out->push_back(kDigits[byte & 15]);
}

bool Plain(unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

// As nginx's log module: \xXX.
void AppendEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    if (Plain(static_cast<unsigned char>(c))) {
      out->push_back(c);
    } else {
      AppendHex("\\x", static_cast<unsigned char>(c), out);
    }
  }
}

// For a string of JSON: \uXXXX for each byte that is not printable ASCII.
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

void AppendQuoted(const std::optional<std::string_view>& text, std::string* out) {
  out->append(" \"");
  if (text) {
    AppendEscaped(*text, out);
  } else {
    out->push_back('-');
  }
  out->push_back('"');
}

void AppendCombined(const LogLine& line, std::string* out) {
  out->append(line.remote_addr);
  absl::StrAppend(out, " - - [", TextsOf(line.second).combined, "]");
  AppendQuoted(line.request, out);
  absl::StrAppend(out, " ", line.status, " ", line.body_bytes);
  AppendQuoted(line.referer, out);
  AppendQuoted(line.user_agent, out);
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

template <typename Number>
void AppendNumber(const char* name, const std::optional<Number>& number, std::string* out) {
  absl::StrAppend(out, ",\"", name, "\":");
  if (number) {
    absl::StrAppend(out, *number);
  } else {
    out->append("null");
  }
}

void AppendJson(const LogLine& line, std::string* out) {
  absl::StrAppend(out, "{\"time\":\"", TextsOf(line.second).json, "\"");
  AppendField("remote_addr", line.remote_addr, out);
  AppendNumber("remote_port", line.remote_port, out);
  AppendField("server_addr", line.server_addr, out);
  AppendNumber("server_port", line.server_port, out);
  AppendField("host", line.host, out);
  AppendField("request", line.request, out);
  absl::StrAppend(out, ",\"status\":", line.status);
  AppendNumber("bytes_sent", line.bytes, out);
  absl::StrAppend(out, ",\"body_bytes_sent\":", line.body_bytes);
  AppendField("http_referer", line.referer, out);
  AppendField("http_user_agent", line.user_agent, out);
  if (line.refused) AppendField("refused", *line.refused, out);
  if (line.request_seconds) {
    absl::StrAppendFormat(out, ",\"request_time\":%.6f", *line.request_seconds);
  }
  out->push_back('}');
}

}  // namespace

void AppendLogLine(const LogLine& line, config::LogFormat format, std::string* out) {
  if (format == config::LogFormat::kJson) {
    AppendJson(line, out);
  } else {
    AppendCombined(line, out);
  }
  out->push_back('\n');
}

}  // namespace wb::observe
