// SPDX-License-Identifier: Apache-2.0
// Aligned text for people. Whatever comes from the server is made printable: a URL must not drive
// the terminal.
#ifndef CTL_WBCTL_TABLE_H_
#define CTL_WBCTL_TABLE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace wb::wbctl {

// Control characters become '?'.
std::string Printable(const std::string& text);

std::string Bytes(uint64_t bytes);      // "11.4 KiB"
std::string Count(uint64_t number);     // "12 345 678"
std::string Seconds(uint64_t seconds);  // "3d 4h", "12m 5s"
std::string Percent(double ratio);      // "98.2 %"

// A label and what it stands for, on standard output, in columns.
void Line(const char* label, const std::string& text);

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as columns; missing ones are empty.
  void Add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  void Print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace wb::wbctl

#endif  // CTL_WBCTL_TABLE_H_
