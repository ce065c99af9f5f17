// SPDX-License-Identifier: Apache-2.0
// wbctl completion: scripts for shells, made from the tree of commands. Both shells share functions
// that say what may follow a path of commands; behind them each has a driver of its own.
#include <iostream>
#include <memory>
#include <sstream>

#include "ctl/wbctl/command_tree.h"
#include "ctl/wbctl/context.h"

namespace wb::wbctl {
namespace {

constexpr char kBashDriver[] = R"(
_wbctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} path='' option='' word line kind i
  local -a words=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $option ]]; then
      # Bash takes --option=value for three words.
      [[ $word == '=' ]] || option=''
    elif [[ $word == -* ]]; then
      ! _wbctl_value "$path" "$word" >/dev/null || option=$word
    elif [[ $'\n'$(_wbctl_words "$path") == *$'\n'"$word":* ]]; then
      path=${path:+$path }$word
    fi
  done
  [[ $cur != '=' ]] || cur=''
  COMPREPLY=()
  if [[ -z $option && $cur == -* ]]; then
    while IFS= read -r line; do words+=("${line%%:*}"); done < <(_wbctl_options "$path")
  elif [[ -z $option ]]; then
    while IFS= read -r line; do words+=("${line%%:*}"); done < <(_wbctl_words "$path")
  fi
  if [[ $option || $cur != -* ]]; then
    line=$(_wbctl_value "$path" "$option")
    case $line in
      FILE | DIR)
        kind='file'
        [[ $line == FILE ]] || kind='directory'
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -A "$kind" -- "$cur")
        ;;
      INTERFACE) mapfile -t words < <(ls /sys/class/net 2>/dev/null) ;;
      WORDS\ *) read -ra words <<<"${line#WORDS }" ;;
    esac
  fi
  ((${#words[@]} == 0)) || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}
complete -F _wbctl wbctl
)";

constexpr char kZshDriver[] = R"(
_wbctl() {
  local wb_path='' option='' word line i
  local -a list
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    if [[ -n $option ]]; then
      option=''
    elif [[ $word == -*=* ]]; then
      :
    elif [[ $word == -* ]]; then
      ! _wbctl_value "$wb_path" "$word" >/dev/null || option=$word
    elif [[ $'\n'$(_wbctl_words "$wb_path") == *$'\n'"$word":* ]]; then
      wb_path=${wb_path:+$wb_path }$word
    fi
  done
  word=${words[CURRENT]}
  if [[ -z $option && $word == -*=* ]]; then
    option=${word%%=*}
    compset -P '*='
  elif [[ -z $option && $word == -* ]]; then
    list=("${(@f)$(_wbctl_options "$wb_path")}")
    _describe -o option list
    return
  elif [[ -z $option ]]; then
    line=$(_wbctl_words "$wb_path")
    if [[ -n $line ]]; then
      list=("${(@f)line}")
      _describe command list
    fi
  fi
  line=$(_wbctl_value "$wb_path" "$option")
  case $line in
    FILE) _files ;;
    DIR) _files -/ ;;
    INTERFACE) list=(/sys/class/net/*(N:t)); compadd -a list ;;
    WORDS\ *) list=(${=line#WORDS }); compadd -a list ;;
  esac
}
if [[ ${funcstack[1]} == _wbctl ]]; then
  _wbctl "$@"
else
  compdef _wbctl wbctl
fi
)";

// For a word in single quotes.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// What a shell is to offer for a value.
std::string ValueOf(const Parameter& p) {
  std::string words;
  for (const std::string& choice : p.choices) words += " " + choice;
  if (!words.empty()) return "WORDS" + words;
  if (p.name == "IF") return "INTERFACE";
  if (p.kind == "FILE" || p.kind == "DIR") return p.kind;
  return "TEXT";
}

void ForEach(const Command& command, const std::function<void(const Command&)>& f) {
  f(command);
  for (const Command& child : command.commands) ForEach(child, f);
}

// A function that prints, for each path, lines of "word:description".
void AddLists(std::ostream& out, const Command& tree, const char* function,
              const std::function<std::string(const Command&)>& lines) {
  out << function << "() {\n  case $1 in\n";
  ForEach(tree, [&](const Command& c) {
    const std::string text = lines(c);
    if (!text.empty()) out << "    " << Quoted(c.path) << ")\n" << text << "      ;;\n";
  });
  out << "  esac\n}\n";
}

std::string Print(const std::string& word, const std::string& description) {
  return "      echo " + Quoted(word + ":" + description) + "\n";
}

// Global options may follow every command.
void AddOptions(std::ostream& out, const Command& tree) {
  AddLists(out, tree, "_wbctl_options", [&tree](const Command& c) {
    std::string text;
    for (const Parameter& p : c.options) text += Print(p.name, p.description);
    if (&c == &tree) return text;
    for (const Parameter& p : tree.options)
      if (p.name != "--help") text += Print(p.name, p.description);
    return text;
  });
}

void AddValues(std::ostream& out, const Command& tree) {
  out << "_wbctl_value() {\n  case $1:$2 in\n";
  ForEach(tree, [&](const Command& c) {
    const auto add = [&](const std::string& pattern, const Parameter& p) {
      out << "    " << pattern << ") echo " << Quoted(ValueOf(p)) << " ;;\n";
    };
    for (const Parameter& p : c.options) {
      if (!p.takes_value) continue;
      add(&c == &tree ? "*:" + p.name : Quoted(c.path + ":" + p.name), p);
    }
    if (!c.positionals.empty()) add(Quoted(c.path + ":"), c.positionals.front());
  });
  out << "    *) return 1 ;;\n  esac\n}\n";
}

std::string Functions(const Command& tree) {
  std::ostringstream out;
  AddLists(out, tree, "_wbctl_words", [](const Command& c) {
    std::string text;
    for (const Command& child : c.commands)
      text += Print(child.path.substr(c.path.empty() ? 0 : c.path.size() + 1), child.description);
    return text;
  });
  AddOptions(out, tree);
  AddValues(out, tree);
  return out.str();
}

}  // namespace

void AddCompletionCommand(CLI::App& app, Context& context) {
  const auto kind = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "completion", "print a script that completes wbctl's words; tree: the commands as JSON");
  command->add_option("SHELL", *kind, "shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "tree"}));
  command->callback([&app, &context, kind] {
    const Command tree = TreeOf(app);
    if (*kind == "tree") return context.PrintJson(TreeJson(tree));
    const bool zsh = *kind == "zsh";
    std::cout << (zsh ? "#compdef wbctl\n" : "") << "# Made by `wbctl completion " << *kind
              << "`.\n"
              << Functions(tree) << (zsh ? kZshDriver : kBashDriver);
  });
}

}  // namespace wb::wbctl
