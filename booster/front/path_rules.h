// SPDX-License-Identifier: Apache-2.0
// Prefixes of paths that are refused. A prefix must not be got round by another spelling, so a path
// is also compared in the form that web servers look files up by: escapes decoded once, runs of "/"
// made one, dot segments resolved (RFC 3986, 5.2.4). Immutable, so safe from any thread.
#ifndef BOOSTER_FRONT_PATH_RULES_H_
#define BOOSTER_FRONT_PATH_RULES_H_

#include <string>
#include <string_view>
#include <vector>

namespace wb::front {

class PathRules {
 public:
  PathRules() = default;
  explicit PathRules(const std::vector<std::string>& prefixes);

  // `path` is without its query. Whether it begins with a prefix as it is, or in the other form.
  bool Match(std::string_view path) const;

 private:
  struct Rule {
    std::string as_written;
    std::string decoded;
  };
  std::vector<Rule> rules_;
};

// The form that is spoken of above. Exposed for the test.
std::string ResolvePath(std::string_view path);

}  // namespace wb::front

#endif  // BOOSTER_FRONT_PATH_RULES_H_
