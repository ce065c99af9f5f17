// SPDX-License-Identifier: Apache-2.0
// A second reader of HTTP/1.1 messages, for http_fuzz: of whole messages, by searching and copying,
// and with nothing of booster/http but the default limits. Nothing: not whole, or to be refused.
#ifndef WEBBOOSTER_TESTS_FUZZ_SLOW_HTTP_H_
#define WEBBOOSTER_TESTS_FUZZ_SLOW_HTTP_H_

#include <cctype>
#include <cstring>

#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {

struct SlowMessage {
  std::string method, target, version;  // of a response: version, status, reason
  std::string host, path;               // host with its port; path with its query
  std::vector<FieldLine> fields;        // names in lower case
  std::string framing;                  // "none", "chunked", or a number
  size_t used = 0;

  std::vector<std::string> All(const std::string& name) const {
    std::vector<std::string> values;
    for (const FieldLine& field : fields)
      if (field.name == name) values.push_back(field.value);
    return values;
  }
};

inline bool SlowOnly(std::string_view text, const char* more, bool letters = true) {
  for (const char c : text) {
    const bool known = isascii(c) && (letters ? isalnum(c) : isdigit(c));
    if (c == 0 || (!known && !strchr(more, c))) return false;
  }
  return true;
}
inline bool SlowToken(std::string_view text) {
  return !text.empty() && SlowOnly(text, "!#$%&'*+-.^_`|~");
}

inline std::vector<std::string> SlowMembers(const std::string& list) {
  std::vector<std::string> members;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    // As the value of a field, for its white space.
    const std::string member = ReadField("x:" + list.substr(at, comma - at))->value;
    if (!member.empty()) members.push_back(member);
    at = comma + 1;
  }
  return members;
}

// RFC 9112, 2.2 and 5: line ends, control characters, field lines.
inline bool SlowFields(const std::vector<std::string_view>& lines, size_t from,
                       std::vector<FieldLine>& fields) {
  for (size_t i = 0; i < lines.size(); ++i) {
    for (const char c : lines[i])
      if (c != '\t' && iscntrl(static_cast<unsigned char>(c)) && isascii(c)) return false;
    if (i < from) continue;
    const auto field = ReadField(lines[i]);
    if (!field || !SlowToken(lines[i].substr(0, lines[i].find(':')))) return false;
    fields.push_back(*field);
  }
  return true;
}

// RFC 3986, 3.2, without userinfo and percent-encoding.
inline bool SlowHost(std::string host) {
  std::string port;
  const size_t colon = host.rfind(':'), bracket = host.rfind(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
    if (!port.empty() && (!SlowOnly(port, "", false) || port.size() > 5)) return false;
    if (!port.empty() && (std::stoi(port) < 1 || std::stoi(port) > 65535)) return false;
  }
  if (host.starts_with('[')) {  // whether it is an address is not looked at
    return host.size() > 3 && host.ends_with(']') &&
           Lower(host.substr(1, host.size() - 2)).find_first_not_of("0123456789abcdef:.") ==
               std::string::npos;
  }
  return !host.empty() && host.size() <= 253 && SlowOnly(host, "-._") && host[0] != '.' &&
         host.find("..") == std::string::npos;
}

inline bool SlowPath(const std::string& text) {
  const size_t mark = std::min(text.find('?'), text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') continue;
    const size_t end = i < mark ? mark : text.size();
    if (i + 2 >= end || !isxdigit(static_cast<unsigned char>(text[i + 1])) ||
        !isxdigit(static_cast<unsigned char>(text[i + 2])))
      return false;
  }
  const std::string usual = "-._~!$&'()*+,;=:@/%[]|^";
  return SlowOnly(text.substr(0, mark), usual.c_str()) &&
         SlowOnly(text.substr(mark), (usual + "?{}`\\").c_str());
}

inline bool SlowTarget(SlowMessage& m) {
  const std::string& target = m.target;
  if (m.method == "CONNECT" || target.empty()) return false;
  if (target == "*") {
    m.path = target;
    return m.method == "OPTIONS";
  }
  if (target[0] == '/') {
    m.path = target;
    return SlowPath(target);
  }
  const size_t begin = Lower(target).starts_with("http://")    ? 7
                       : Lower(target).starts_with("https://") ? 8
                                                               : 0;
  if (begin == 0) return false;
  const size_t end = std::min(target.find_first_of("/?#", begin), target.size());
  m.host = target.substr(begin, end - begin);
  m.path = target.substr(end);
  if (m.path.empty() && m.method == "OPTIONS")
    m.path = "*";
  else if (!m.path.starts_with('/'))
    m.path = "/" + m.path;
  return SlowHost(m.host) && SlowPath(m.path);
}

// RFC 9112, 6: of both kinds of message.
inline bool SlowFraming(SlowMessage& m) {
  const auto lengths = m.All("content-length"), codings = m.All("transfer-encoding");
  size_t options = 0;
  for (const std::string& list : m.All("connection")) {
    for (const std::string& option : SlowMembers(list)) {
      if (!SlowToken(option) || ++options > 32) return false;
    }
  }
  if (m.fields.size() > 100 || lengths.size() + codings.size() > 1) return false;
  m.framing = "none";
  if (!lengths.empty()) {
    const auto number = Decimal(lengths[0]);
    if (!number) return false;
    m.framing = std::to_string(*number);
  }
  if (codings.empty()) return true;
  m.framing = "chunked";
  return m.version == "HTTP/1.1" && Lower(codings[0]) == "chunked";
}

inline std::optional<SlowMessage> SlowStart(std::string_view text, bool request) {
  SlowMessage m;
  const size_t skip = request && text.starts_with("\r\n") ? 2 : 0;
  text.remove_prefix(skip);
  if (text.starts_with("\r\n")) return std::nullopt;
  const auto head = ReadHead(text);
  if (!head) return std::nullopt;
  m.used = skip + head->end;
  const std::string line(head->lines[0]);
  const size_t first = line.find(' ');
  const size_t second = line.find(' ', first == std::string::npos ? first : first + 1);
  if (first == std::string::npos || !SlowFields(head->lines, 1, m.fields)) return std::nullopt;
  m.method = line.substr(0, first);
  m.target = line.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  if (second != std::string::npos) m.version = line.substr(second + 1);
  return m;
}

inline std::optional<SlowMessage> SlowRequest(std::string_view text) {
  auto m = SlowStart(text, true);
  if (!m || !SlowToken(m->method) || m->method.size() > 32 || !SlowTarget(*m)) return std::nullopt;
  if (m->version != "HTTP/1.0" && m->version != "HTTP/1.1") return std::nullopt;
  const bool old = m->version == "HTTP/1.0";
  const auto hosts = m->All("host");
  if (hosts.size() > 1 || (hosts.empty() && !old) || !SlowFraming(*m)) return std::nullopt;
  if (!hosts.empty() && !SlowHost(hosts[0])) return std::nullopt;
  if (m->host.empty() && !hosts.empty()) m->host = hosts[0];
  for (const std::string& value : m->All("expect"))
    if (Lower(value) != "100-continue") return std::nullopt;
  const bool none = m->framing == "none";
  if (m->method == "TRACE" && !none) return std::nullopt;
  if (old && none && (m->method == "POST" || m->method == "PUT" || m->method == "PATCH"))
    return std::nullopt;
  return m;
}

// The framing is that of a response to GET: "close" when nothing else is said.
inline std::optional<SlowMessage> SlowResponse(std::string_view text) {
  auto m = SlowStart(text, false);
  if (!m) return std::nullopt;
  std::swap(m->method, m->version);  // now method holds the reason, target the status
  if (m->version != "HTTP/1.0" && m->version != "HTTP/1.1") return std::nullopt;
  if (m->target.size() != 3 || !Decimal(m->target) || !SlowFraming(*m)) return std::nullopt;
  if (m->target < "100" || m->target > "599" || m->target == "101") return std::nullopt;
  if (m->target[0] == '1' || m->target == "204") {
    if (m->framing != "none" && m->framing != "0") return std::nullopt;
    m->framing = "none";
  } else if (m->target == "304") {
    m->framing = "none";
  } else if (m->framing == "none") {
    m->framing = "close";
  }
  return m;
}

// RFC 9112, 7.1.
struct SlowBody {
  std::string payload;
  std::vector<FieldLine> trailers;  // all of them
  size_t used = 0;
};
inline std::optional<SlowBody> SlowChunked(std::string_view text) {
  SlowBody body;
  for (size_t at = 0, extensions = 0;;) {
    const size_t end = text.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string line(text.substr(at, end - at));
    const size_t digits = std::min(line.find_first_not_of("0123456789abcdefABCDEF"), line.size());
    const std::string rest = ReadField("x:" + line.substr(digits))->value;
    if (digits == 0 || digits > 16 || line.size() > 256) return std::nullopt;
    if (line.size() > digits && !rest.starts_with(';')) return std::nullopt;
    std::vector<FieldLine> none;
    if (!SlowFields({line}, 1, none)) return std::nullopt;
    if ((extensions += line.size() - digits) > 16384) return std::nullopt;
    const uint64_t size = std::stoull(line.substr(0, digits), nullptr, 16);
    at = end + 2;
    if (size == 0) {
      const std::string tail = "x\r\n" + std::string(text.substr(at));
      const auto head = ReadHead(tail);
      if (!head || head->lines.size() > 33 || !SlowFields(head->lines, 1, body.trailers))
        return std::nullopt;
      body.used = at + head->end - 3;
      return body;
    }
    if (size > text.size() - at || text.substr(at + size, 2) != "\r\n") return std::nullopt;
    body.payload += text.substr(at, size);
    at += size + 2;
  }
}

}  // namespace wb::fuzz

#endif  // WEBBOOSTER_TESTS_FUZZ_SLOW_HTTP_H_
