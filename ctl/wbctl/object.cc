// SPDX-License-Identifier: Apache-2.0
// wbctl cache show.
#include <iostream>
#include <memory>
#include <sstream>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

std::string Encoding(const std::string& value) { return value.empty() ? "(none)" : value; }

// Values of Accept-Encoding hold commas themselves.
std::string Encodings(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : "; ") + Encoding(value);
  return text;
}

std::string FreshnessText(const api::ObjectVariant& v) {
  const std::string left = v.expires_in_s ? Seconds(*v.expires_in_s) : "";
  switch (v.freshness) {
    case api::Freshness::kFile:
      return "until a file changes";
    case api::Freshness::kLifetime:
      return "for " + left;
    case api::Freshness::kFileAndLifetime:
      return "for " + left + ", or until a file changes";
  }
  return "";
}

void PrintVariant(const api::ObjectVariant& v) {
  std::cout << "\n";
  Line("variant", Encodings(v.encodings));
  if (!v.etag.empty()) Line("  etag", v.etag);
  if (!v.last_modified.empty()) Line("  modified", v.last_modified);
  Line("  size", Bytes(v.bytes) + " in " + Count(v.segments) + " segments; " +
                     Bytes(v.arena_bytes) + " of memory, " + Bytes(v.overhead_bytes) +
                     " of it beyond the response");
  Line("  hits", Count(v.hits) + " in " + Seconds(v.age_s));
  Line("  fresh", FreshnessText(v));
  if (v.ranges) Line("  ranges", "answered, one at a time");
  std::istringstream header(v.header);
  const char* label = "  header";
  for (std::string line; std::getline(header, line); label = "") {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) Line(label, line);
  }
}

void Print(const api::ObjectReport& o) {
  Line("url", o.url);
  Line("domain", o.domain);
  std::string state = api::NameOf(o.state);
  if (!o.reason.empty()) state += ": " + o.reason;
  if (o.retry_in_s) state += ", tried again when asked for in " + Seconds(*o.retry_in_s);
  Line("state", state);
  if (!o.filling.empty()) Line("filling", Encodings(o.filling));
  for (const api::RefusedEncoding& r : o.refused_encodings)
    Line("refused", Encoding(r.encoding) + ", for " + Seconds(r.retry_in_s));
  Line("watched", o.watched ? "yes" : "no");
  const char* label = "depends on";
  for (const std::string& path : o.depends_on) {
    Line(label, path);
    label = "";
  }
  for (const api::ObjectVariant& v : o.variants) PrintVariant(v);
}

void Show(Context& context, const std::string& url) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::ObjectReport> report = client.ShowObject(url);
  if (!report.ok()) return context.Fail("cache show", report.status());
  if (context.json) return context.PrintJson(client.last_json());
  Print(*report);
}

}  // namespace

void AddCacheShow(CLI::App& cache, Context& context) {
  const auto url = std::make_shared<std::string>();
  CLI::App* show = cache.add_subcommand("show", "all that is known of one URL");
  show->add_option("URL", *url, "http://HOST/PATH")->required();
  show->callback([&context, url] { Show(context, *url); });
}

}  // namespace wb::wbctl
