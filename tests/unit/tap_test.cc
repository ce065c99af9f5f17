// SPDX-License-Identifier: Apache-2.0
// GET /v1/tap and `wbctl tap`, on a made-up stream.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ctl/api/client.h"
#include "ctl/api/tap_route.h"
#include "ctl/observe/capture.h"
#include "tests/unit/api_fixture.h"

namespace wb::api {
namespace {

using testing::HasSubstr;

// Two packets, then statistics for as long as somebody reads.
class FakeTap : public TapStream {
 public:
  FakeTap(bool endless, std::atomic<int>& open) : endless_(endless), open_(open) { ++open_; }
  ~FakeTap() override { --open_; }
  absl::StatusOr<std::string> Next() override {
    using observe::Direction;
    switch (turn_++) {
      case 0:
        return observe::SectionHeader() + observe::InterfaceBlock("eth0", 65535);
      case 1:
        return observe::PacketBlock({0, 1764547200000000007, Direction::kIn, 60, "first"}) +
               observe::PacketBlock({0, 1764547200000000008, Direction::kOut, 1514, "second"});
      default:
        if (!endless_ && turn_ > 3) return "";
        absl::SleepFor(absl::Milliseconds(20));
        return observe::StatisticsBlock(1764547200000000009, {.received = 5, .lost = 3});
    }
  }

 private:
  const bool endless_;
  std::atomic<int>& open_;
  int turn_ = 0;
};

class TapService : public FakeService {
 public:
  absl::StatusOr<std::unique_ptr<TapStream>> OpenTap(const TapRequest& request) override {
    asked = request;
    if (request.domain == "busy.test") return absl::ResourceExhaustedError("one at a time");
    return std::make_unique<FakeTap>(request.count == 0, open);
  }
  TapRequest asked;
  std::atomic<int> open = 0;
};

class TapTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApiFixture::SetUp();
    server_.reset();
    auto server = Server::Start(taps_, {.socket_path = socket_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  bool Closed() {
    for (int i = 0; i < 200 && taps_.open != 0; ++i) absl::SleepFor(absl::Milliseconds(20));
    return taps_.open == 0;
  }
  // What wbctl says on both outputs; its exit code in code_.
  std::string Wbctl(const std::string& arguments) {
    const std::string command =
        std::string(WBCTL_PATH) + " --socket " + socket_ + " " + arguments + " 2>&1";
    std::string said;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
      said.append(buffer.data(), n);
    code_ = WEXITSTATUS(pclose(pipe));
    return said;
  }
  TapService taps_;
  int code_ = -1;
};

TEST_F(TapTest, QuerySurvivesTheWay) {
  TapRequest request;
  request.domain = "site.test";
  request.peer = "2001:db8::1";
  request.port = 80;
  request.snaplen = 96;
  request.count = 2;
  request.duration_s = 3;
  Client client(socket_);
  std::string bytes;
  ASSERT_TRUE(client
                  .Tap(request,
                       [&](const char* data, size_t size) {
                         bytes.append(data, size);
                         return true;
                       })
                  .ok());
  EXPECT_EQ(taps_.asked.domain, request.domain);
  EXPECT_EQ(taps_.asked.peer, request.peer);
  EXPECT_EQ(taps_.asked.port, request.port);
  EXPECT_EQ(taps_.asked.snaplen, request.snaplen);
  EXPECT_EQ(taps_.asked.count, request.count);
  EXPECT_EQ(taps_.asked.duration_s, request.duration_s);
  observe::CaptureReader reader([](const observe::CapturedPacket&) {});
  EXPECT_TRUE(reader.Read(bytes).ok());
  EXPECT_TRUE(reader.complete());
  EXPECT_TRUE(Closed());
}

TEST_F(TapTest, WrongRequestsAreRefused) {
  for (const char* query :
       {"?port=0", "?port=65536", "?port=x", "?snaplen=0", "?snaplen=65536", "?count=0", "?peer=x",
        "?peer=1.2.3.4.5", "?domain=a/b", "?other=1", "?port=1&port=2", "?duration_s=86401"}) {
    const std::string answer = Get(std::string(kTapPath) + query);
    EXPECT_THAT(answer, HasSubstr(" 400 ")) << query;
    EXPECT_THAT(answer, HasSubstr("invalid_argument")) << query;
  }
  EXPECT_THAT(Post(kTapPath, "{}"), HasSubstr(" 405 "));
  EXPECT_THAT(Get(std::string(kTapPath) + "?domain=busy.test"), HasSubstr(" 429 "));
  EXPECT_EQ(taps_.open, 0);
}

TEST_F(TapTest, EndsWithItsReaderAndWithTheServer) {
  Client client(socket_);
  EXPECT_TRUE(client.Tap({}, [](const char*, size_t) { return false; }).ok());
  EXPECT_TRUE(Closed());
  const int fd = Connect();
  const std::string request = std::string("GET ") + kTapPath + " HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  char byte;
  ASSERT_EQ(recv(fd, &byte, 1, 0), 1);
  EXPECT_EQ(taps_.open, 1);
  server_->Stop();
  EXPECT_EQ(taps_.open, 0);
  close(fd);
}

TEST_F(TapTest, WbctlWritesPcapAndTellsWhatWasLost) {
  const std::string file = base_ + "/x.pcap";
  const std::string said = Wbctl("tap --count 2 -w " + file);
  EXPECT_EQ(code_, 0) << said;
  EXPECT_THAT(said, HasSubstr("2 packets captured"));
  EXPECT_THAT(said, HasSubstr("5 packets copied by XDP, 3 of them lost"));
  std::ifstream in(file, std::ios::binary);
  const std::string pcap{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(pcap, observe::PcapHeader(65535) +
                      observe::PcapRecord({0, 1764547200000000007, {}, 60, "first"}) +
                      observe::PcapRecord({0, 1764547200000000008, {}, 1514, "second"}));
  EXPECT_THAT(Wbctl("tap --count 2"), HasSubstr(" out eth0 frame of 1514 bytes\n"));
}

TEST_F(TapTest, WbctlTellsWhatIsWrong) {
  EXPECT_THAT(Wbctl("tap --domain busy.test"), HasSubstr("one at a time"));
  EXPECT_EQ(code_, 1);
  Wbctl("tap --count 2 -w /nonexistent/x");
  EXPECT_EQ(code_, 1);
  for (const char* wrong : {"--peer x", "--port 0", "--snaplen 70000", "--count 0"}) {
    Wbctl(std::string("tap ") + wrong);
    EXPECT_EQ(code_, 2) << wrong;
  }
  server_.reset();
  Wbctl("tap --count 1");
  EXPECT_EQ(code_, 3);
}

TEST_F(TapTest, AttachTakesShadowAndIsLiveWithoutIt) {
  EXPECT_THAT(Post("/v1/interfaces/wbt0/attach", R"({"shadow":true})"), HasSubstr(" 200 "));
  EXPECT_TRUE(taps_.last_shadow);
  Wbctl("attach wbt0");
  EXPECT_FALSE(taps_.last_shadow);
  Wbctl("attach wbt0 --shadow");
  EXPECT_TRUE(taps_.last_shadow);
  EXPECT_EQ(code_, 0);
}

}  // namespace
}  // namespace wb::api
