// SPDX-License-Identifier: Apache-2.0
// The hostile corpus: each connection is understood as written down there, and what is accepted
// reaches the origin as exactly that many requests.
#include <gtest/gtest.h>

#include "booster/http/write.h"
#include "tests/unit/booster_http_corpus.h"
#include "tests/unit/booster_http_stream.h"

namespace wb::http {
namespace {

std::string Brief(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty()) text += " / ";
    text += line.substr(0, line.find(" {"));
  }
  return text;
}

TEST(HostileTest, IsUnderstoodAsWrittenDown) {
  for (const Case& c : HostileCorpus()) {
    EXPECT_EQ(Brief(ReadRequests(c.wire)), c.understood) << c.name;
  }
}

// What is sent on for a connection: heads as WriteRequest() has them, bodies framed anew.
std::string Relay(std::string_view wire, size_t* accepted) {
  const Limits limits;
  std::string out;
  RequestParser parser(limits);
  for (*accepted = 0;; ++*accepted) {
    parser.Reset();
    const Progress progress = parser.Parse(wire);
    if (progress.state != State::kComplete) return out;
    wire.remove_prefix(progress.used);
    const RequestHead& head = parser.head();
    const bool chunked = head.framing == Framing::kChunked;
    std::string message;
    WriteRequest(head, {.client = "192.0.2.1", .via = "wb"}, message);
    BodyReader body(limits, Role::kRequest, head.framing, head.content_length);
    BodyReader::Step step;
    while ((step = body.Read(wire)).state != State::kRefused) {
      wire.remove_prefix(step.used);
      if (chunked && !step.payload.empty()) WriteChunkHead(step.payload.size(), message);
      message += step.payload;
      if (chunked && !step.payload.empty()) message += kChunkEnd;
      if (step.state == State::kComplete || step.used == 0) break;
    }
    if (step.state != State::kComplete) return out;
    if (chunked) WriteLastChunk(body.trailers(), message);
    out += message;
  }
}

TEST(HostileTest, WhatIsSentOnHasOneMeaning) {
  for (const Case& c : HostileCorpus()) {
    size_t accepted = 0, heads = 0;
    const std::string sent = Relay(c.wire, &accepted);
    std::vector<std::string> bodies, sent_bodies;
    for (const std::string& line : ReadRequests(sent)) {
      heads += line == "end" ? 1 : 0;
      EXPECT_FALSE(line.starts_with("4") || line.starts_with("5")) << c.name << ": " << line;
      if (line.starts_with("body") || line.starts_with("trailer")) sent_bodies.push_back(line);
    }
    std::vector<std::string> message;
    for (const std::string& line : ReadRequests(c.wire)) {
      if (line.starts_with("body") || line.starts_with("trailer")) message.push_back(line);
      if (line == "end") bodies.insert(bodies.end(), message.begin(), message.end());
      if (line == "end") message.clear();
    }
    EXPECT_EQ(heads, accepted) << c.name;
    EXPECT_EQ(sent_bodies, bodies) << c.name;
  }
}

}  // namespace
}  // namespace wb::http
