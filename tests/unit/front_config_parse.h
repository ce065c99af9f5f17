// SPDX-License-Identifier: Apache-2.0
// What the tests of boosterd's configuration share.
#ifndef TESTS_UNIT_FRONT_CONFIG_PARSE_H_
#define TESTS_UNIT_FRONT_CONFIG_PARSE_H_

#include <map>
#include <string>

#include "booster/front/config_load.h"
#include "tests/unit/config_parse.h"

namespace wb::front {

inline constexpr char kListeners[] = "listeners: [{address: '0.0.0.0:80'}]\n";
inline constexpr char kDomains[] =
    "domains: [{name: a.test, origins: [{address: '192.0.2.1:80'}]}]\n";

// Files that are valid without what stands for "@", which belongs to the map of the key in front
// ("": the file's).
inline const std::map<std::string, std::string>& Files() {
  static const std::map<std::string, std::string> files = [] {
    const std::string listeners = kListeners, domains = kDomains;
    const std::string domain = listeners + "domains: [{name: a.test, ";
    const std::string origins = "origins: [{address: '192.0.2.1:80'}]";
    std::map<std::string, std::string> result = {
        {"", listeners + domains + "@\n"},
        {"listeners[].", "listeners: [{address: '0.0.0.0:80', @}]\n" + domains},
        {"domains[].", domain + origins + ", @}]\n"},
        {"domains[].origins[].", domain + "origins: [{address: '192.0.2.1:80', @}]}]\n"}};
    for (const std::string map :
         {"api", "metrics", "log", "access_log", "timeouts", "limits", "redirect"})
      result[map + "."] = listeners + domains + map + ": {@}\n";
    result["redirect.etcd."] = listeners + domains + "redirect: {etcd: {@}}\n";
    for (const std::string map : {"certificate", "health", "quota", "client_quota", "redirect"})
      result["domains[]." + map + "."] = domain + origins + ", " + map + ": {@}}]\n";
    return result;
  }();
  return files;
}

// A file in which `key` has `value`; with an empty value, without it.
inline std::string FileWith(const std::string& key, const std::string& value) {
  const size_t dot = key.rfind('.');
  const std::string prefix = dot == std::string::npos ? "" : key.substr(0, dot + 1);
  std::string text = Files().at(prefix);
  const std::string entry = value.empty() ? "" : key.substr(prefix.size()) + ": " + value;
  return text.replace(text.find('@'), 1, entry);
}

inline std::string OnlyError(const std::string& yaml) { return config::OnlyError(Parse(yaml)); }

}  // namespace wb::front

#endif  // TESTS_UNIT_FRONT_CONFIG_PARSE_H_
