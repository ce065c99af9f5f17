// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/top_view.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

constexpr size_t kShownReasons = 5;
constexpr size_t kUrlsInJson = 100;
// Lines around the tables: seven on top, two titles, two that are empty.
constexpr size_t kFixedLines = 11;

std::string Rate(double per_s) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", per_s);
  return text;
}

std::string BytesRate(double per_s) { return Bytes(static_cast<uint64_t>(per_s)) + "/s"; }

std::string Reasons(const std::vector<NamedRate>& rates) {
  std::string text;
  for (size_t i = 0; i < std::min(rates.size(), kShownReasons); ++i)
    text += (i == 0 ? "" : ", ") + rates[i].name + " " + Rate(rates[i].per_s) + "/s";
  if (rates.size() > kShownReasons) text += ", ...";
  return text.empty() ? "nothing" : text;
}

std::string Interfaces(const api::ServerStatus& s) {
  std::string text;
  for (const api::InterfaceInfo& i : s.interfaces)
    text += " " + i.name + (i.ifindex == 0 ? " (not attached)" : " (" + api::NameOf(i.mode) + ")");
  return text.empty() ? " not attached anywhere" : text;
}

void AddSummary(const Sample& now, const Rates& r, std::vector<std::string>& lines) {
  const api::ServerStatus& s = now.status;
  const auto line = [&](const std::string& text) { lines.push_back(Printable(text)); };
  line("accelerd " + s.version + ", pid " + std::to_string(s.pid) + ", up " + Seconds(s.uptime_s) +
       ", " + api::NameOf(s.mode) + ", on" + Interfaces(s) + "; the last " + Rate(r.seconds) +
       " s");
  line("requests     " + Rate(r.hits) + " hits/s, " + Rate(r.misses) + " misses/s (" +
       Percent(HitRatio(r.hits, r.misses)) + " hits), " + BytesRate(r.bytes) + ", " +
       Rate(r.segments) + " segments/s, " + Rate(r.repairs) + " repairs/s");
  line("connections  " + Count(s.connections.followed) + " of " + Count(s.connections.max) +
       " followed, " + Count(s.connections.spliced) + " spliced, " + Rate(r.opened) + " opened/s");
  line("cache        " + Count(s.cache.objects) + " objects, " + Bytes(s.cache.arena_bytes) +
       " of " + Bytes(s.cache.bytes_budget) + ", " + Rate(r.fills) + " fills/s, " +
       Rate(r.fills_failed) + " failed/s");
  line("bulk         " + Rate(r.bulk_replies) + " replies/s, " + BytesRate(r.bulk_bytes) + ", " +
       Count(s.bulk.active) + " under way, " + Rate(r.bulk_retransmits) + " segments/s sent again");
  line("refused      " + Reasons(r.refused));
  line("passed       " + Reasons(r.passed));
}

void AddTable(const Table& table, std::vector<std::string>& lines) {
  std::ostringstream text;
  table.Print(text);
  std::istringstream in(text.str());
  lines.emplace_back();
  for (std::string line; std::getline(in, line);) lines.push_back(line);
}

}  // namespace

std::vector<std::string> TopLines(const Sample& now, const Rates& r, size_t rows) {
  constexpr auto kRight = Table::Align::kRight;
  std::vector<std::string> lines;
  AddSummary(now, r, lines);
  const size_t room = rows > kFixedLines ? rows - kFixedLines : 0;
  const size_t domains = std::min(r.domains.size(), std::max<size_t>(room / 2, 1));
  Table by_domain({{"DOMAIN"},
                   {"HITS/s", kRight},
                   {"MISSES/s", kRight},
                   {"RATIO", kRight},
                   {"BYTES", kRight},
                   {"SEGMENTS/s", kRight}});
  for (size_t i = 0; i < domains; ++i) {
    const DomainRate& d = r.domains[i];
    by_domain.Add({d.name, Rate(d.hits), Rate(d.misses), Percent(HitRatio(d.hits, d.misses)),
                   BytesRate(d.bytes), Rate(d.segments)});
  }
  AddTable(by_domain, lines);
  Table by_url({{"HITS/s", kRight}, {"URL"}});
  const size_t urls = std::min(r.urls.size(), room > domains ? room - domains : 0);
  for (size_t i = 0; i < urls; ++i) by_url.Add({Rate(r.urls[i].per_s), r.urls[i].name});
  AddTable(by_url, lines);
  if (lines.size() > rows) lines.resize(rows);
  return lines;
}

std::string TopJson(const Sample& now, const Rates& r) {
  using Json = nlohmann::ordered_json;
  const auto by_name = [](const std::vector<NamedRate>& rates, size_t limit) {
    Json object = Json::object();
    for (size_t i = 0; i < std::min(rates.size(), limit); ++i)
      object[rates[i].name] = rates[i].per_s;
    return object;
  };
  Json out = {{"seconds", r.seconds},
              {"hits_per_s", r.hits},
              {"misses_per_s", r.misses},
              {"hit_ratio", HitRatio(r.hits, r.misses)},
              {"bytes_per_s", r.bytes},
              {"segments_per_s", r.segments},
              {"repairs_per_s", r.repairs},
              {"bulk_replies_per_s", r.bulk_replies},
              {"bulk_bytes_per_s", r.bulk_bytes},
              {"bulk_retransmits_per_s", r.bulk_retransmits},
              {"bulk_active", now.status.bulk.active},
              {"opened_per_s", r.opened},
              {"fills_per_s", r.fills},
              {"fills_failed_per_s", r.fills_failed},
              {"connections", now.status.connections.followed},
              {"spliced", now.status.connections.spliced},
              {"objects", now.status.cache.objects},
              {"arena_bytes", now.status.cache.arena_bytes},
              {"bytes_budget", now.status.cache.bytes_budget}};
  out["refused_per_s"] = by_name(r.refused, r.refused.size());
  out["passed_per_s"] = by_name(r.passed, r.passed.size());
  out["domains"] = Json::array();
  for (const DomainRate& d : r.domains)
    out["domains"].push_back({{"name", d.name},
                              {"hits_per_s", d.hits},
                              {"misses_per_s", d.misses},
                              {"bytes_per_s", d.bytes},
                              {"segments_per_s", d.segments}});
  out["urls_per_s"] = by_name(r.urls, kUrlsInJson);
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace wb::wbctl
