// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "ctl/cache/response.h"

namespace wb::cache {
namespace {

constexpr char kDate[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

std::string Raw(const std::string& fields, const std::string& body = "hello",
                const std::string& status = "200 OK", const std::string& date = kDate) {
  return "HTTP/1.1 " + status + "\r\n" + date + "Content-Length: " + std::to_string(body.size()) +
         "\r\n" + fields + "\r\n" + body;
}

// The reason, or "ok".
std::string Verdict(const std::string& raw, bool watched = true) {
  const auto response = ParseResponse(raw);
  if (!response.ok()) return "malformed";
  const Judgement judgement = Judge(*response, {.watched = watched});
  EXPECT_EQ(judgement.ok, judgement.reason.empty());
  return judgement.ok ? "ok" : std::string(judgement.reason);
}

TEST(ParseResponseTest, KeepsFieldsInOrderAndFindsThemInAnyCase) {
  const std::string raw = Raw("X-a:1\r\nETag:  \"x\" \t\r\nEmpty:\r\n");
  const auto response = ParseResponse(raw);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 200);
  ASSERT_EQ(response->fields.size(), 5u);
  EXPECT_EQ(response->fields[2].name, "X-a");
  EXPECT_EQ(response->Find("etag"), "\"x\"");
  EXPECT_EQ(response->Find("EMPTY"), "");
  EXPECT_FALSE(response->Find("none"));
  EXPECT_EQ(response->content_length, 5u);
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(response->header_len + 5, raw.size());
  EXPECT_EQ(raw.substr(SourceOf(*response).date_off, 29), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(ParseResponseTest, RefusesWhatIsNotStrictHttp11) {
  for (const std::string& raw :
       {std::string(),
        std::string("HTTP/1.1 200 OK\r\n"),
        std::string("HTTP/1.0 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 20 OK\r\n\r\n"),
        std::string("HTTP/1.1  200 OK\r\n\r\n"),
        std::string("HTTP/1.1 2000\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\nA: b\r\n\r\n"),
        std::string("HTTP/1.1 999 OK\r\n\r\n"),
        Raw("A : b\r\n"),
        Raw("A: b\r\n c\r\n"),
        Raw(": b\r\n"),
        Raw("nocolon\r\n"),
        Raw("A: b\rc\r\n"),
        Raw("A: b\nB: c\r\n"),
        Raw(std::string("A: b\0c\r\n", 8)),
        Raw("A(: b\r\n"),
        Raw("Content-Length: 5\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n")}) {
    EXPECT_FALSE(ParseResponse(raw).ok()) << raw;
  }
  EXPECT_TRUE(ParseResponse("HTTP/1.1 200\r\n\r\n").ok());
}

TEST(JudgeTest, GivesAReasonForEachRefusal) {
  const std::vector<std::tuple<std::string, std::string>> cases = {
      {Raw(""), "ok"},
      {Raw("", "x", "404 Not Found"), "status"},
      {Raw("", "x", "206 Partial Content"), "status"},
      {Raw("Transfer-Encoding: chunked\r\n"), "transfer_encoding"},
      {Raw("") + "x", "length_mismatch"},
      {"HTTP/1.1 200 OK\r\n" + std::string(kDate) + "\r\nhello", "no_content_length"},
      {Raw("", std::string(WB_BODY_MAX, 'x')), "too_large"},
      {Raw("set-cookie: a=b\r\n"), "set_cookie"},
      {Raw("Connection: Keep-Alive\r\n"), "ok"},
      {Raw("Connection: close\r\n"), "connection"},
      {Raw("Connection: keep-alive, X-Hop\r\n"), "connection"},
      {Raw("Vary: accept-ENCODING , Accept-Encoding\r\n"), "ok"},
      {Raw("Vary: Accept-Encoding\r\nVary: Cookie\r\n"), "vary"},
      {Raw("Vary: *\r\n"), "vary"},
      {Raw("Vary: Accept-Encoding, Origin\r\n"), "vary"},
      {Raw("Cache-Control: public, max-age=60\r\n"), "ok"},
      {Raw("Cache-Control: public, No-Store\r\n"), "no_store"},
      {Raw("Cache-Control: public\r\nCache-Control: private\r\n"), "private"},
      {Raw("Cache-Control: no-cache=\"Set-Cookie, X\"\r\n"), "no_cache"},
      {Raw("Cache-Control: ext=\"no-store\", ext2=\"a, private\"\r\n"), "ok"},
      {Raw("Cache-Control: ext=\"no-store\r\n"), "cache_control_malformed"},
      {Raw("Cache-Control: \"s-maxage=9\"no-store\r\n"), "cache_control_malformed"},
      {Raw("Cache-Control: max-age=9, a=\"b\"no-store\r\n"), "cache_control_malformed"},
      {Raw("Cache-Control: max-age =9\r\n"), "cache_control_malformed"},
      {Raw("Cache-Control: max-age=x\r\n"), "cache_control_malformed"},
      {Raw("Cache-Control: max-age=1, max-age=2\r\n"), "cache_control_malformed"},
      {Raw("WWW-Authenticate: Basic\r\n"), "www_authenticate"},
      {Raw("Content-Range: bytes 0-4/5\r\n"), "content_range"},
      {Raw("Age: 3\r\n"), "age"},
      {Raw("Pragma: no-cache\r\n"), "pragma"},
      {Raw("ETag: \"a\"\r\nETag: \"b\"\r\n"), "doubled_field"},
      {Raw(kDate), "date_missing_or_doubled"},
      {Raw("", "x", "200 OK", ""), "date_missing_or_doubled"},
      {Raw("", "x", "200 OK", "Date: Sunday, 06-Nov-94 08:49:37 GMT\r\n"), "date_malformed"},
      {Raw("", "x", "200 OK", "A: " + std::string(423, 'a') + "\r\n" + kDate), "ok"},
      {Raw("", "x", "200 OK", "A: " + std::string(424, 'a') + "\r\n" + kDate), "date_too_far"},
  };
  for (const auto& [raw, reason] : cases) EXPECT_EQ(Verdict(raw), reason) << raw.substr(0, 200);
}

TEST(JudgeTest, TakesExactlyTheLargestResponse) {
  const size_t header = Raw("", std::string(10000, 'x')).size() - 10000;
  EXPECT_EQ(Verdict(Raw("", std::string(WB_BODY_MAX - header, 'x'))), "ok");
  EXPECT_EQ(Verdict(Raw("", std::string(WB_BODY_MAX - header + 1, 'x'))), "too_large");
}

TEST(JudgeTest, DemandsFreshnessWhereNothingIsWatched) {
  EXPECT_EQ(Verdict(Raw(""), false), "no_freshness");
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=0\r\n"), false), "no_freshness");
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=9, s-maxage=0\r\n"), false), "no_freshness");
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=2\r\n"), false), "ok");
  EXPECT_EQ(Verdict(Raw("Expires: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), false), "no_freshness");
  EXPECT_EQ(Verdict(Raw("Expires: 0\r\n"), false), "no_freshness");
  EXPECT_EQ(Verdict(Raw("Expires: Sun, 06 Nov 1994 08:49:41 GMT\r\n"), false), "ok");
}

// Published, it would be fetched again for nearly every request.
TEST(JudgeTest, RefusesWhatWouldExpireAtOnce) {
  const std::string now = "Expires: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
  const std::string soon = "Expires: Sun, 06 Nov 1994 08:49:40 GMT\r\n";
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=1\r\n"), false), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw(soon), false), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw(now), true), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw(soon), true), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw("Expires: 0\r\n"), true), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw(now + "Cache-Control: max-age=0\r\n"), true), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=1, immutable\r\n"), true), "freshness_too_short");
  // A watched file is fresh as long as it is; its max-age is for caches farther away.
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=0\r\n"), true), "ok");
  EXPECT_EQ(Verdict(Raw("Expires: Sun, 06 Nov 1994 08:49:41 GMT\r\n"), true), "ok");
}

TEST(JudgeTest, ReportsFreshnessAndValidators) {
  std::string raw = Raw(
      "Cache-Control: max-age=60, immutable\r\nETag: W/\"abc\"\r\n"
      "Expires: Mon, 07 Nov 1994 08:49:37 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n");
  Judgement judgement = Judge(*ParseResponse(raw), {});
  EXPECT_EQ(judgement.fresh, std::chrono::seconds(60));
  EXPECT_TRUE(judgement.immutable);
  EXPECT_EQ(judgement.lifetime, std::chrono::seconds(30));  // its Expires ages
  EXPECT_EQ(judgement.etag, "\"abc\"");
  EXPECT_EQ(judgement.last_modified, "Sun, 06 Nov 1994 08:00:00 GMT");
  raw = Raw("ETag: abc\r\nLast-Modified: yesterday\r\nExpires: Mon, 07 Nov 1994 08:49:37 GMT\r\n");
  judgement = Judge(*ParseResponse(raw), {});
  EXPECT_EQ(judgement.fresh, std::chrono::hours(24));
  EXPECT_EQ(judgement.etag, "");
  EXPECT_EQ(judgement.last_modified, "");
  raw = Raw("ETag: \"" + std::string(WB_ETAG_MAX - 1, 'e') + "\"\r\n");
  EXPECT_EQ(Judge(*ParseResponse(raw), {.watched = true}).etag, "");
  raw = Raw("Cache-Control: max-age=60\r\n");
  EXPECT_EQ(Judge(*ParseResponse(raw), {.watched = true}).lifetime, std::nullopt);
  EXPECT_EQ(Judge(*ParseResponse(raw), {.watched = false}).lifetime, std::chrono::seconds(60));
}

TEST(JudgePartTest, HeadAndNotModifiedMustBelongToTheGet) {
  const std::string get = Raw("ETag: \"a\"\r\n");
  const auto header = [&](const std::string& raw) {
    return raw.substr(0, raw.find("\r\n\r\n") + 4);
  };
  const auto head = [&](const std::string& raw) {
    return std::string(JudgeHead(*ParseResponse(raw), *ParseResponse(get)));
  };
  const auto not_modified = [&](const std::string& raw) {
    return std::string(JudgeNotModified(*ParseResponse(raw), *ParseResponse(get)));
  };
  EXPECT_EQ(head(header(get)), "");
  EXPECT_EQ(head(get), "length_mismatch");
  EXPECT_EQ(head(header(Raw("ETag: \"b\"\r\n"))), "validators_differ");
  EXPECT_EQ(head(header(Raw("ETag: \"a\"\r\n", "other length"))), "length_mismatch");
  EXPECT_EQ(head(header(Raw("ETag: \"a\"\r\nSet-Cookie: x\r\n"))), "set_cookie");
  const std::string start = "HTTP/1.1 304 Not Modified\r\n" + std::string(kDate);
  EXPECT_EQ(not_modified(start + "ETag: \"a\"\r\n\r\n"), "");
  EXPECT_EQ(not_modified(start + "\r\n"), "");
  EXPECT_EQ(not_modified(start + "ETag: \"b\"\r\n\r\n"), "validators_differ");
  EXPECT_EQ(not_modified(header(get)), "status");
  EXPECT_EQ(not_modified("HTTP/1.1 304 Not Modified\r\n\r\n"), "date_missing_or_doubled");
}

TEST(SameButForDateTest, ComparesEverythingElse) {
  const std::string a = Raw("X: 1\r\n");
  std::string b = a;
  b.replace(b.find("08:49:37"), 8, "08:49:38");
  EXPECT_TRUE(SameButForDate(*ParseResponse(a), *ParseResponse(b)));
  const std::string c = Raw("X: 2\r\n"), d = Raw("X: 1\r\n", "hellO");
  EXPECT_FALSE(SameButForDate(*ParseResponse(a), *ParseResponse(c)));
  EXPECT_FALSE(SameButForDate(*ParseResponse(a), *ParseResponse(d)));
}

std::chrono::seconds Stale(const std::string& cache_control, const std::string& more = "") {
  const std::string raw = Raw("Cache-Control: " + cache_control + "\r\n" + more);
  const auto response = ParseResponse(raw);
  EXPECT_TRUE(response.ok());
  const Judgement judgement = Judge(*response, {.watched = false});
  EXPECT_TRUE(judgement.ok) << judgement.reason;
  return judgement.stale;
}

TEST(JudgeTest, StaleWhileRevalidateIsWhatTheServerAllows) {
  using std::chrono::seconds;
  EXPECT_EQ(Stale("max-age=60"), seconds(0));
  EXPECT_EQ(Stale("max-age=60, stale-while-revalidate=30"), seconds(30));
  EXPECT_EQ(Stale("s-maxage=60, Stale-While-Revalidate=30"), seconds(30));
  EXPECT_EQ(Stale("max-age=60, stale-while-revalidate=30, must-revalidate"), seconds(0));
  EXPECT_EQ(Stale("max-age=60, stale-while-revalidate=30, proxy-revalidate"), seconds(0));
  EXPECT_EQ(
      Stale("max-age=60, stale-while-revalidate=30", "Expires: Sun, 06 Nov 1994 09:49:37 GMT\r\n"),
      seconds(0));
  // Worth caching only because it may be stale.
  EXPECT_EQ(Stale("max-age=1, stale-while-revalidate=30"), seconds(30));
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=1\r\n"), false), "freshness_too_short");
  EXPECT_EQ(Verdict(Raw("Cache-Control: max-age=60, stale-while-revalidate=x\r\n"), false),
            "cache_control_malformed");
}

std::string Differing(const std::string& a, const std::string& b) {
  const auto x = ParseResponse(a), y = ParseResponse(b);
  EXPECT_TRUE(x.ok() && y.ok());
  return Differences(*x, *y);
}

TEST(DifferencesTest, NamesWhatDiffersButTheDate) {
  const std::string one = Raw("A: 1\r\nB: 2\r\n");
  EXPECT_EQ(Differing(one, one), "");
  EXPECT_EQ(Differing(one, Raw("A: 1\r\nB: 2\r\n", "hello", "200 OK",
                               "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n")),
            "");
  EXPECT_EQ(Differing(one, Raw("A: 3\r\nB: 4\r\n")), "A, B");
  EXPECT_EQ(Differing(one, Raw("A: 1\r\nB: 2\r\n", "jello")), "body");
  EXPECT_EQ(Differing(one, Raw("A: 1\r\nB: 2\r\nC: 3\r\n")), "fields");
  EXPECT_EQ(Differing(one, Raw("A: 1\r\nB: 2\r\n", "hello", "404 No")), "status");
}

TEST(RetryAfterTest, IsSecondsOrADate) {
  const auto seconds = [](const std::string& value) {
    const std::string raw =
        "HTTP/1.1 503 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: " + value +
        "\r\nContent-Length: 0\r\n\r\n";
    return RetryAfter(*ParseResponse(raw));
  };
  EXPECT_EQ(seconds("120"), 120u);
  EXPECT_EQ(seconds("99999999999999999999"), 1u << 31);
  EXPECT_EQ(seconds("Sun, 06 Nov 1994 08:50:37 GMT"), 60u);
  for (const char* none : {"", "-1", "120abc", "1.5", "Sun, 06 Nov 1994 08:48:37 GMT"})
    EXPECT_EQ(seconds(none), 0u) << none;
}

}  // namespace
}  // namespace wb::cache
