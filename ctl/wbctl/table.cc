// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <utility>

namespace wb::wbctl {
namespace {

std::string Format(const char* format, double value, const char* unit) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), format, value, unit);
  return text.data();
}

}  // namespace

std::string Printable(const std::string& text) {
  std::string out = text;
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return out;
}

std::string Bytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return Format(unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
}

std::string Count(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ' ');
  return digits;
}

std::string Seconds(uint64_t seconds) {
  const auto two = [](uint64_t large, const char* a, uint64_t small, const char* b) {
    return std::to_string(large).append(a).append(1, ' ').append(std::to_string(small)).append(b);
  };
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return two(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86400) return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
  return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string Percent(double ratio) { return Format("%.1f %s", ratio * 100, "%"); }

void Line(const char* label, const std::string& text) {
  std::string padded(label);
  padded.resize(13, ' ');
  std::cout << padded << Printable(text) << "\n";
}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = columns_[i].title.size();
    for (const auto& row : rows_) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  const auto print = [&](const auto& cell_at) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_at(i);
      const std::string fill(widths[i] - cell.size(), ' ');
      if (i > 0) line += "  ";
      const bool right = columns_[i].align == Align::kRight;
      line.append(right ? fill : cell).append(right ? cell : fill);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  };
  print([&](size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& row : rows_) print([&](size_t i) -> const std::string& { return row[i]; });
}

}  // namespace wb::wbctl
