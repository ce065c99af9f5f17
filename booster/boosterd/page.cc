// SPDX-License-Identifier: Apache-2.0
#include "booster/boosterd/page.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "booster/boosterd/page_assets.h"

namespace wb::boosterd {
namespace {

constexpr double kSparkWidth = 300;  // units; a second each
constexpr double kSparkHeight = 40;
constexpr char kNothing[] = "\xE2\x80\x93";  // an en dash

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Grouped(uint64_t number) {
  std::string text = absl::StrCat(number);
  for (size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
  return text;
}

std::string Plural(uint64_t number, const char* word) {
  return absl::StrCat(Grouped(number), " ", word, number == 1 ? "" : "s");
}

// Of a rate: three digits at least as far as they mean something.
std::string Number(double value) {
  if (value >= 100) return Grouped(static_cast<uint64_t>(std::llround(value)));
  return value >= 10 || value == 0 ? absl::StrFormat("%.0f", value)
                                   : absl::StrFormat("%.1f", value);
}

std::string Bytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return absl::StrCat(Number(bytes), " ", kUnits[unit]);
}

std::string Latency(const DomainTotals& recent, double part) {
  if (recent.requests() == 0) return kNothing;
  const double ms = recent.Quantile(part) * 1000;
  if (ms >= 1000 * front::kLatencyBounds.back()) return "&gt; 5 s";
  return ms < 1 ? absl::StrFormat("%.2f ms", ms) : absl::StrCat(Number(ms), " ms");
}

std::string Percent(double part) {
  if (part > 0 && part < 0.0001) return "&lt; 0.01 %";
  return part == 0 ? "0 %" : absl::StrFormat("%.2f %%", part * 100);
}

std::string Duration(std::chrono::seconds time) {
  const auto s = time.count();
  if (s < 60) return absl::StrCat(s, " s");
  if (s < 3600) return absl::StrCat(s / 60, " min");
  if (s < 86400) return absl::StrCat(s / 3600, " h ", s / 60 % 60, " min");
  return absl::StrCat(s / 86400, " d ", s / 3600 % 24, " h");
}

// The youngest second at the right edge; the highest touches the top.
std::string Sparkline(const std::vector<float>& rates) {
  const float most = rates.empty() ? 0 : *std::ranges::max_element(rates);
  std::string points;
  const double first = kSparkWidth - static_cast<double>(rates.size()) + 1;
  for (size_t i = 0; i < rates.size(); ++i) {
    const double y = most > 0 ? (kSparkHeight - 2) * (1 - rates[i] / most) + 1 : kSparkHeight - 1;
    absl::StrAppendFormat(&points, "%s%.0f,%.1f", i == 0 ? "" : " ", first + static_cast<double>(i),
                          y);
  }
  const std::string label = absl::StrCat("Requests a second in the last 5 minutes, at most ",
                                         Number(static_cast<double>(most)));
  return absl::StrCat(
      "<svg class=spark role=img viewBox=\"0 0 300 40\" preserveAspectRatio=none aria-label=\"",
      label, "\"><title>", label, "</title>",
      rates.empty()
          ? ""
          : absl::StrCat("<polygon class=area points=\"", absl::StrFormat("%.0f", first), ",40 ",
                         points, " 300,40\"/><polyline class=line points=\"", points, "\"/>"),
      "</svg><small>5 minutes, at most ", Number(static_cast<double>(most)), "/s</small>");
}

void AppendTile(const char* label, const std::string& value, bool bad, std::string* out) {
  absl::StrAppend(out, "<div class=\"tile", bad ? " bad" : "", "\"><b>", value, "</b><small>",
                  label, "</small></div>\n");
}

void AppendFact(const char* label, const std::string& value, bool bad, std::string* out) {
  absl::StrAppend(out, "<div><dt>", label, "</dt><dd", bad ? " class=bad" : "", ">", value,
                  "</dd></div>");
}

void AppendTotals(const View& view, std::string* out) {
  const DomainTotals& recent = view.history.recent;
  absl::StrAppend(out, "<section class=\"tile wide\"><b>", Number(view.rates.requests),
                  "</b><small>requests a second</small>", Sparkline(view.history.requests),
                  "</section>\n<section class=tiles>\n");
  AppendTile("a second to clients", Bytes(view.rates.response_bytes), false, out);
  AppendTile("latency, median", Latency(recent, 0.5), false, out);
  AppendTile("latency, 99 %", Latency(recent, 0.99), false, out);
  AppendTile("errors (5xx)", Percent(recent.ErrorRatio()), recent.ErrorRatio() > 0.01, out);
  const uint64_t most = view.snapshot->config.limits.connections;
  AppendTile(absl::StrCat("of ", Grouped(most), " connections").c_str(),
             Grouped(view.connections.open), view.connections.open * 10 > most * 9, out);
  AppendTile("kept for slow clients", Bytes(static_cast<double>(view.connections.buffered)), false,
             out);
  out->append("</section>\n");
}

void AppendWorkers(const View& view, std::string* out) {
  out->append("<h2>Workers</h2>\n<section class=\"tiles few\">\n");
  for (size_t i = 0; i < view.workers.size(); ++i) {
    const WorkerView& worker = view.workers[i];
    const std::string load = absl::StrFormat("%.0f", std::min(worker.load, 1.0) * 100);
    absl::StrAppend(out, "<div class=tile><b>", load,
                    " %</b><meter min=0 max=100 high=90 value=", load, ">", load,
                    " %</meter><small>worker ", i, ", ", Grouped(worker.connections),
                    " connections</small></div>\n");
  }
  out->append("</section>\n");
}

void AppendOrigin(const OriginView& origin, uint32_t weight, std::string* out) {
  absl::StrAppend(out, "<li", origin.up ? "" : " class=down", "><span><i></i>",
                  Escaped(origin.name), origin.up ? "" : " is down", "</span><span class=soft>");
  const char* comma = "";
  const auto say = [&](const std::string& text) {
    absl::StrAppend(out, comma, text);
    comma = ", ";
  };
  if (weight != 1) say(absl::StrCat("weight ", weight));
  if (origin.links > 0 || origin.keys > 0) {
    say(Plural(origin.links, "link"));
    say(Plural(origin.keys, "key"));
  }
  if (origin.waiting > 0) say(absl::StrCat(Grouped(origin.waiting), " waiting"));
  if (origin.hits > 0) {
    say(absl::StrCat(Percent(static_cast<double>(origin.hits) /
                             static_cast<double>(origin.hits + origin.misses)),
                     " hits"));
  }
  if (origin.retries > 0) say(absl::StrCat(Grouped(origin.retries), " retried"));
  if (origin.coalesced > 0) say(absl::StrCat(Grouped(origin.coalesced), " coalesced"));
  out->append("</span></li>\n");
}

void AppendDomain(const View& view, size_t index, const History* history, std::string* out) {
  const DomainView& domain = view.domains[index];
  const bool usable = std::ranges::any_of(
      domain.origins, [&](const auto& choice) { return view.origins[choice.origin].up; });
  absl::StrAppend(out, "<article class=card><div class=top><h3>",
                  Escaped(view.snapshot->config.domains[index].name), "</h3><span class=\"mark",
                  usable ? " good\">boosted" : " bad\">no origin", "</span></div>\n");
  static const std::vector<float> kNone;
  static const DomainTotals kZero;
  const DomainTotals& recent = history ? history->recent : kZero;
  absl::StrAppend(out, Sparkline(history ? history->requests : kNone), "\n<dl class=facts>");
  AppendFact("requests", absl::StrCat(Number(domain.rates.requests), "/s"), false, out);
  AppendFact("bytes", absl::StrCat(Bytes(domain.rates.response_bytes), "/s"), false, out);
  AppendFact("p50 / p99",
             recent.requests() == 0
                 ? std::string(kNothing)
                 : absl::StrCat(Latency(recent, 0.5), " / ", Latency(recent, 0.99)),
             false, out);
  AppendFact("errors", recent.requests() == 0 ? kNothing : Percent(recent.ErrorRatio()),
             recent.ErrorRatio() > 0.01, out);
  out->append("</dl>\n<ul>\n");
  for (const DomainView::Choice& choice : domain.origins)
    AppendOrigin(view.origins[choice.origin], choice.weight, out);
  out->append("</ul></article>\n");
}

// The busiest, then others as they are configured.
void AppendDomains(const View& view, std::string* out) {
  absl::StrAppend(out, "<h2>Domains (", Grouped(view.domains.size()),
                  ")</h2>\n<section class=cards>\n");
  std::vector<bool> shown(view.domains.size());
  size_t cards = 0;
  for (const View::Busy& busy : view.busiest) {
    shown[busy.domain] = true;
    ++cards;
    AppendDomain(view, busy.domain, &busy.history, out);
  }
  for (size_t i = 0; i < view.domains.size() && cards < kMostCards; ++i) {
    if (shown[i]) continue;
    ++cards;
    AppendDomain(view, i, nullptr, out);
  }
  out->append("</section>\n");
  if (cards < view.domains.size()) {
    absl::StrAppend(out, "<p class=soft>and ", Grouped(view.domains.size() - cards),
                    " domains with fewer requests</p>\n");
  }
}

std::string Hash(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return absl::StrCat(
      "'sha256-",
      absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest.data()), size)),
      "'");
}

}  // namespace

std::string PagePolicy() {
  static const std::string policy = absl::StrCat(
      "default-src 'none'; connect-src 'self'; style-src ", Hash(kPageStyle), "; script-src ",
      Hash(kPageScript), "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  return policy;
}

std::string StatusPage(const View& view, const std::string& version) {
  const std::string name = Escaped(view.snapshot->config.instance);
  std::string out = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
      "<title>boosterd ",
      name, "</title><style>", kPageStyle,
      "</style><noscript><meta http-equiv=refresh content=5></noscript></head>\n<body><main>\n"
      "<header><h1>boosterd ",
      name, "</h1>");
  const bool well = view.whole && !view.draining;
  absl::StrAppend(&out, "<span id=state class=\"mark ", well ? "good" : "bad", "\">",
                  view.draining ? "draining"
                  : view.whole  ? "serving"
                                : "a worker does not answer",
                  "</span><small>", Escaped(version), ", up ", Duration(view.uptime),
                  "</small></header>\n");
  AppendTotals(view, &out);
  AppendDomains(view, &out);
  AppendWorkers(view, &out);
  absl::StrAppend(&out, "</main><script>", kPageScript, "</script></body></html>\n");
  return out;
}

}  // namespace wb::boosterd
