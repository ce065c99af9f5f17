// SPDX-License-Identifier: Apache-2.0
// docs/CONFIGURATION.md as its tests read it: a table of keys for each daemon.
#ifndef TESTS_UNIT_CONFIG_DOCUMENT_H_
#define TESTS_UNIT_CONFIG_DOCUMENT_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace wb::config {

struct Row {
  std::string key, type, default_value, range;
};

inline std::string Unquoted(std::string cell) {
  cell = std::regex_replace(cell, std::regex("^ +| +$"), "");
  if (cell.size() > 1 && cell.front() == '`' && cell.back() == '`')
    cell = cell.substr(1, cell.size() - 2);
  return cell;
}

// The rows of the tables of keys below the title `part`.
inline std::vector<Row> KeysOf(const std::string& part) {
  std::ifstream file(std::filesystem::path(WB_SOURCE_DIR) / "docs/CONFIGURATION.md");
  std::vector<Row> rows;
  bool in_part = false, in_table = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("# Configuration of ")) in_part = line == "# " + part;
    if (line.starts_with("| key |")) in_table = in_part;
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

// The two bounds of a range that is written `min..max`; else nothing.
inline std::vector<std::string> Bounds(const Row& row) {
  static const std::regex pattern("([0-9]+[a-zA-Z]*)\\.\\.([0-9]+[a-zA-Z]*)");
  std::smatch match;
  if (!std::regex_match(row.range, match, pattern)) return {};
  return {match[1], match[2]};
}

// 64MiB -> 65MiB and the like.
inline std::string WithNumber(const std::string& value, int64_t change) {
  size_t digits = 0;
  const int64_t number = std::stoll(value, &digits);
  return std::to_string(number + change) + value.substr(digits);
}

// The keys that `error`, of an unknown key which looks like nothing, lists; each behind `prefix`.
inline std::set<std::string> KnownKeys(const std::string& prefix, const std::string& error) {
  std::set<std::string> known;
  const size_t list = error.find("; known: ");
  EXPECT_NE(list, std::string::npos) << error;
  if (list == std::string::npos) return known;
  std::stringstream keys(error.substr(list + 9));
  for (std::string key; std::getline(keys, key, ',');) known.insert(prefix + Unquoted(key));
  return known;
}

}  // namespace wb::config

#endif  // TESTS_UNIT_CONFIG_DOCUMENT_H_
