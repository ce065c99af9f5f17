// SPDX-License-Identifier: Apache-2.0
// Lines of the access log from hostile records, the file and the journal that take them, and the
// formats of captures. tests/net/observe_test.py compares with nginx and tcpdump.
#include "webbooster/abi/observe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "ctl/observe/capture.h"
#include "ctl/observe/hit_line.h"
#include "ctl/observe/log_sink.h"
#include "webbooster/abi/object.h"
#include "webbooster/base/unique_fd.h"

namespace wb::observe {
namespace {

using config::LogFormat;
using testing::HasSubstr;
using testing::Not;

class ObserveTest : public testing::Test {
 protected:
  ObserveTest() {
    setenv("TZ", "UTC", 1);
    tzset();
    char name[] = "/tmp/wbobserve.XXXXXX";
    dir_ = mkdtemp(name);
    hit_.key.remote_be32[2] = hit_.key.local_be32[2] = htonl(0xffff);
    hit_.key.remote_be32[3] = htonl(0xc6336401);  // 198.51.100.1
    hit_.key.local_be32[3] = htonl(0xc6336402);
    hit_.key.remote_port_be16 = htons(40000);
    hit_.key.local_port_be16 = htons(80);
    hit_.second = 1764547200;
    hit_.parts = hit_.chosen = 1;
    hit_.part[0] = {1200, 200, WB_PART_GET, 0};
  }
  ~ObserveTest() override { std::filesystem::remove_all(dir_); }

  std::string Lines(std::string_view text, LogFormat format = LogFormat::kCombined) {
    hit_.text_len = static_cast<uint32_t>(text.size());
    memcpy(hit_.text, text.data(), text.size());
    std::string out;
    AppendHitLines(&hit_, WB_HIT_HEAD + text.size(), format, &out);
    return out;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string dir_;
  wb_hit hit_ = {};
};

constexpr char kBegin[] = "198.51.100.1 - - [01/Dec/2025:00:00:00 +0000] ";

TEST_F(ObserveTest, CombinedLineIsAsNginxWritesIt) {
  EXPECT_EQ(Lines("GET /a HTTP/1.1\r\nHost: x\r\nREFERER:  http://r/ \r\nuser-agent:\r\n"
                  "User-Agent: second\r\n\r\n"),
            std::string(kBegin) + R"("GET /a HTTP/1.1" 200 1000 "http://r/" "")" + "\n");
  hit_.part[0] = {180, 180, WB_PART_NOT_MODIFIED, 0};
  EXPECT_EQ(Lines("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
            std::string(kBegin) + R"("GET /a HTTP/1.1" 304 0 "-" "-")" + "\n");
  hit_.part[0] = {200, 200, WB_PART_HEAD, 0};
  const in6_addr v6 = {{{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}}};
  memcpy(hit_.key.remote_be32, &v6, sizeof(v6));
  EXPECT_EQ(Lines("HEAD / HTTP/1.1\r\n\r\n"),
            "2001:db8::5 - - [01/Dec/2025:00:00:00 +0000] "
            R"("HEAD / HTTP/1.1" 200 0 "-" "-")"
            "\n");
}

// Whatever the bytes are, a line is one line, and has the quotes that are ours.
TEST_F(ObserveTest, HostileBytesNeitherBreakALineNorEndAString) {
  std::string all = "GET /";
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  const std::string request = all + " HTTP/1.1\r\nReferer: " + all + "\r\nUser-Agent: " + all;
  std::string line = Lines(request);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(std::count(line.begin(), line.end(), '"'), 6);
  line.pop_back();
  for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
  EXPECT_THAT(line, HasSubstr(R"(\x00\x01)"));
  EXPECT_THAT(line, HasSubstr(R"(\x22)"));
  EXPECT_THAT(line, HasSubstr(R"(\x5C)"));
  EXPECT_THAT(line, HasSubstr(R"(~\x7F\x80)"));
  line = Lines(request, LogFormat::kJson);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  line.pop_back();
  for (const char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << static_cast<int>(c);
  const auto json = nlohmann::json::parse(line);
  EXPECT_THAT(json["http_referer"].get<std::string>(), HasSubstr("!\"#"));
  EXPECT_EQ(json["host"], nullptr);
}

TEST_F(ObserveTest, KeyedRequestsAreLinesOfTheirOwnAndSamplingLeavesSomeOut) {
  hit_.parts = 3;
  hit_.chosen = 5;
  for (int i = 0; i < 3; ++i) hit_.part[i] = {200u + static_cast<uint32_t>(i), 200, WB_PART_GET, 0};
  EXPECT_EQ(Lines("GET /a HTTP/1.1\r\nHost: x\r\nWB-Key: 1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
                  "GET /c HTTP/1.1\r\nReferer: r\r\n\r\n"),
            std::string(kBegin) + R"("GET /a HTTP/1.1" 200 0 "-" "-")" + "\n" + kBegin +
                R"("GET /c HTTP/1.1" 200 2 "r" "-")" + "\n");
}

TEST_F(ObserveTest, JsonHasEveryField) {
  const auto json = nlohmann::json::parse(
      Lines("GET /a?b HTTP/1.1\r\nHost: x.test\r\nUser-Agent: u\r\n\r\n", LogFormat::kJson));
  const auto expected = nlohmann::json::parse(R"({"time":"2025-12-01T00:00:00+00:00",
      "remote_addr":"198.51.100.1","remote_port":40000,"server_addr":"198.51.100.2",
      "server_port":80,"host":"x.test","request":"GET /a?b HTTP/1.1","status":200,
      "bytes_sent":1200,"body_bytes_sent":1000,"http_referer":null,"http_user_agent":"u"})");
  EXPECT_EQ(json, expected);
}

TEST_F(ObserveTest, RecordsThatLieAboutThemselvesAreNoneOrOneLine) {
  std::mt19937 random(7);
  std::string out;
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> record(random() % (sizeof(wb_hit) + 64));
    for (uint8_t& byte : record) byte = static_cast<uint8_t>(random());
    if (record.size() >= WB_HIT_HEAD && i % 2 == 0) {
      auto* hit = reinterpret_cast<wb_hit*>(record.data());
      hit->parts = static_cast<uint16_t>(random() % 18);
      hit->text_len = static_cast<uint32_t>(random() % (record.size() - WB_HIT_HEAD + 2));
    }
    // Exactly as long as it says: a sanitizer sees what is read behind it.
    const auto format = i % 4 < 2 ? LogFormat::kCombined : LogFormat::kJson;
    out.clear();
    const size_t lines = AppendHitLines(record.data(), record.size(), format, &out);
    EXPECT_EQ(static_cast<size_t>(std::count(out.begin(), out.end(), '\n')), lines);
    EXPECT_LE(lines, WB_PARTS_MAX);
  }
}

TEST_F(ObserveTest, FileIsMadeWithItsModeAndFollowsItsName) {
  const std::string path = dir_ + "/log";
  const mode_t mask = umask(022);
  FileSink sink(path);
  EXPECT_TRUE(sink.Write("one\n").status.ok());
  umask(mask);
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  std::filesystem::rename(path, path + ".1");
  EXPECT_EQ(sink.Write("two\n").lost, 0u) << "renamed";
  EXPECT_EQ(Read(path + ".1"), "one\n");
  EXPECT_EQ(Read(path), "two\n");
  std::filesystem::remove(path);
  EXPECT_EQ(sink.Write("three\n").lost, 0u) << "removed";
  EXPECT_EQ(Read(path), "three\n");
  std::filesystem::rename(path, path + ".2");
  std::ofstream(path) << "";
  sink.Reopen();
  EXPECT_EQ(sink.Write("four\n").lost, 0u);
  EXPECT_EQ(Read(path), "four\n");
  EXPECT_EQ(Read(path + ".2"), "three\n");
}

TEST_F(ObserveTest, FileThatCannotBeWrittenLosesLinesAndComesBack) {
  const std::string path = dir_ + "/sub/log";
  FileSink sink(path);
  const LogSink::Result none = sink.Write("a\nb\n");
  EXPECT_EQ(none.lost, 2u);
  EXPECT_THAT(std::string(none.status.message()), HasSubstr(path));
  std::filesystem::create_directory(dir_ + "/sub");
  EXPECT_EQ(sink.Write("c\n").lost, 0u);
  EXPECT_EQ(Read(path), "c\n");
  FileSink full("/dev/full");
  EXPECT_EQ(full.Write("a\nb\nc\n").lost, 3u);
  ASSERT_EQ(mkfifo((dir_ + "/fifo").c_str(), 0600), 0);
  FileSink fifo(dir_ + "/fifo");
  EXPECT_EQ(fifo.Write("a\n").lost, 1u) << "nobody reads, and nobody waits";
}

// A full disk takes a part of a line: the line is lost, the next one begins on a line of its own.
TEST_F(ObserveTest, LineThatIsCutDoesNotSpoilTheNext) {
  const std::string path = dir_ + "/log";
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  rlimit narrow = before;
  narrow.rlim_cur = 8;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &narrow), 0);
  FileSink sink(path);
  EXPECT_EQ(sink.Write("first\nsecond\nthird\n").lost, 2u);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(sink.Write("fourth\n").lost, 0u);
  EXPECT_EQ(Read(path), "first\nse\nfourth\n");
}

TEST_F(ObserveTest, JournalGetsADatagramForEachLineAndMayBeStartedAnew) {
  const std::string path = dir_ + "/journal";
  JournalSink sink(path);
  EXPECT_EQ(sink.Write("lost\nas well\n").lost, 2u) << "no journal";
  for (int turn = 0; turn < 2; ++turn) {
    unlink(path.c_str());
    base::UniqueFd journal(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(bind(journal.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(sink.Write("one\ntwo\n").lost, 0u);
    for (const char* line : {"one", "two"}) {
      char datagram[1024];
      const ssize_t n = recv(journal.get(), datagram, sizeof(datagram), MSG_DONTWAIT);
      ASSERT_GT(n, 0);
      EXPECT_EQ(
          std::string(datagram, static_cast<size_t>(n)),
          std::string("PRIORITY=6\nSYSLOG_IDENTIFIER=webbooster-access\nMESSAGE=") + line + "\n");
    }
  }
}

std::string Stream() {
  std::string stream = SectionHeader() + InterfaceBlock("eth0", 65535) + InterfaceBlock("e1", 9);
  stream += PacketBlock({0, 1764547200123456789, Direction::kIn, 5, "12345"});
  stream += PacketBlock({1, 1764547201000000001, Direction::kOut, 1500, "abcd"});
  return stream + StatisticsBlock(1764547202000000000, {.received = 7, .lost = 5});
}

TEST_F(ObserveTest, CaptureIsReadAsItWasWrittenInPiecesOfAnySize) {
  for (size_t piece = 1; piece < 200; piece += 7) {
    std::vector<std::string> packets;
    CaptureReader reader([&](const CapturedPacket& p) {
      packets.push_back(std::to_string(p.interface) + " " + std::to_string(p.unix_ns) + " " +
                        std::to_string(static_cast<int>(p.direction)) + " " +
                        std::to_string(p.frame_bytes) + " " + std::string(p.data));
    });
    const std::string stream = Stream();
    for (size_t at = 0; at < stream.size(); at += piece)
      ASSERT_TRUE(reader.Read(std::string_view(stream).substr(at, piece)).ok());
    EXPECT_EQ(packets, (std::vector<std::string>{"0 1764547200123456789 1 5 12345",
                                                 "1 1764547201000000001 2 1500 abcd"}));
    EXPECT_EQ(reader.interface_name(0), "eth0");
    EXPECT_EQ(reader.interface_name(1), "e1");
    EXPECT_EQ(reader.interface_name(2), "?");
    EXPECT_EQ(reader.counts().received, 7u);
    EXPECT_EQ(reader.counts().lost, 5u);
    EXPECT_TRUE(reader.complete());
  }
}

TEST_F(ObserveTest, CaptureThatIsNoneIsRefusedOrHarmless) {
  CaptureReader reader([](const CapturedPacket&) { FAIL(); });
  EXPECT_FALSE(reader.Read("{\"error\": \"none\"}").ok());
  std::mt19937 random(11);
  for (int i = 0; i < 5000; ++i) {
    std::string stream = Stream();
    for (int n = 0; n < 4; ++n) stream[random() % stream.size()] = static_cast<char>(random());
    size_t seen = 0;
    CaptureReader any([&](const CapturedPacket& p) {
      seen += p.data.size();
      (void)DescribePacket(p, any.interface_name(p.interface));
    });
    (void)any.Read(stream);
    EXPECT_LT(seen, stream.size());
  }
}

TEST_F(ObserveTest, DescriptionIsOnePrintableLine) {
  std::string frame(14 + 20 + 20, '\0');
  frame[12] = 8;
  frame[14] = 0x45;
  frame[23] = 6;
  frame.replace(26, 8, std::string("\xc6\x33\x64\x01\xc6\x33\x64\x02", 8));
  frame[34] = static_cast<char>(40000 >> 8);
  frame[35] = static_cast<char>(40000 & 255);
  frame[37] = 80;
  frame[41] = 5;
  frame[46] = 0x50;
  frame[47] = 0x18;
  const std::string payload = "GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n";
  frame += payload;
  frame[17] = static_cast<char>(40 + payload.size());
  const auto bytes = static_cast<uint32_t>(frame.size());
  EXPECT_EQ(DescribePacket({0, 1764547200000000042, Direction::kIn, bytes, frame}, "eth0"),
            "00:00:00.000000042 in  eth0 198.51.100.1.40000 > 198.51.100.2.80: [P.] seq 5 ack 0 "
            "win 0 length 29: GET /?[2J HTTP/1.1");
  EXPECT_EQ(DescribePacket({0, 0, Direction::kOut, 9, "short"}, "e\nx"),
            "00:00:00.000000000 out e frame of 9 bytes");
}

}  // namespace
}  // namespace wb::observe
