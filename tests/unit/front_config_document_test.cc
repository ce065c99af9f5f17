// SPDX-License-Identifier: Apache-2.0
// docs/CONFIGURATION.md against boosterd's parser: keys, defaults, ranges; and the example.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/unit/config_document.h"
#include "tests/unit/front_config_parse.h"

namespace wb::front {
namespace {

using config::Row;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<Row> DocumentedKeys() { return config::KeysOf("Configuration of boosterd"); }

TEST(FrontConfigDocumentTest, DefaultsAreTheParsers) {
  int compared = 0;
  for (const Row& row : DocumentedKeys()) {
    if (row.default_value == "(required)" || row.default_value == "(absent)") continue;
    std::string value = row.default_value;
    if (value.starts_with("<runtime_dir>")) value.replace(0, 13, Config{}.runtime_dir);
    const LoadResult with = Parse(FileWith(row.key, value));
    const LoadResult without = Parse(FileWith(row.key, ""));
    EXPECT_THAT(with.errors, IsEmpty()) << row.key << "\n" << config::Text(with);
    EXPECT_THAT(without.errors, IsEmpty()) << row.key << "\n" << config::Text(without);
    EXPECT_TRUE(with.config == without.config) << row.key << " is not " << value << " by default";
    ++compared;
  }
  EXPECT_EQ(compared, 89);
}

TEST(FrontConfigDocumentTest, RequiredKeysAreRequired) {
  const LoadResult nothing = Parse("{}");
  EXPECT_EQ(config::Text(nothing), "f:1:1: listeners: is required\nf:1:1: domains: is required\n");
  const LoadResult empty = Parse("listeners: [{}]\ndomains: [{certificate: {}, origins: [{}]}]\n");
  std::set<std::string> required = {"listeners", "domains", "domains[].origins"};
  for (const config::Finding& error : empty.errors) {
    EXPECT_THAT(error.message, HasSubstr("is required"));
    std::string key = error.path;
    for (size_t at = 0; (at = key.find("[0]")) != std::string::npos;) key.replace(at, 3, "[]");
    required.insert(key);
  }
  EXPECT_EQ(OnlyError(std::string(kListeners) + "domains: [{name: a.test}]"),
            "f:2:11: domains[0].origins: is required");
  std::set<std::string> documented;
  for (const Row& row : DocumentedKeys()) {
    if (row.default_value == "(required)") documented.insert(row.key);
  }
  EXPECT_EQ(documented, required);
  EXPECT_THAT(documented, SizeIs(8));
}

TEST(FrontConfigDocumentTest, RangesAreTheParsers) {
  int compared = 0;
  for (const Row& row : DocumentedKeys()) {
    const std::vector<std::string> bounds = config::Bounds(row);
    if (bounds.empty()) continue;
    for (const std::string& value : bounds) {
      const LoadResult result = Parse(FileWith(row.key, value));
      EXPECT_THAT(result.errors, IsEmpty()) << row.key << "\n" << config::Text(result);
    }
    for (const std::string& value :
         {config::WithNumber(bounds[0], -1), config::WithNumber(bounds[1], 1)}) {
      EXPECT_THAT(OnlyError(FileWith(row.key, value)), HasSubstr("out of range"))
          << row.key << value;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 28);
}

TEST(FrontConfigDocumentTest, KeysAreTheParsers) {
  std::set<std::string> known, documented;
  for (const auto& [prefix, text] : Files()) {
    const LoadResult result = Parse(FileWith(prefix + "qqqqqqqq", "1"));
    for (const config::Finding& error : result.errors) {
      if (!error.message.starts_with("unknown key")) continue;
      known.merge(config::KnownKeys(prefix, error.message));
    }
    if (prefix.ends_with("[].") || prefix.empty()) continue;
    documented.insert(prefix.substr(0, prefix.size() - 1));
  }
  for (const Row& row : DocumentedKeys()) documented.insert(row.key);
  EXPECT_EQ(known, documented);
}

TEST(FrontConfigDocumentTest, ExampleParsesWithoutWarningAndHasTheDefaults) {
  std::vector<std::string> warnings;
  const std::string path = (config::Repository() / "deploy/examples/boosterd.yaml").string();
  const auto config = Load(path, &warnings);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(warnings, IsEmpty());
  ASSERT_THAT(config->domains, SizeIs(1));
  EXPECT_THAT(config->trusted_proxies, ElementsAre("192.0.2.7", "2001:db8:7::/48"));
  // All but what the example says it is about.
  Config defaults = Parse(FileWith("", "")).config;
  defaults.listeners = config->listeners;
  defaults.interfaces = config->interfaces;
  defaults.trusted_proxies = config->trusted_proxies;
  defaults.domains = config->domains;
  EXPECT_TRUE(*config == defaults);
  EXPECT_EQ(config->domains[0].health, Health{});
  EXPECT_EQ(config->domains[0].quota, Quota{});
}

}  // namespace
}  // namespace wb::front
