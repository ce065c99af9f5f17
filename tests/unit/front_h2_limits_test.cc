// SPDX-License-Identifier: Apache-2.0
// HTTP/2: flow control from end to end, deadlines, floods, and the end of a connection.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/front_h2_fixture.h"

namespace wb::front {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr size_t kBuffer = 32 << 10;

void SmallBuffer(Config& config) { config.limits.buffer_bytes = kBuffer; }

void Finish(FakeExchange& exchange) {
  exchange.Head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
  exchange.End();
}

std::vector<Frame> Written(const Front& front) {
  return Parse(front.open() ? front.stream->out : front.out);
}

bool SentAway(const Front& front) {
  return front.finished() && ErrorOf(Written(front), NGHTTP2_GOAWAY, 0) ==
                                 static_cast<uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST(FrontH2FlowTest, ResponseIsPausedUntilTheStreamsWindowOpens) {
  Front front(SmallBuffer);
  H2Client client(front, {.give_window = false, .window = 1000});
  const int32_t id = client.Ask("GET", "/");
  client.Run();
  FakeExchange& exchange = *front.upstream.exchanges[0];
  exchange.Head("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n");
  std::string body;
  while (!exchange.paused) {
    const std::string part(1000, static_cast<char>('a' + body.size() / 1000 % 26));
    body += part;
    exchange.Body(part);
    ASSERT_LE(body.size(), kBuffer + 2000);
  }
  client.Run();
  EXPECT_EQ(client.at(id).body, body.substr(0, 1000));
  EXPECT_EQ(front.counters.buffered.get(), body.size() - 1000);
  client.Widen(id, 5000);
  client.Run();
  EXPECT_TRUE(exchange.paused);
  client.Widen(id, 15000);
  client.Run();
  EXPECT_FALSE(exchange.paused);
  EXPECT_EQ(client.at(id).body, body.substr(0, 21000));
  client.Reset(id);
  client.Run();
  EXPECT_EQ(front.counters.buffered.get(), 0u);
}

TEST(FrontH2FlowTest, ManyStreamsWithoutWindowKeepLittle) {
  Front front(SmallBuffer);
  H2Client client(front, {.give_window = false, .window = 0});
  for (int i = 0; i < 100; ++i) client.Ask("GET", "/" + std::to_string(i));
  client.Run();
  ASSERT_EQ(front.upstream.exchanges.size(), 100u);
  size_t sent = 0;
  for (const auto& exchange : front.upstream.exchanges) {
    exchange->Head("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n");
    for (; !exchange->paused; sent += 1000) exchange->Body(std::string(1000, 'x'));
  }
  client.Run();
  EXPECT_EQ(front.counters.buffered.get(), sent);
  EXPECT_LE(sent, kBuffer + 100 * ((16u << 10) + 1000));
  // Those that get on are asked for more, though others are not.
  client.Widen(0, 1 << 20);
  client.Widen(199, 1 << 20);
  client.Run();
  EXPECT_FALSE(front.upstream.exchanges[99]->paused);
  EXPECT_TRUE(front.upstream.exchanges[0]->paused);
}

TEST(FrontH2FlowTest, QueueOfTheConnectionStaysSmall) {
  Front front;
  H2Client client(front, {.window = 1 << 20});
  client.Widen(0, 1 << 24);
  for (int i = 0; i < 50; ++i) client.Ask("GET", "/");
  client.Run();
  front.stream->room = 0;
  for (const auto& exchange : front.upstream.exchanges) {
    exchange->Head("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n");
    exchange->Body(std::string(100000, 'x'));
    exchange->End();
    front.Turn();
    ASSERT_LE(front.connection().queued(), 96u << 10);
  }
  front.stream->room = 64 << 20;
  front.stream->Poke();
  client.Run();
  for (const auto& [id, reply] : client.replies) EXPECT_EQ(reply.body.size(), 100000u) << id;
}

TEST(FrontH2FlowTest, BodyComesAsFastAsTheOriginTakesIt) {
  Front front(SmallBuffer);
  front.upstream.room = 1000;
  H2Client client(front);
  client.Ask("POST", "/", {}, std::string(300000, 'u'));
  client.Run();
  FakeExchange& exchange = *front.upstream.exchanges[0];
  EXPECT_EQ(exchange.body.size(), 1000u);
  // The client has sent what the windows allow, and no more of it is wanted.
  const int32_t window = nghttp2_session_get_remote_window_size(client.h2());
  EXPECT_EQ(window, 0);
  const size_t before = front.stream->out.size();
  exchange.GiveRoom(1000);
  client.Run();
  EXPECT_EQ(front.stream->out.size(), before);  // too little for a WINDOW_UPDATE
  while (exchange.body.size() < 300000) {
    exchange.GiveRoom(20000);
    client.Run();
    ASSERT_FALSE(exchange.cancelled);
  }
  EXPECT_TRUE(exchange.body_ended);
}

TEST(FrontH2FlowTest, StalledBodyLeavesTheConnectionToOthers) {
  Front front;  // 128 KiB of a stream, 256 KiB of all
  H2Client client(front);
  // What a stream that was reset had not handed on is the connection's again.
  for (size_t i = 0; i < 5; ++i) {
    front.upstream.room = 0;
    const int32_t stalled = client.Ask("POST", "/a", {}, std::string(400000, 'u'));
    client.Run();
    front.upstream.room = 1 << 20;
    client.Ask("POST", "/b", {}, std::string(300000, 'v'));
    client.Run();
    EXPECT_TRUE(front.upstream.exchanges.at(2 * i + 1)->body_ended);
    client.Reset(stalled);
    client.Run();
    EXPECT_TRUE(front.upstream.exchanges.at(2 * i)->cancelled);
  }
}

struct Deadline {
  const char* name;
  std::function<void(Timeouts&)> set;
  std::function<void(Front&)> send;
  int status;      // answered to stream 1; 0: RST_STREAM; -1: GOAWAY
  bool cancelled;  // the exchange
};

TEST(FrontH2DeadlineTest, EveryWaitHasOne) {
  const milliseconds kSoon(20);
  const std::string window_shut = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
                                  Raw(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4", 2) + Number32(0));
  const auto respond = [](Front& front) {
    front.upstream.exchanges.at(0)->Head("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n");
    front.upstream.exchanges.at(0)->Body("some");
    front.Turn();
  };
  const std::vector<Deadline> kCases = {
      {"nothing comes", [&](Timeouts& t) { t.head = kSoon; }, [](Front&) {}, -1, false},
      {"no request comes", [&](Timeouts& t) { t.head = kSoon; },
       [](Front& f) { f.Send(Preface()); }, -1, false},
      {"half a head", [&](Timeouts& t) { t.head = kSoon; },
       [](Front& f) { f.Send(Preface() + Raw(NGHTTP2_HEADERS, 1, 1, Block(Get()))); }, -1, false},
      {"idle", [&](Timeouts& t) { t.idle = kSoon; },
       [](Front& f) {
         f.Send(Preface() + Headers(1, Get()));
         Finish(*f.upstream.exchanges.at(0));
         f.Turn();
       },
       -1, false},
      {"no body", [&](Timeouts& t) { t.body = kSoon; },
       [](Front& f) { f.Send(Preface() + Headers(1, Get(), true)); }, 408, true},
      {"no rest of a body", [&](Timeouts& t) { t.body = kSoon; },
       [&](Front& f) {
         f.Send(Preface() + Headers(1, Get(), true) + Raw(NGHTTP2_DATA, 0, 1, "x"));
         respond(f);
       },
       0, true},
      {"no window of the stream", [&](Timeouts& t) { t.write = kSoon; },
       [&](Front& f) {
         f.Send(window_shut + Headers(1, Get()));
         respond(f);
       },
       0, true},
  };
  for (const Deadline& c : kCases) {
    Front front([&](Config& config) { c.set(config.timeouts); });
    c.send(front);
    ASSERT_TRUE(front.open()) << c.name;
    const auto done = [&] {
      const std::vector<Frame> frames = Written(front);
      if (c.status < 0) return front.finished();
      for (const Frame& frame : frames) {
        if (frame.type == (c.status ? NGHTTP2_HEADERS : NGHTTP2_RST_STREAM)) return true;
      }
      return false;
    };
    EXPECT_TRUE(front.Wait(done)) << c.name;
    if (c.cancelled) {
      EXPECT_TRUE(front.upstream.exchanges.at(0)->cancelled) << c.name;
    }
    if (c.status == 0) {
      EXPECT_EQ(ErrorOf(Written(front), NGHTTP2_RST_STREAM, 1),
                static_cast<uint32_t>(NGHTTP2_CANCEL))
          << c.name;
    }
    if (c.status > 0) {
      EXPECT_THAT(front.stream->out, HasSubstr("408 Request Timeout")) << c.name;
    }
  }
}

// Though every wait of the configuration is longer.
TEST(FrontH2DeadlineTest, RefusalByQuotaIsHeldForAWhile) {
  Front front([](Config& config) { config.domains[0].quota = {.rate = 1, .burst = 1}; });
  front.Send(Preface() + Headers(1, Get()) + Headers(3, Get()));
  EXPECT_EQ(front.upstream.exchanges.size(), 1u);
  const auto answered = [&] { return front.stream->out.find("503 Service") != std::string::npos; };
  EXPECT_FALSE(answered());
  const auto begin = net::Clock::now();
  EXPECT_TRUE(front.Wait(answered));
  EXPECT_LT(net::Clock::now() - begin, std::chrono::seconds(5));
}

TEST(FrontH2DeadlineTest, ClientThatTakesNothing) {
  Front front([](Config& config) { config.timeouts.write = milliseconds(20); });
  H2Client client(front);
  client.Ask("GET", "/");
  client.Run();
  front.stream->room = 0;
  Finish(*front.upstream.exchanges[0]);
  EXPECT_TRUE(front.Wait([&] { return !front.open(); }));
  EXPECT_EQ(front.ended(End::kTimeout), 1u);
}

// A stream that waits for its origin, or its origin for it, is not the client's fault.
TEST(FrontH2DeadlineTest, OriginsTakeTheirTime) {
  Front front([](Config& config) {
    config.timeouts.body = config.timeouts.write = config.timeouts.idle = config.timeouts.head =
        milliseconds(20);
  });
  front.upstream.room = 0;
  H2Client client(front);
  client.Ask("GET", "/");
  client.Ask("POST", "/", {}, "body");
  client.Run();
  const auto until = net::Clock::now() + milliseconds(100);
  front.Wait([&] { return net::Clock::now() > until; });
  ASSERT_TRUE(front.open() && !front.finished());
  for (const auto& exchange : front.upstream.exchanges) EXPECT_FALSE(exchange->over);
  Finish(*front.upstream.exchanges[0]);
  client.Run();
  EXPECT_EQ(client.at(1).status, 200);
}

TEST(FrontH2FloodTest, FramesThatAskForNothing) {
  using namespace std::string_literals;
  const struct {
    const char* name;
    std::string frame;
  } kCases[] = {
      {"PING", Raw(NGHTTP2_PING, 0, 0, "12345678")},
      {"SETTINGS", Raw(NGHTTP2_SETTINGS, 0, 0, "")},
      {"PRIORITY", Raw(NGHTTP2_PRIORITY, 0, 7, Number32(0) + "x")},
      {"WINDOW_UPDATE", Raw(NGHTTP2_WINDOW_UPDATE, 0, 0, Number32(1))},
      {"empty DATA", Raw(NGHTTP2_DATA, 0, 1, "")},
      {"padding", Raw(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, "\0"s)},
  };
  for (const auto& c : kCases) {
    Front front;
    front.Send(Preface() + Headers(1, Get(), true));
    // As many as a lively client may send.
    std::string some;
    for (int i = 0; i < 100; ++i) some += c.frame;
    front.Send(some);
    EXPECT_FALSE(front.finished()) << c.name;
    for (int i = 0; i < 30 && !front.finished(); ++i) front.Send(some);
    EXPECT_TRUE(SentAway(front)) << c.name;
    EXPECT_TRUE(front.upstream.exchanges.at(0)->cancelled) << c.name;
  }
}

// CVE-2023-44487; and streams that the client makes us reset.
TEST(FrontH2FloodTest, Resets) {
  Pairs bad = Get({{"connection", "close"}});
  for (const bool ours : {false, true}) {
    Front front;
    front.Send(Preface());
    uint32_t stream = 1;
    for (; stream < 3000 && !front.finished(); stream += 2) {
      front.Send(ours ? Headers(stream, bad)
                      : Headers(stream, Get()) +
                            Raw(NGHTTP2_RST_STREAM, 0, stream, Number32(NGHTTP2_CANCEL)));
    }
    EXPECT_TRUE(SentAway(front)) << ours;
    EXPECT_GE(stream, 2u * 500);
    for (const auto& exchange : front.upstream.exchanges) EXPECT_TRUE(exchange->cancelled);
  }
}

TEST(FrontH2FloodTest, StreamsAboveTheLimitAreRefused) {
  Front front([](Config& config) { config.limits.h2_streams = 10; });
  front.Send(Preface());
  for (uint32_t i = 0; i < 11; ++i) front.Send(Headers(2 * i + 1, Get()));
  EXPECT_EQ(front.upstream.exchanges.size(), 10u);
  EXPECT_EQ(ErrorOf(Written(front), NGHTTP2_RST_STREAM, 21),
            static_cast<uint32_t>(NGHTTP2_REFUSED_STREAM));
  EXPECT_FALSE(front.finished());
}

// CVE-2024-28182.
TEST(FrontH2FloodTest, Continuations) {
  Front front;
  front.Send(Preface() + Raw(NGHTTP2_HEADERS, 1, 1, Block(Get())));
  for (int i = 0; i < 100 && !front.finished(); ++i) {
    front.Send(Raw(NGHTTP2_CONTINUATION, 0, 1, Block({{"x", "y"}})));
    ASSERT_LE(i, 11) << "8, and one for each 16 KiB of a head";
  }
  EXPECT_TRUE(SentAway(front));
}

// Its answers would fill our memory: first it must take what there is.
TEST(FrontH2FloodTest, ClientThatAsksAndTakesNothing) {
  Front front([](Config& config) { config.limits.h2_streams = 4; });
  front.Send(Preface());
  front.stream->room = 0;
  uint32_t stream = 1;
  for (size_t before = 0; stream < 2000; stream += 2) {
    front.Send(Headers(stream, Get()));
    if (front.upstream.exchanges.size() == before) break;
    before = front.upstream.exchanges.size();
    front.upstream.exchanges.back()->Head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n");
    front.Turn();
    front.Send(Raw(NGHTTP2_RST_STREAM, 0, stream, Number32(NGHTTP2_CANCEL)));
  }
  EXPECT_LE(front.upstream.exchanges.size(), 450u);
  EXPECT_LE(front.connection().queued(), 64u << 10);
  front.stream->room = 1 << 20;
  front.stream->Poke();
  front.Turn();
  EXPECT_TRUE(front.stream->in.empty());
}

TEST(FrontH2DrainTest, StreamsUnderWayEndFirst) {
  Front front;
  H2Client client(front);
  const int32_t first = client.Ask("GET", "/first");
  client.Run();
  // Sent before the client has heard of the end: served too.
  front.services->draining = true;
  front.connection().Drain();
  const int32_t second = client.Ask("GET", "/second");
  client.Run();
  ASSERT_EQ(front.upstream.exchanges.size(), 2u);
  EXPECT_EQ(client.goaways, std::vector<uint32_t>(2, NGHTTP2_NO_ERROR));
  EXPECT_THAT(client.goaway_streams, ElementsAre(0x7fffffff, second));
  EXPECT_FALSE(front.finished());
  for (const auto& exchange : front.upstream.exchanges) {
    Finish(*exchange);
    client.Run();
  }
  EXPECT_EQ(client.at(first).status, 200);
  EXPECT_EQ(client.at(second).status, 200);
  EXPECT_TRUE(front.finished());
  front.stream->ended = true;
  front.Send("");
  EXPECT_EQ(front.ended(End::kDrained), 1u);
}

TEST(FrontH2DrainTest, ClientThatDoesNotAnswerIsNotWaitedFor) {
  Front front;
  front.Send(Preface());
  front.connection().Drain();
  front.Turn();
  EXPECT_FALSE(front.finished());
  EXPECT_TRUE(front.Wait([&] { return front.finished(); }));
}

}  // namespace
}  // namespace wb::front
