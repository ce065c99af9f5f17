// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/command_tree.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace wb::wbctl {
namespace {

// The parser says of a choice "TEXT:{a,b}".
std::vector<std::string> Choices(const std::string& type) {
  std::vector<std::string> choices;
  const size_t open = type.find('{');
  const size_t close = type.find('}', open == type.npos ? 0 : open);
  if (open == type.npos || close == type.npos) return choices;
  std::istringstream list(type.substr(open + 1, close - open - 1));
  for (std::string word; std::getline(list, word, ',');) choices.push_back(word);
  return choices;
}

Parameter ParameterOf(const CLI::Option& option) {
  Parameter p;
  const auto& longs = option.get_lnames();
  const auto& shorts = option.get_snames();
  p.name = !longs.empty() ? "--" + longs[0] : !shorts.empty() ? "-" + shorts[0] : option.get_name();
  p.description = option.get_description();
  p.takes_value = option.get_items_expected_max() > 0;
  p.required = option.get_required();
  p.repeated = option.get_expected_max() > 1;
  const std::string type = option.get_type_name();
  p.choices = Choices(type);
  p.kind = type.substr(0, type.find_first_of(":{ "));
  p.default_value = option.get_default_str();
  return p;
}

void AddParameters(const CLI::App& app, Command& command) {
  for (const CLI::Option* option : app.get_options()) {
    if (app.get_name().empty() && option == app.get_help_ptr()) continue;  // Of a group.
    auto& list = option->get_positional() ? command.positionals : command.options;
    list.push_back(ParameterOf(*option));
  }
}

Command CommandOf(const CLI::App& app, const std::string& path) {
  Command command;
  command.path = path;
  command.description = app.get_description();
  AddParameters(app, command);
  const auto all = [](const CLI::App*) { return true; };
  for (const CLI::App* child : app.get_subcommands(all)) {
    if (child->get_name().empty()) {
      AddParameters(*child, command);  // A group of options.
    } else {
      const std::string name = child->get_name();
      command.commands.push_back(CommandOf(*child, path.empty() ? name : path + " " + name));
    }
  }
  return command;
}

nlohmann::ordered_json Json(const std::vector<Parameter>& parameters) {
  auto list = nlohmann::ordered_json::array();
  for (const Parameter& p : parameters)
    list.push_back({{"name", p.name},
                    {"description", p.description},
                    {"takes_value", p.takes_value},
                    {"required", p.required},
                    {"repeated", p.repeated},
                    {"choices", p.choices},
                    {"kind", p.kind},
                    {"default", p.default_value}});
  return list;
}

nlohmann::ordered_json Json(const Command& command) {
  nlohmann::ordered_json out = {{"path", command.path},
                                {"description", command.description},
                                {"options", Json(command.options)},
                                {"positionals", Json(command.positionals)},
                                {"commands", nlohmann::ordered_json::array()}};
  for (const Command& child : command.commands) out["commands"].push_back(Json(child));
  return out;
}

}  // namespace

Command TreeOf(const CLI::App& app) { return CommandOf(app, ""); }

std::string TreeJson(const Command& tree) { return Json(tree).dump(); }

}  // namespace wb::wbctl
