// SPDX-License-Identifier: Apache-2.0
// Each byte at each place of a line, and lines one after another.
#include <gtest/gtest.h>

#include <string>

#include "booster/http/scanner.h"

namespace wb::http {
namespace {

Scan Expected(int c) {
  if (c == '\n') return Scan::kBareLf;
  if (c == '\r') return Scan::kBareCr;
  return c == '\t' || (c >= 0x20 && c != 0x7f) ? Scan::kLine : Scan::kControl;
}

TEST(LineScannerTest, EachByteAtEachPlace) {
  for (const char around : {'a', '\t', '\x80', '\xff', ' ', '~'}) {
    for (int c = 0; c < 256; ++c) {
      for (size_t at = 0; at < 20; ++at) {
        std::string line(20, around);
        line[at] = static_cast<char>(c);
        LineScanner scanner(100);
        EXPECT_EQ(scanner.Next(line + "\r\n", 20), Expected(c)) << c << " at " << at;
      }
    }
  }
}

TEST(LineScannerTest, LineByLine) {
  LineScanner scanner(100);
  const std::string text = "first\r\n\r\nthird";
  EXPECT_EQ(scanner.Next(text, 5), Scan::kLine);
  EXPECT_EQ(scanner.line_end(), 5u);
  EXPECT_EQ(scanner.Next(text, 5), Scan::kLine);
  EXPECT_EQ(scanner.line_begin(), scanner.line_end());
  EXPECT_EQ(scanner.Next(text, 5), Scan::kMore);
  EXPECT_EQ(scanner.used(), 9u);
  EXPECT_EQ(scanner.Next(text + "\r\n", 5), Scan::kLine);
  EXPECT_EQ(scanner.Next(text + "\r\n", 5), Scan::kMore);
  EXPECT_EQ(scanner.used(), 16u);
}

}  // namespace
}  // namespace wb::http
