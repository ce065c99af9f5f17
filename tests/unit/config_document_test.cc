// SPDX-License-Identifier: Apache-2.0
// docs/CONFIGURATION.md against the parser: keys, defaults, ranges; and the example.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/config_parse.h"

namespace wb::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Row {
  std::string key, type, default_value, range;
};

std::string Unquoted(std::string cell) {
  cell = std::regex_replace(cell, std::regex("^ +| +$"), "");
  if (cell.size() > 1 && cell.front() == '`' && cell.back() == '`')
    cell = cell.substr(1, cell.size() - 2);
  return cell;
}

// The rows of the table of keys in docs/CONFIGURATION.md.
std::vector<Row> DocumentedKeys() {
  std::ifstream file(Repository() / "docs/CONFIGURATION.md");
  std::vector<Row> rows;
  bool in_table = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| key |")) in_table = true;
    if (!line.starts_with("|")) in_table = false;
    if (!in_table || !line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::stringstream stream(line);
    for (std::string cell; std::getline(stream, cell, '|');) cells.push_back(Unquoted(cell));
    EXPECT_EQ(cells.size(), 6U) << line;
    if (cells.size() == 6) rows.push_back({cells[1], cells[2], cells[3], cells[4]});
  }
  return rows;
}

// 64MiB -> 65MiB and the like.
std::string WithNumber(const std::string& value, int64_t change) {
  size_t digits = 0;
  const int64_t number = std::stoll(value, &digits);
  return std::to_string(number + change) + value.substr(digits);
}

TEST(ConfigDocumentTest, DefaultsAreTheParsers) {
  int compared = 0;
  for (const Row& row : DocumentedKeys()) {
    if (row.default_value == "(required)" || row.default_value == "(absent)") continue;
    std::string value = row.default_value;
    if (value.starts_with("<runtime_dir>")) value.replace(0, 13, Config{}.runtime_dir);
    const LoadResult with = Parse(FileWith(row.key, value));
    const LoadResult without = Parse(FileWith(row.key, ""));
    EXPECT_THAT(with.errors, IsEmpty()) << row.key << "\n" << Text(with);
    EXPECT_THAT(without.errors, IsEmpty()) << row.key << "\n" << Text(without);
    EXPECT_TRUE(with.config == without.config) << row.key << " is not " << value << " by default";
    ++compared;
  }
  EXPECT_GT(compared, 25);
}

TEST(ConfigDocumentTest, RequiredKeysAreRequired) {
  EXPECT_EQ(OnlyError("{}"), "f:1:1: domains: is required");
  EXPECT_EQ(OnlyError("domains: [{enabled: true}]"), "f:1:11: domains[0].name: is required");
  EXPECT_EQ(OnlyError(std::string(kDomain) + "interfaces: [{mode: auto}]"),
            "f:2:14: interfaces[0].name: is required");
  std::set<std::string> documented;
  for (const Row& row : DocumentedKeys()) {
    if (row.default_value == "(required)") documented.insert(row.key);
  }
  EXPECT_THAT(documented, ElementsAre("domains", "domains[].name", "interfaces[].name"));
}

TEST(ConfigDocumentTest, RangesAreTheParsers) {
  int compared = 0;
  const std::regex pattern("([0-9]+[a-zA-Z]*)\\.\\.([0-9]+[a-zA-Z]*)");
  for (const Row& row : DocumentedKeys()) {
    std::smatch match;
    if (!std::regex_match(row.range, match, pattern)) continue;
    const std::string min = match[1], max = match[2];
    for (const std::string& value : {min, max}) {
      EXPECT_THAT(Parse(FileWith(row.key, value)).errors, IsEmpty()) << row.key << " " << value;
    }
    for (const std::string& value : {WithNumber(min, -1), WithNumber(max, 1)}) {
      EXPECT_THAT(OnlyError(FileWith(row.key, value)), HasSubstr("out of range"))
          << row.key << value;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 13);
}

// An unknown key that looks like nothing makes the parser list those it knows in that map.
TEST(ConfigDocumentTest, KeysAreTheParsers) {
  std::set<std::string> known, documented;
  const std::map<std::string, std::string> maps = {
      {"", "@@@: 1"},
      {"interfaces[].", "interfaces: [{name: e0, @@@: 1}]"},
      {"api.", "api: {@@@: 1}"},
      {"metrics.", "metrics: {@@@: 1}"},
      {"log.", "log: {@@@: 1}"},
      {"access_log.", "access_log: {@@@: 1}"},
      {"limits.", "limits: {@@@: 1}"},
      {"bulk.", "bulk: {@@@: 1}"},
      {"verification.", "verification: {@@@: 1}"},
      {"boosters.", "boosters: {@@@: 1}"},
      {"domains[].", "domains: [{name: b.test, @@@: 1}]"}};
  for (const auto& [prefix, yaml] : maps) {
    std::string text = std::regex_replace(yaml, std::regex("@@@"), "qqqqqqqq");
    if (prefix != "domains[].") text = kDomain + text;
    const std::string error = OnlyError(text);
    const size_t list = error.find("; known: ");
    ASSERT_NE(list, std::string::npos) << error;
    std::stringstream keys(error.substr(list + 9));
    for (std::string key; std::getline(keys, key, ',');) known.insert(prefix + Unquoted(key));
  }
  for (const Row& row : DocumentedKeys()) documented.insert(row.key);
  for (const char* map :
       {"api", "metrics", "log", "access_log", "limits", "bulk", "verification", "boosters"})
    documented.insert(map);
  EXPECT_EQ(known, documented);
}

TEST(ConfigDocumentTest, ExampleParsesWithoutWarning) {
  std::vector<std::string> warnings;
  const auto config = Load((Repository() / "deploy/examples/accelerd.yaml").string(), &warnings);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_THAT(config->domains, SizeIs(1));
  EXPECT_THAT(config->boosters.addresses, ElementsAre("192.0.2.10", "2001:db8::10"));
}

}  // namespace
}  // namespace wb::config
