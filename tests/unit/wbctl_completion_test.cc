// SPDX-License-Identifier: Apache-2.0
// What bash and zsh offer with the scripts that wbctl prints, and that these know each command.
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/unit/wbctl_fixture.h"

namespace wb::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class Completion : public Wbctl {
 protected:
  // The words offered for the last of `words`, each in brackets.
  std::string Bash(const std::string& words) const {
    return Offered("bash", words, "bash --norc --noprofile -c", R"(
      source <($1 completion bash)
      shift
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
      _wbctl
      ((${#COMPREPLY[@]} == 0)) || printf '[%s]' "${COMPREPLY[@]}")");
  }
  // zsh's own functions need a terminal: what they are asked to offer is printed instead.
  std::string Zsh(const std::string& words) const {
    return Offered("zsh", words, "zsh -f -c", R"(
      compdef() { :; }
      _describe() {
        local last=${@[-1]}
        local line
        for line in ${(P)last}; do [[ $line != "${words[CURRENT]}"* ]] || printf '[%s]' "${line%%:*}"; done
      }
      compadd() { local v=${@[-1]}; printf '[%s]' ${(M)${(P)v}:#${words[CURRENT]}*}; }
      _files() { printf '[files]'; }
      source <($1 completion zsh)
      shift
      words=("$@") CURRENT=$#
      _wbctl)");
  }

 private:
  std::string Offered(const std::string& name, const std::string& words, const std::string& shell,
                      const std::string& script) const {
    const std::string file = base_ + "/complete." + name;
    std::ofstream(file) << script;
    const Outcome outcome = Shell("cd " + base_ + " && " + shell + " \"$(cat " + file +
                                  ")\" x " WBCTL_PATH " " + words);
    EXPECT_EQ(outcome.code, 0) << outcome.text;
    return outcome.text;
  }
};

const struct {
  const char* words;
  const char* offered;
} kBoth[] = {
    {"wbctl st", "[status]"},
    {"wbctl cache ''", "[list][show][warm][purge]"},
    {"wbctl cache pu", "[purge]"},
    {"wbctl --socket status cache l", "[list]"},  // "status" is the value of --socket
    {"wbctl --json domain e", "[enable]"},
    {"wbctl cache list --sort ''", "[hits][bytes][url]"},
    {"wbctl cache list --sort b", "[bytes]"},
    {"wbctl conns --so", "[--sort][--socket]"},
    {"wbctl conns --sort un", "[unacked]"},
    {"wbctl attach --mode gen", "[generic]"},
    {"wbctl attach l", "[lo]"},
    {"wbctl completion z", "[zsh]"},
    {"wbctl top --interval ''", ""},
    {"wbctl nonsense --al", ""},
};

TEST_F(Completion, Bash) {
  for (const auto& c : kBoth) EXPECT_EQ(Bash(c.words), c.offered) << c.words;
  EXPECT_EQ(Bash("wbctl attach --mode = n"), "[native]");
  EXPECT_EQ(Bash("wbctl cache purge --"),
            "[--help][--domain][--prefix][--tag][--all][--socket][--json]"
            "[--timeout]");
  EXPECT_EQ(Bash("wbctl cache warm --from-file complete.b"), "[complete.bash]");
}

TEST_F(Completion, Zsh) {
  for (const auto& c : kBoth) EXPECT_EQ(Zsh(c.words), c.offered) << c.words;
  EXPECT_EQ(Zsh("wbctl cache warm --from-file x"), "[files]");
}

// The scripts come from the parser: each command of its help is there, with each of its options.
TEST_F(Completion, KnowsEveryCommand) {
  const auto tree = nlohmann::json::parse(Run("completion tree").text);
  size_t commands = 0;
  const std::function<void(const nlohmann::json&)> visit = [&](const nlohmann::json& command) {
    const std::string path = command.at("path");
    const std::string help = Run(path + " --help").text;
    for (const auto& child : command.at("commands")) {
      const std::string word =
          std::string(child.at("path")).substr(path.empty() ? 0 : path.size() + 1);
      EXPECT_THAT(help, HasSubstr("\n  " + word + " "));
      visit(child);
    }
    ++commands;
    const std::string offered = Bash("wbctl " + path + " --");
    for (const auto& option : command.at("options")) {
      EXPECT_THAT(help, HasSubstr(std::string(option.at("name")))) << path;
      EXPECT_THAT(offered, HasSubstr("[" + std::string(option.at("name")) + "]")) << path;
    }
  };
  visit(tree);
  EXPECT_GT(commands, 18u);
  EXPECT_THAT(Run("--help").text, HasSubstr("completion"));
}

TEST_F(Completion, RefusesOtherShells) {
  EXPECT_EQ(Run("completion fish").code, 2);
  EXPECT_EQ(Run("completion").code, 2);
  EXPECT_EQ(Shell(std::string(WBCTL_PATH) + " completion bash | bash -n").code, 0);
}

}  // namespace
}  // namespace wb::api
