// SPDX-License-Identifier: Apache-2.0
// Against a server of our own on loopback that says what each test wants, byte by byte.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <thread>

#include "ctl/cache/fetch.h"
#include "ctl/cache/partial.h"
#include "webbooster/base/unique_fd.h"

namespace wb::cache {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Answers one connection after the other. `answer` gets each request; "" closes without an answer;
// a trailing "\x01" in the answer is cut off and closes behind it.
class FakeServer {
 public:
  using Answer = std::function<std::string(const std::string& request)>;
  explicit FakeServer(Answer answer, int family = AF_INET) : answer_(std::move(answer)) {
    listener_.reset(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 any6 = {.sin6_family = AF_INET6,
                         .sin6_port = 0,
                         .sin6_flowinfo = 0,
                         .sin6_addr = in6addr_loopback,
                         .sin6_scope_id = 0};
    sockaddr_in any4 = {};
    any4.sin_family = AF_INET;
    any4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool v6 = family == AF_INET6;
    auto* address = v6 ? reinterpret_cast<sockaddr*>(&any6) : reinterpret_cast<sockaddr*>(&any4);
    socklen_t len = v6 ? sizeof(any6) : sizeof(any4);
    EXPECT_EQ(bind(listener_.get(), address, len), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    getsockname(listener_.get(), address, &len);
    origin_ = {v6 ? "::1" : "127.0.0.1", ntohs(v6 ? any6.sin6_port : any4.sin_port)};
    thread_ = std::thread([this] { Run(); });
  }
  ~FakeServer() {
    stop_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    if (current_ >= 0) shutdown(current_, SHUT_RDWR);
    thread_.join();
  }
  OriginAddress origin() const { return origin_; }
  // Of the last connection, if IPv4. Only after an answer.
  std::string peer() const {
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &peer_.sin_addr, text, sizeof(text));
    return text;
  }

 private:
  void Run() {
    while (!stop_) {
      base::UniqueFd client(accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      socklen_t len = sizeof(peer_);
      getpeername(client.get(), reinterpret_cast<sockaddr*>(&peer_), &len);
      current_ = client.get();
      Serve(client.get());
      current_ = -1;
    }
  }
  void Serve(int fd) {
    std::string input;
    char buffer[4096];
    while (!stop_) {
      const size_t end = input.find("\r\n\r\n");
      if (end == std::string::npos) {
        const ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
        if (n <= 0) return;
        input.append(buffer, static_cast<size_t>(n));
        continue;
      }
      std::string answer = answer_(input.substr(0, end + 4));
      input.erase(0, end + 4);
      if (answer.empty()) return;
      const bool close = answer.back() == '\x01';
      if (close) answer.pop_back();
      send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      if (close) return;
    }
  }
  Answer answer_;
  base::UniqueFd listener_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> current_ = -1;
  OriginAddress origin_;
  sockaddr_in peer_ = {};
  std::thread thread_;
};

constexpr char kDate[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

std::string Ok(const std::string& body, const std::string& fields = "") {
  return "HTTP/1.1 200 OK\r\n" + std::string(kDate) + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string HeaderOf(const std::string& raw) { return raw.substr(0, raw.find("\r\n\r\n") + 4); }

FetchRequest Get(const std::string& target = "/a") {
  FetchRequest request;
  request.host = "site.test";
  request.target = target;
  return request;
}

TEST(FetcherTest, SendsExactlyTheRequestAndReturnsExactlyTheBytes) {
  for (int family : {AF_INET, AF_INET6}) {
    std::string seen;
    FakeServer server(
        [&](const std::string& request) {
          seen = request;
          return Ok(std::string("a\0b", 3), "x-Odd:  v \r\n");
        },
        family);
    Fetcher fetcher(server.origin());
    FetchRequest request = Get();
    EXPECT_EQ(*fetcher.Fetch(request), Ok(std::string("a\0b", 3), "x-Odd:  v \r\n"));
    EXPECT_EQ(seen, "GET /a HTTP/1.1\r\nHost: site.test\r\n\r\n");
    request.accept_encoding = "";
    request.if_none_match = "\"e\"";
    EXPECT_TRUE(fetcher.Fetch(request).ok());
    EXPECT_EQ(seen,
              "GET /a HTTP/1.1\r\nHost: site.test\r\nAccept-Encoding: \r\nIf-None-Match: \"e\"\r\n"
              "\r\n");
    EXPECT_EQ(fetcher.connects(), 1u);
  }
}

TEST(FetcherTest, ConnectsAgainWhenTheKeptConnectionHasGone) {
  int n = 0;
  FakeServer server([&](const std::string&) { return ++n == 2 ? "" : Ok("x"); });
  Fetcher fetcher(server.origin());
  EXPECT_TRUE(fetcher.Fetch(Get()).ok());
  EXPECT_TRUE(fetcher.Fetch(Get()).ok());
  EXPECT_EQ(n, 3);
  EXPECT_EQ(fetcher.connects(), 2u);
}

TEST(FetcherTest, AnswersWithConnectionCloseAreNotReused) {
  FakeServer server([](const std::string&) { return Ok("x", "Connection: close\r\n") + "\x01"; });
  Fetcher fetcher(server.origin());
  EXPECT_TRUE(fetcher.Fetch(Get()).ok());
  EXPECT_TRUE(fetcher.Fetch(Get()).ok());
  EXPECT_EQ(fetcher.connects(), 2u);
}

// nginx's keepalive_requests and Apache's MaxKeepAliveRequests: the last answer on a connection
// says that it is closed, which is no property of the object.
TEST(FetcherTest, AsksAnewWhenAKeptConnectionIsUsedUp) {
  int asked = 0, on_connection = 0;
  FakeServer server([&](const std::string&) {
    ++asked;
    if (++on_connection < 3) return Ok("x");
    on_connection = 0;
    return Ok("x", "Connection: close\r\n") + "\x01";
  });
  Fetcher fetcher(server.origin());
  for (int i = 0; i < 8; ++i) EXPECT_EQ(*fetcher.Fetch(Get()), Ok("x")) << i;
  EXPECT_EQ(asked, 11);  // each third one was repeated
  EXPECT_EQ(fetcher.connects(), 4u);
}

TEST(FetcherTest, ConnectsFromTheAddressThatItIsGiven) {
  FakeServer server([](const std::string&) { return Ok("x"); });
  OriginAddress origin = server.origin();
  origin.from = "127.9.8.7";
  Fetcher fetcher(origin);
  EXPECT_TRUE(fetcher.Fetch(Get()).ok());
  EXPECT_EQ(server.peer(), "127.9.8.7");
  origin.from = "192.0.2.1";  // not ours
  const absl::Status status = Fetcher(origin).Fetch(Get()).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("bind to 192.0.2.1"));
  origin.from = "::1";  // of another family
  EXPECT_TRUE(absl::IsUnavailable(Fetcher(origin).Fetch(Get()).status()));
}

TEST(FetcherTest, RefusesSurprises) {
  using Code = absl::StatusCode;
  const std::vector<std::pair<std::string, Code>> cases = {
      {"", Code::kUnavailable},
      {"HTTP/1.1 200 OK\r\n\x01", Code::kUnavailable},
      {Ok("hello").substr(0, 60) + "\x01", Code::kUnavailable},
      {HeaderOf(Ok("hello")) + "hell\x01", Code::kUnavailable},
      {Ok("hello") + "HTTP/1.1 200 OK\r\n", Code::kDataLoss},
      {"HTTP/1.0 200 OK\r\n\r\n", Code::kDataLoss},
      {"SSH-2.0-x\r\n\r\n", Code::kDataLoss},
      {"HTTP/1.1 103 Early Hints\r\n\r\n" + Ok("x"), Code::kDataLoss},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(20000, 'a'), Code::kResourceExhausted},
  };
  for (const auto& [answer, code] : cases) {
    FakeServer server([&](const std::string&) { return answer; });
    Fetcher fetcher(server.origin());
    EXPECT_EQ(fetcher.Fetch(Get()).status().code(), code) << answer.substr(0, 80);
  }
  FakeServer server([&](const std::string&) { return Ok("body behind HEAD"); });
  FetchRequest head = Get();
  head.head = true;
  EXPECT_EQ(Fetcher(server.origin()).Fetch(head).status().code(), Code::kDataLoss);
}

TEST(FetcherTest, KeepsOnlyTheHeaderOfWhatIsUnframedOrTooLong) {
  for (const char* fields :
       {"Transfer-Encoding: chunked\r\n", "Content-Length: 999999\r\n", "X: no length\r\n"}) {
    const std::string header = std::string("HTTP/1.1 200 OK\r\n") + fields + "\r\n";
    FakeServer server([&](const std::string&) { return header + "5\r\nhello\r\n"; });
    Fetcher fetcher(server.origin());
    EXPECT_EQ(*fetcher.Fetch(Get()), header);
    EXPECT_TRUE(fetcher.Fetch(Get()).ok());
    EXPECT_EQ(fetcher.connects(), 2u);
  }
}

TEST(FetcherTest, GivesUpInTime) {
  std::atomic<bool> release = false;
  FakeServer server([&](const std::string&) {
    release.wait(false);
    return std::string();
  });
  FetchLimits limits;
  limits.total = std::chrono::milliseconds(50);
  Fetcher fetcher(server.origin(), limits);
  EXPECT_TRUE(absl::IsDeadlineExceeded(fetcher.Fetch(Get()).status()));
  release = true;
  release.notify_all();
}

TEST(FetcherTest, SaysWhyThereIsNoConnection) {
  OriginAddress origin;
  {
    origin = FakeServer([](const std::string&) { return ""; }).origin();
  }
  const absl::Status status = Fetcher(origin).Fetch(Get()).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("refused"));
  origin.host = "localhost";
  EXPECT_TRUE(absl::IsInvalidArgument(Fetcher(origin).Fetch(Get()).status()));
}

TEST(FetcherTest, RefusesRequestsThatCouldBeSmuggled) {
  Fetcher fetcher({"127.0.0.1", 1});
  for (const char* target : {"", "a", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(fetcher.Fetch(Get(target)).status())) << target;
  }
  FetchRequest request = Get();
  request.host = "a\r\nb";
  EXPECT_TRUE(absl::IsInvalidArgument(fetcher.Fetch(request).status()));
  request = Get();
  request.accept_encoding = "gzip\r\nX: y";
  EXPECT_TRUE(absl::IsInvalidArgument(fetcher.Fetch(request).status()));
  request = Get();
  request.range = "bytes=0-0\r\nX: y";
  EXPECT_TRUE(absl::IsInvalidArgument(fetcher.Fetch(request).status()));
}

// A web server in small: one file, with validators, HEAD and 304.
std::string Site(const std::string& request, const std::string& validators,
                 const std::string& body = "hello") {
  const std::string get = Ok(body, validators);
  if (request.starts_with("HEAD ")) return HeaderOf(get);
  if (request.find("\r\nIf-") != std::string::npos) {
    return "HTTP/1.1 304 Not Modified\r\n" + std::string(kDate) + validators + "\r\n";
  }
  return get;
}

TEST(FetchObjectTest, BringsAllThreeParts) {
  const std::string both = "ETag: W/\"e\"\r\nLast-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n";
  const std::string modified = "Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n";
  for (const std::string& validators : {both, modified, std::string()}) {
    std::string all;
    FakeServer server([&](const std::string& request) {
      all += request;
      return Site(request, validators);
    });
    const auto object = Fetcher(server.origin()).FetchObject("site.test", "/a", "gzip");
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->refused, "");
    EXPECT_EQ(object->get, Ok("hello", validators));
    EXPECT_EQ(object->head, HeaderOf(object->get));
    EXPECT_EQ(object->not_modified.empty(), validators.empty());
    EXPECT_EQ(all.find("If-None-Match: W/\"e\"\r\n") != std::string::npos, validators == both);
    EXPECT_EQ(all.find("If-Modified-Since: Sun, 06") != std::string::npos, validators == modified);
    EXPECT_THAT(all, StartsWith("GET /a HTTP/1.1\r\nHost: site.test\r\nAccept-Encoding: gzip\r\n"));
  }
}

TEST(FetchObjectTest, ABusyServerIsLeftAloneFromThenOn) {
  const std::string busy = "HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
  for (int at = 0; at < 4; ++at) {
    int requests = 0;
    FakeServer server([&](const std::string& request) {
      return requests++ == at ? busy : Site(request, "ETag: \"e\"\r\n");
    });
    Fetcher fetcher(server.origin());
    const auto object = fetcher.FetchObject("h", "/", std::nullopt);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(object->busy, busy) << at;
    EXPECT_EQ(object->refused, "status") << at;
    EXPECT_EQ(requests, at + 1);
  }
}

TEST(FetchObjectTest, RefusesWhatChangesFromOneRequestToTheNext) {
  int n = 0;
  FakeServer server([&](const std::string& r) { return Site(r, "", "n" + std::to_string(n++)); });
  EXPECT_EQ(Fetcher(server.origin()).FetchObject("s", "/a", std::nullopt)->refused, "volatile");
}

TEST(FetchObjectTest, ADateThatMovesIsNoChange) {
  int n = 0;
  FakeServer server([&](const std::string& request) {
    std::string answer = Site(request, "");
    return answer.replace(answer.find(":37 GMT"), 3, ":" + std::to_string(10 + n++));
  });
  EXPECT_EQ(Fetcher(server.origin()).FetchObject("s", "/a", std::nullopt)->refused, "");
}

TEST(FetchObjectTest, GivesTheReasonOfAResponseThatMayNotBeCached) {
  FakeServer chunked([](const std::string&) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  });
  EXPECT_EQ(Fetcher(chunked.origin()).FetchObject("s", "/", {})->refused, "transfer_encoding");
  FakeServer large([](const std::string&) { return Ok(std::string(100000, 'x')); });
  EXPECT_EQ(Fetcher(large.origin()).FetchObject("s", "/", {})->refused, "too_large");
  FakeServer missing(
      [](const std::string&) { return "HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"; });
  EXPECT_EQ(Fetcher(missing.origin()).FetchObject("s", "/", {})->refused, "status");
}

// A server that answers ranges: what it says to each is what `change` makes of it.
class RangeServer {
 public:
  using Change = std::function<void(const std::string& range, std::string& answer)>;
  explicit RangeServer(
      size_t bytes, Change change = [](const auto&, auto&) {})
      : body_(bytes, 'b'),
        server_([this, change](const std::string& r) { return Say(r, change); }) {
    body_.front() = 'a';
    body_.back() = 'z';
  }
  std::string Get() const { return Ok(body_, kFields); }
  absl::StatusOr<FetchedObject> Fetch() {
    FetchLimits limits;
    limits.response_bytes = 1u << 20;
    return Fetcher(server_.origin(), limits).FetchObject("s", "/a", std::nullopt);
  }
  std::vector<std::string> asked() const { return asked_; }  // "GET", "HEAD", "304" or a range

 private:
  static constexpr char kFields[] = "ETag: \"e\"\r\nAccept-Ranges: bytes\r\n";
  std::string Say(const std::string& request, const Change& change) {
    const size_t at = request.find("Range: ");
    std::string range, answer = Site(request, kFields, body_);
    if (at == std::string::npos) {
      range =
          request.find("If-") != std::string::npos ? "304" : request.substr(0, request.find(' '));
    } else {
      range = request.substr(at + 7, request.find('\r', at) - at - 7);
      const size_t first = range == kLastByte ? body_.size() - 1 : 0;
      const size_t last = range == kFirstByte ? 0 : body_.size() - 1;
      const std::string part = body_.substr(first, last - first + 1);
      answer = "HTTP/1.1 206 Partial Content\r\n" + std::string(kDate) + "ETag: \"e\"\r\n" +
               "Content-Length: " + std::to_string(part.size()) + "\r\nContent-Range: bytes " +
               std::to_string(first) + "-" + std::to_string(last) + "/" +
               std::to_string(body_.size()) + "\r\n\r\n" + part;
    }
    asked_.push_back(range);
    change(range, answer);
    return answer;
  }
  std::string body_;
  std::vector<std::string> asked_;
  FakeServer server_;
};

using Asked = std::vector<std::string>;

TEST(FetchObjectTest, BringsASampleOfTheRangesOfWhatIsLarge) {
  RangeServer server(50000);
  const auto object = server.Fetch();
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->refused, "");
  EXPECT_THAT(object->partial, HasSubstr("Content-Range: bytes 0-0/50000\r\n\r\na"));
  EXPECT_EQ(server.asked(), (Asked{"GET", "HEAD", "304", kFirstByte, kLastByte, kWhole}));
  RangeServer small(10000);
  EXPECT_EQ(small.Fetch()->partial, "");
  EXPECT_EQ(small.asked(), (Asked{"GET", "HEAD", "304", "GET"}));
}

TEST(FetchObjectTest, LeavesRangesToAServerThatAnswersThemOtherwise) {
  for (const std::string odd : {kFirstByte, kLastByte, kWhole}) {
    for (int how = 0; how < 5; ++how) {
      SCOPED_TRACE(odd + " " + std::to_string(how));
      RangeServer server(50000, [&](const std::string& range, std::string& answer) {
        if (range != odd) return;
        if (how == 0) answer = server.Get();
        if (how == 1) answer.insert(answer.find("ETag"), "X-Range: it is one\r\n");
        if (how == 2) answer.back() ^= 1;
        if (how == 3) answer = "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n";
        if (how == 4) answer = "";
      });
      const auto object = server.Fetch();
      ASSERT_TRUE(object.ok()) << object.status();
      EXPECT_EQ(object->refused, "");
      EXPECT_EQ(object->partial, "");
      EXPECT_EQ(server.asked().back(), "GET") << "the last answer is to be the same as the first";
    }
  }
  RangeServer none(50000, [](const std::string& range, std::string& answer) {
    if (const size_t at = answer.find("Accept-Ranges: bytes"); range == "GET" && at != answer.npos)
      answer.replace(at + 15, 5, "none ");
  });
  EXPECT_EQ(none.Fetch()->partial, "");
  EXPECT_EQ(none.asked(), (Asked{"GET", "HEAD", "304", "GET"}));
}

TEST(FetchObjectTest, AChangeMeanwhileIsSeenByTheWholeRange) {
  RangeServer server(50000, [n = 0](const std::string& range, std::string& answer) mutable {
    if (range == kWhole || (range == "GET" && n++ > 0)) answer.replace(answer.size() - 9, 1, "!");
  });
  EXPECT_EQ(server.Fetch()->refused, "volatile");
}

TEST(FetchObjectTest, AServerThatIsBusyWithARangeKeepsItsRanges) {
  for (const std::string at : {kFirstByte, kLastByte, kWhole}) {
    for (const bool with_all : {false, true}) {
      RangeServer server(50000,
                         [&, busy = false](const std::string& range, std::string& answer) mutable {
                           busy |= range == at;
                           if (range == at || (with_all && busy))
                             answer = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
                         });
      const auto object = server.Fetch();
      ASSERT_TRUE(object.ok()) << object.status();
      EXPECT_EQ(object->busy.empty(), !with_all);
      EXPECT_EQ(object->refused, with_all ? "status" : "");
      EXPECT_EQ(object->partial, "");
      EXPECT_EQ(server.asked().back(), "GET");
    }
  }
}

TEST(FetchObjectTest, DoesWithoutHeadAndNotModified) {
  FakeServer server([](const std::string& request) {
    if (request.starts_with("HEAD ")) return std::string("HTTP/1.1 405 No\r\n\r\n");
    return Ok("hello", "ETag: \"e\"\r\n");  // ignores If-None-Match
  });
  const auto object = Fetcher(server.origin()).FetchObject("s", "/a", std::nullopt);
  EXPECT_EQ(object->refused, "");
  EXPECT_EQ(object->head, "");
  EXPECT_EQ(object->not_modified, "");
}

}  // namespace
}  // namespace wb::cache
