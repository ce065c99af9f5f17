// SPDX-License-Identifier: Apache-2.0
// What the tests of the configurations share.
#ifndef TESTS_UNIT_CONFIG_PARSE_H_
#define TESTS_UNIT_CONFIG_PARSE_H_

#include <filesystem>
#include <string>

#include "ctl/config/load.h"

namespace wb::config {

inline constexpr char kDomain[] = "domains: [{name: a.test}]\n";

inline std::filesystem::path Repository() { return WB_SOURCE_DIR; }

inline std::string Text(const Findings& result) {
  std::string text;
  for (const Finding& e : result.errors) text += FormatFinding("f", e) + "\n";
  return text;
}

// The only error, or all of them if there is not one.
inline std::string OnlyError(const Findings& result) {
  return result.errors.size() == 1 ? FormatFinding("f", result.errors[0])
                                   : "not one:\n" + Text(result);
}
inline std::string OnlyError(const std::string& yaml) { return OnlyError(Parse(yaml)); }

inline std::string Repeat(const std::string& part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

// As FileWith(), of keys below redirect.bounce.
inline std::string FileWithBounce(const std::string& key, const std::string& value) {
  const std::string service = "{domain: a.test, vips: [198.18.5.1]";
  const bool of_service = key.find("[]") != std::string::npos;
  const std::string entry =
      value.empty() ? "" : ", " + key.substr(key.rfind('.') + 1) + ": " + value;
  return std::string(kDomain) +
         "boosters: {addresses: [198.18.0.9], key_file: /k, catalogue: '0.0.0.0:9466'}\n"
         "redirect: {bounce: {booster: 198.18.0.9, services: [" +
         service + (of_service ? entry : "") + "}]" + (of_service ? "" : entry) + "}}\n";
}

// A valid file in which `key` has `value`; with an empty value, without it. The rest is the same.
inline std::string FileWith(const std::string& key, const std::string& value) {
  const size_t dot = key.find('.');
  const std::string parent = dot == std::string::npos ? "" : key.substr(0, dot);
  const std::string entry = value.empty() ? "" : key.substr(dot + 1) + ": " + value;
  if (parent == "domains[]") return "domains: [{name: a.test, " + entry + "}]\n";
  if (parent == "interfaces[]")
    return std::string(kDomain) + "interfaces: [{name: e0, " + entry + "}]\n";
  if (parent == "redirect" && key.starts_with("redirect.bounce."))
    return FileWithBounce(key, value);
  if (parent.empty()) return kDomain + entry + "\n";
  return kDomain + parent + ": {" + entry + "}\n";
}

}  // namespace wb::config

#endif  // TESTS_UNIT_CONFIG_PARSE_H_
