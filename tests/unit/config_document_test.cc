// SPDX-License-Identifier: Apache-2.0
// docs/CONFIGURATION.md against the parser: keys, defaults, ranges; and the example.
#include "tests/unit/config_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

std::vector<Row> DocumentedKeys() { return KeysOf("Configuration of accelerd"); }

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
  EXPECT_THAT(documented,
              ElementsAre("domains", "domains[].name", "interfaces[].name",
                          "redirect.bounce.booster", "redirect.bounce.services",
                          "redirect.bounce.services[].domain", "redirect.bounce.services[].vips"));
}

TEST(ConfigDocumentTest, RangesAreTheParsers) {
  int compared = 0;
  for (const Row& row : DocumentedKeys()) {
    const std::vector<std::string> bounds = Bounds(row);
    if (bounds.empty()) continue;
    for (const std::string& value : bounds) {
      EXPECT_THAT(Parse(FileWith(row.key, value)).errors, IsEmpty()) << row.key << " " << value;
    }
    for (const std::string& value : {WithNumber(bounds[0], -1), WithNumber(bounds[1], 1)}) {
      EXPECT_THAT(OnlyError(FileWith(row.key, value)), HasSubstr("out of range"))
          << row.key << value;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 14);
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
      {"redirect.", "redirect: {@@@: 1}"},
      {"redirect.bounce.",
       "boosters: {addresses: [198.18.0.9], key_file: /k, catalogue: '0.0.0.0:9466'}\n"
       "redirect: {bounce: {booster: 198.18.0.9, services: [{domain: a.test, vips: [198.18.5.1]}], "
       "@@@: 1}}"},
      {"redirect.bounce.services[].",
       "boosters: {addresses: [198.18.0.9], key_file: /k, catalogue: '0.0.0.0:9466'}\n"
       "redirect: {bounce: {booster: 198.18.0.9, services: [{domain: a.test, vips: [198.18.5.1], "
       "@@@: 1}]}}"},
      {"domains[].", "domains: [{name: b.test, @@@: 1}]"}};
  for (const auto& [prefix, yaml] : maps) {
    std::string text = std::regex_replace(yaml, std::regex("@@@"), "qqqqqqqq");
    if (prefix != "domains[].") text = kDomain + text;
    known.merge(KnownKeys(prefix, OnlyError(text)));
  }
  for (const Row& row : DocumentedKeys()) documented.insert(row.key);
  for (const char* map : {"api", "metrics", "log", "access_log", "limits", "bulk", "verification",
                          "boosters", "redirect"})
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
