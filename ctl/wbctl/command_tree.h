// SPDX-License-Identifier: Apache-2.0
// What wbctl understands, read from the parser itself: the one source of completions and of the
// manual page, so that neither can know another wbctl.
#ifndef CTL_WBCTL_COMMAND_TREE_H_
#define CTL_WBCTL_COMMAND_TREE_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace wb::wbctl {

struct Parameter {
  std::string name;  // "--json"; of a positional one "URL".
  std::string description;
  bool takes_value = false;
  bool required = false;
  bool repeated = false;
  std::vector<std::string> choices;  // All values it takes; empty: any.
  std::string kind;                  // What the parser calls its type: FILE, UINT...
  std::string default_value;
};

struct Command {
  std::string path;  // "cache list"; empty: wbctl itself.
  std::string description;
  std::vector<Parameter> options;
  std::vector<Parameter> positionals;
  std::vector<Command> commands;
};

Command TreeOf(const CLI::App& app);
// For the script that makes the manual page.
std::string TreeJson(const Command& tree);

}  // namespace wb::wbctl

#endif  // CTL_WBCTL_COMMAND_TREE_H_
