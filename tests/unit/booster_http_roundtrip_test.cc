// SPDX-License-Identifier: Apache-2.0
// Random requests: what WriteRequest() makes of them reads again as the same request.
// WB_HTTP_SEED: of the first one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "booster/http/chars.h"
#include "booster/http/write.h"
#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

class Inventor {
 public:
  explicit Inventor(uint64_t seed) : random_(seed) {}

  std::string Request() {
    const bool old = Chance(5);
    std::string method = Pick({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "x"});
    std::string target = Target();
    if (method == "OPTIONS" && Chance(2)) target = "*";
    std::string wire = Chance(6) ? "\r\n" : "";
    wire += method + " " + target + (old ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    const size_t fields = random_() % 8, host = random_() % (fields + 1);
    const size_t body = random_() % (fields + 1);
    for (size_t i = 0; i <= fields; ++i) {
      if (i == host && !(old && Chance(3))) wire += Pick({"Host: ", "host:\t"}) + Host() + " \r\n";
      if (i == body) wire += Body(old);
      if (i < fields) wire += Field();
    }
    return wire + "\r\n";
  }

  RequestOptions Options() {
    return {.client = Pick({"", "192.0.2.7", "2001:db8::7"}),
            .scheme = Pick({"http", "https"}),
            .client_is_proxy = Chance(2),
            .forwarded = Chance(2),
            .x_forwarded = Chance(2),
            .via = Pick({"", "booster"}),
            .host = "default.test"};
  }

 private:
  bool Chance(uint32_t of) { return random_() % of == 0; }
  const char* Pick(std::initializer_list<const char*> from) {
    return from.begin()[random_() % from.size()];
  }
  std::string Text(CharClass of, size_t most) {
    std::string text;
    for (size_t n = random_() % (most + 1); text.size() < n;) {
      const char c = static_cast<char>(random_());
      if (Is(c, of)) text += c;
    }
    return text;
  }
  std::string Host() {
    std::string host = Pick({"a", "Example.ORG", "192.0.2.1", "[2001:DB8::1]", "x-y_z.", "a."});
    return host + Pick({"", "", ":", ":80", ":443", ":8080"});
  }
  std::string Target() {
    std::string path = "/" + Text(kPathChar, 20) + Pick({"", "%2f", "%00", "/../."});
    std::string query = Chance(2) ? "" : "?" + Text(kQueryChar, 20) + Pick({"", "%Ff"});
    if (!Chance(4)) return path + query;
    return std::string(Pick({"http://", "HTTPS://"})) + Host() + (Chance(3) ? "" : path) + query;
  }
  std::string Body(bool old) {
    switch (random_() % 3) {
      case 0:
        return "Content-Length: " + std::to_string(random_() % 3) + "\r\n";
      case 1:
        return old ? "Content-Length: 00\r\n" : "Transfer-Encoding: chunkeD\r\n";
      default:
        return old ? "content-length:0\r\n" : "";
    }
  }
  std::string Field() {
    std::string name = Pick({"Cookie", "Accept", "X-Forwarded-For", "Forwarded", "Connection",
                             "Expect", "TE", "Trailer", "Upgrade", "Via", "WB-Key", "Max-Forwards",
                             "X-Forwarded-Proto", "Keep-Alive", "traceparent", "A", "B"});
    std::string value = Text(kTextChar, 30);
    if (name == "Connection") {
      value = Pick({"close", "A", "b, cookie", "Upgrade", "te,Keep-Alive", "x-forwarded-for"});
    }
    if (name == "Expect") value = "100-continue";
    if (name == "Max-Forwards") value = Pick({"1", "9", "x"});
    return name + ":" + value + "\r\n";
  }

  std::mt19937_64 random_;
};

// What the request asks of the origin.
std::string Meaning(const RequestHead& head, std::string_view scheme) {
  std::string text(head.method);
  text += " " + std::string(head.target.path) + std::string(head.target.query) + " ";
  for (const char c : head.authority.host) text += Lower(c);
  const int usual = EqualsNoCase(scheme, "https") ? 443 : 80;
  text += " " + std::to_string(head.authority.port ? head.authority.port : usual);
  text += " " + std::to_string(static_cast<int>(head.framing)) + " " +
          std::to_string(head.content_length);
  for (const Field& field : head.fields) {
    if (field.connection_named || field.info.flags != 0 || field.info.id != Name::kOther) continue;
    if (EqualsNoCase(field.name, "Via")) continue;
    text += "\n" + std::string(field.name) + ": " + std::string(field.value);
  }
  return text;
}

TEST(RoundTripTest, WhatIsWrittenReadsAsWhatWasReceived) {
  const char* set = getenv("WB_HTTP_SEED");
  const uint64_t seed = set ? strtoull(set, nullptr, 10) : 1;
  const Limits limits;
  for (uint64_t i = seed; i < seed + 5000; ++i) {
    Inventor inventor(i);
    const std::string wire = inventor.Request();
    const RequestOptions options = inventor.Options();
    RequestParser first(limits), second(limits);
    const Progress progress = first.Parse(wire);
    ASSERT_EQ(progress.state, State::kComplete) << i << " " << progress.refusal.reason << wire;
    std::string sent, again;
    WriteRequest(first.head(), options, sent);
    ASSERT_EQ(second.Parse(sent).used, sent.size())
        << i << second.Parse(sent).refusal.reason << "\n"
        << sent;
    const std::string scheme(first.head().target.scheme.empty() ? options.scheme
                                                                : first.head().target.scheme);
    std::string expected = Meaning(first.head(), scheme);
    if (first.head().authority.host.empty()) {
      const size_t path = expected.find(' ', expected.find(' ') + 1) + 1;
      expected.insert(path, options.host);
    }
    if (first.head().framing == Framing::kNone &&
        (first.head().method == "POST" || first.head().method == "PUT")) {
      const size_t line = expected.find('\n');
      expected.replace(expected.rfind(" 0 0", line), 4, " 1 0");
    }
    ASSERT_EQ(Meaning(second.head(), scheme), expected) << i << "\n" << wire << "\n" << sent;
    ASSERT_TRUE(second.head().keep_alive && !second.head().upgrade && !second.head().te_trailers);
    for (const Field& field : second.head().fields) {
      ASSERT_FALSE(field.connection_named) << i;
      ASSERT_FALSE(EqualsNoCase(field.name, "WB-Key")) << i;
      if (field.info.flags & kForged) {
        ASSERT_TRUE(options.client_is_proxy || options.forwarded || options.x_forwarded) << i;
      }
    }
  }
}

}  // namespace
}  // namespace wb::http
