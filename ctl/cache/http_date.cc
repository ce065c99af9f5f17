// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/http_date.h"

#include <array>
#include <chrono>
#include <cstdio>

#include "webbooster/abi/limits.h"

namespace wb::cache {
namespace {

constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

std::optional<int> Number(std::string_view digits) {
  int value = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string FormatHttpDate(int64_t unix_second) {
  using namespace std::chrono;
  const sys_seconds when{seconds(unix_second)};
  const sys_days day = floor<days>(when);
  const year_month_day ymd(day);
  const hh_mm_ss time(when - day);
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[weekday(day).c_encoding()], static_cast<unsigned>(ymd.day()),
                kMonths[static_cast<unsigned>(ymd.month()) - 1], static_cast<int>(ymd.year()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text.data();
}

std::optional<int64_t> ParseHttpDate(std::string_view text) {
  using namespace std::chrono;
  if (text.size() != WB_HTTP_DATE) return std::nullopt;
  const auto day = Number(text.substr(5, 2)), y = Number(text.substr(12, 4));
  const auto h = Number(text.substr(17, 2)), m = Number(text.substr(20, 2)),
             s = Number(text.substr(23, 2));
  unsigned month = 0;
  while (month < kMonths.size() && text.substr(8, 3) != kMonths[month]) ++month;
  if (!day || !y || !h || !m || !s || month == kMonths.size()) return std::nullopt;
  if (*y < 1970 || *h > 23 || *m > 59 || *s > 59) return std::nullopt;
  const year_month_day ymd{year(*y), std::chrono::month(month + 1),
                           std::chrono::day(static_cast<unsigned>(*day))};
  if (!ymd.ok()) return std::nullopt;
  const int64_t second =
      sys_seconds(sys_days(ymd)).time_since_epoch().count() + int64_t{*h} * 3600 + *m * 60 + *s;
  // Punctuation, case and the day's name are whatever writing it again gives.
  if (FormatHttpDate(second) != text) return std::nullopt;
  return second;
}

}  // namespace wb::cache
