// SPDX-License-Identifier: Apache-2.0
// What a scrape of accelerd or boosterd says.
#ifndef WEBBOOSTER_TESTS_UNIT_METRICS_SCRAPE_H_
#define WEBBOOSTER_TESTS_UNIT_METRICS_SCRAPE_H_

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>
#include <utility>

namespace wb::metrics {

struct Scrape {
  std::string text;
  std::map<std::string, std::string> types;  // By family.
  std::map<std::string, double> samples;     // By name with labels, as written.
};

// Nothing stands twice in it.
inline Scrape ParseScrape(std::string text) {
  Scrape scrape;
  scrape.text = std::move(text);
  std::istringstream lines(scrape.text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, type;
    if (line.starts_with("# TYPE ")) {
      words >> hash >> kind >> name >> type;
      EXPECT_TRUE(scrape.types.emplace(name, type).second) << line;
    } else if (!line.starts_with("#")) {
      const size_t space = line.rfind(' ');
      const auto [at, fresh] =
          scrape.samples.emplace(line.substr(0, space), std::stod(line.substr(space + 1)));
      EXPECT_TRUE(fresh) << "doubled: " << line;
    }
  }
  return scrape;
}

}  // namespace wb::metrics

#endif  // WEBBOOSTER_TESTS_UNIT_METRICS_SCRAPE_H_
