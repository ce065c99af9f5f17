// SPDX-License-Identifier: Apache-2.0
// A second opinion on which requests may be answered from the cache: a plain parser of the positive
// list, written from RFC 9110/9112 and sharing nothing with bpf/. GET or HEAD, origin-form,
// HTTP/1.1, one Host, only fields of the list or those that change nothing, no body, no control
// characters, CRLF line ends, nothing behind the empty line.
#ifndef WEBBOOSTER_TESTS_BPF_STRICT_REQUEST_H_
#define WEBBOOSTER_TESTS_BPF_STRICT_REQUEST_H_

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace wb::bpf_test {

struct StrictRequest {
  bool head = false;
  std::string target;
  std::map<std::string, std::string> fields;  // lower-case names; only those whose value matters
};

// bytes=a-b, bytes=a- or bytes=-n, numbers of at most nine digits.
inline bool IsPlainRange(std::string_view value) {
  const auto number = [&] {
    size_t n = 0;
    while (n < value.size() && value[n] >= '0' && value[n] <= '9') ++n;
    value.remove_prefix(n);
    return n;
  };
  const std::string_view unit = "bytes=";
  if (!value.starts_with(unit)) return false;
  value.remove_prefix(unit.size());
  const size_t first = number();
  if (!value.starts_with('-')) return false;
  value.remove_prefix(1);
  const size_t last = number();
  return value.empty() && first + last > 0 && first <= 9 && last <= 9;
}

inline std::optional<StrictRequest> ParseStrict(std::string_view text) {
  static const std::set<std::string> kValues = {
      "host", "accept-encoding", "if-none-match", "if-modified-since", "connection", "range"};
  static const std::set<std::string> kIgnored = {"user-agent",
                                                 "accept",
                                                 "accept-language",
                                                 "cache-control",
                                                 "pragma",
                                                 "referer",
                                                 "dnt",
                                                 "upgrade-insecure-requests",
                                                 "sec-fetch-site",
                                                 "sec-fetch-mode",
                                                 "sec-fetch-dest",
                                                 "sec-fetch-user",
                                                 "sec-ch-ua",
                                                 "sec-ch-ua-mobile",
                                                 "sec-ch-ua-platform",
                                                 "sec-gpc",
                                                 "priority",
                                                 "traceparent",
                                                 "tracestate",
                                                 "wb-key"};
  const auto line = [&]() -> std::optional<std::string> {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    std::string l(text.substr(0, end));
    text.remove_prefix(end + 2);
    for (const char c : l)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    return l;
  };
  StrictRequest r;
  auto first = line();
  if (!first) return std::nullopt;
  if (first->starts_with("GET ")) {
    first->erase(0, 4);
  } else if (first->starts_with("HEAD ")) {
    r.head = true;
    first->erase(0, 5);
  } else {
    return std::nullopt;
  }
  if (!first->ends_with(" HTTP/1.1")) return std::nullopt;
  r.target = first->substr(0, first->size() - 9);
  if (r.target.empty() || r.target[0] != '/') return std::nullopt;
  for (const char c : r.target)
    if (c == ' ' || static_cast<unsigned char>(c) >= 0x80) return std::nullopt;
  while (true) {
    const auto l = line();
    if (!l) return std::nullopt;
    if (l->empty()) break;
    const size_t colon = l->find(':');
    if (colon == std::string::npos) return std::nullopt;
    std::string name = l->substr(0, colon);
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
    if (kIgnored.contains(name)) continue;
    const std::string value = l->substr(colon + 1);
    // One space, then something that neither begins nor ends with one.
    if (!kValues.contains(name) || value.size() < 2 || value[0] != ' ' || value[1] == ' ' ||
        value.back() == ' ')
      return std::nullopt;
    if (!r.fields.emplace(name, value.substr(1)).second) return std::nullopt;
  }
  if (!text.empty() || !r.fields.contains("host")) return std::nullopt;
  if (r.fields.contains("range") &&
      (r.head || r.fields.contains("if-none-match") || r.fields.contains("if-modified-since") ||
       !IsPlainRange(r.fields["range"])))
    return std::nullopt;
  if (r.fields.contains("connection")) {
    std::string c = r.fields["connection"];
    std::ranges::transform(c, c.begin(),
                           [](unsigned char x) { return x >= 'A' && x <= 'Z' ? x | 0x20 : x; });
    if (c != "keep-alive") return std::nullopt;
  }
  return r;
}

}  // namespace wb::bpf_test

#endif  // WEBBOOSTER_TESTS_BPF_STRICT_REQUEST_H_
