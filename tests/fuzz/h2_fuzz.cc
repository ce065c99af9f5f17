// SPDX-License-Identifier: Apache-2.0
// HTTP/2 of a client. Input: a byte that chooses, then what comes behind the preface. Its lowest
// two bits: how the origin answers; the next two: in what pieces the input comes; the next: a
// client that takes little. Whatever comes, an origin sees whole requests only, what is kept stays
// small, and what is written are frames.
#include <map>

#include "booster/http/request.h"
#include "tests/fuzz/slow_http.h"
#include "tests/unit/front_h2_fixture.h"

namespace wb::fuzz {
namespace {

using front::FakeExchange;
using front::Front;

constexpr uint32_t kStreams = 8;
constexpr size_t kBuffer = 16 << 10;

void Small(front::Config& config) {
  config.limits.h2_streams = kStreams;
  config.limits.buffer_bytes = kBuffer;
  config.limits.body_bytes = 3000;
}

// What would be written to an origin, by the parser of HTTP/1.1 and by a slow one.
void CheckRequest(const std::string& text) {
  const http::Limits limits;
  http::RequestParser parser(limits);
  const http::Progress progress = parser.Parse(text);
  FUZZ_CHECK(progress.state == http::State::kComplete && progress.used == text.size(), "%.*s: %s",
             static_cast<int>(progress.refusal.reason.size()), progress.refusal.reason.data(),
             text.c_str());
  const http::RequestHead& head = parser.head();
  FUZZ_CHECK(head.method != "CONNECT" && head.keep_alive && !head.upgrade, "%s", text.c_str());
  const std::string host = Lower(head.authority.host);
  FUZZ_CHECK(host == "www.example.com" || host == "www.example.com.", "%s", text.c_str());
  if (text.find('[') != std::string::npos) return;
  const auto slow = SlowRequest(text);
  FUZZ_CHECK(slow && slow->used == text.size(), "%s", text.c_str());
  for (const char* name : {"connection", "te", "upgrade", "expect", "keep-alive"}) {
    FUZZ_CHECK(slow->All(name).empty(), "%s in %s", name, text.c_str());
  }
}

class Origin {
 public:
  explicit Origin(int way) : way_(way) {}

  void Answer(FakeExchange& exchange) {
    if (exchange.over) return;
    int& step = steps_[&exchange];
    if (step == 0) CheckRequest(exchange.request);
    if (way_ == 3 && step == 2) return exchange.Fail({502, "no"});
    if (step == 0) exchange.GiveRoom(700);
    if (step == 1) exchange.Head("HTTP/1.1 103 Early Hints\r\nLink: a\r\n");
    if (step == 2) {
      exchange.Head(way_ == 0 ? "HTTP/1.1 204 No Content\r\n"
                              : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n");
    }
    if (way_ == 0 && step == 2) return exchange.End();
    if (step > 2 && !exchange.paused) exchange.Body(std::string(3000, 'x'));
    if (step == 12) return exchange.End({{"X-Sum", "1"}});
    if (step < 3 || !exchange.paused) ++step;
  }

 private:
  const int way_;
  std::map<FakeExchange*, int> steps_;
};

void CheckFrames(std::string_view out) {
  size_t used = 0;
  for (const front::Frame& frame : front::Parse(out)) {
    used += 9 + frame.payload.size();
    FUZZ_CHECK(frame.type <= NGHTTP2_CONTINUATION && frame.type != NGHTTP2_PUSH_PROMISE, "%d",
               frame.type);
    FUZZ_CHECK(frame.payload.size() <= 16384, "%zu", frame.payload.size());
  }
  FUZZ_CHECK(used == out.size() || out.size() - used < 9 + 16384, "frames");
}

void CheckBounds(Front& front) {
  size_t going = 0;
  for (const auto& exchange : front.upstream.exchanges) going += !exchange->over;
  FUZZ_CHECK(going <= kStreams, "%zu", going);
  const uint64_t buffered = front.counters.buffered.get();
  const size_t queued = front.open() ? front.connection().queued() : 0;
  FUZZ_CHECK(queued <= (96 << 10), "%zu", queued);
  FUZZ_CHECK(buffered <= queued + kBuffer + kStreams * (kBuffer + 3000), "%zu",
             static_cast<size_t>(buffered));
}

void One(std::string_view text) {
  if (text.empty() || text.size() > 6000) return;
  const int choice = text[0];
  text.remove_prefix(1);
  Origin origin(choice & 3);
  Front front(Small);
  front.upstream.room = 0;
  front.upstream.answer = [&](FakeExchange& exchange) { origin.Answer(exchange); };
  if (choice & 16) front.stream->room = 5000;
  static constexpr size_t kPieces[] = {6000, 200, 37, 9};
  const size_t piece = kPieces[choice >> 2 & 3];
  front.Send(front::Preface());
  for (; !text.empty() && front.open(); text.remove_prefix(std::min(piece, text.size()))) {
    front.Send(text.substr(0, piece));
    CheckBounds(front);
  }
  for (int i = 0; i < 4 && front.open(); ++i) {
    front.stream->room = 1 << 20;
    front.Send("");
    CheckBounds(front);
  }
  CheckFrames(front.open() ? front.stream->out : front.out);
  if (front.open()) {
    front.stream->ended = true;
    front.Send("");
  }
  FUZZ_CHECK(!front.open(), "the client is gone");
  FUZZ_CHECK(front.counters.buffered.get() == 0, "buffers");
  for (const auto& exchange : front.upstream.exchanges) FUZZ_CHECK(exchange->over, "exchanges");
  for (const auto& exchange : front.upstream.exchanges) {
    FUZZ_CHECK(exchange->body.size() <= 3000, "%zu", exchange->body.size());
  }
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wb::fuzz::One(wb::fuzz::Text(data, size));
  return 0;
}
