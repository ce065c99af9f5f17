// SPDX-License-Identifier: Apache-2.0
// A client's connection over HTTP/2 without sockets or origins: the client's side is frames that
// the test writes, or nghttp2's client; the origin's side is an upstream that does what the test
// says.
#ifndef TESTS_UNIT_FRONT_H2_FIXTURE_H_
#define TESTS_UNIT_FRONT_H2_FIXTURE_H_

#include <nghttp2/nghttp2.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "booster/front/client_table.h"
#include "booster/front/connection.h"
#include "booster/front/services.h"
#include "booster/link/exchange.h"
#include "booster/net/event_loop.h"
#include "booster/net/stream.h"
#include "webbooster/base/unique_fd.h"

namespace wb::front {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// A connection in memory.
class MemoryStream final : public net::Stream {
 public:
  MemoryStream();
  int fd() const override { return fd_.get(); }
  ssize_t Read(char* to, size_t most) override;
  ssize_t Write(std::span<const iovec> pieces) override;
  void Shutdown() override { shut = true; }
  unsigned Wants(bool, bool) const override { return 0; }
  std::string_view alpn() const override { return protocol; }
  std::string_view server_name() const override { return "www.example.com"; }
  bool encrypted() const override { return true; }
  bool MayServe(std::string_view host) const override { return host != "shop.test"; }
  // An event for the loop.
  void Poke();

  std::string in;          // from the client
  std::string out;         // to it
  size_t room = 64 << 20;  // that out may still grow by
  size_t writes = 0;       // calls that took something
  bool ended = false;      // the client's FIN, behind `in`
  std::string_view protocol = "h2";
  bool shut = false;  // ours

 private:
  base::UniqueFd fd_;
};

class FakeUpstream;

// An exchange as the test sees it. It stays when it is over.
class FakeExchange final : public link::Exchange {
 public:
  FakeExchange(const link::Ask& ask, link::Client& client, size_t room);
  size_t Room() const override { return over ? 0 : room; }
  void SetTrailers(std::span<const http::Field> fields) override {
    for (const http::Field& field : fields) {
      trailers.append(field.name).append(": ").append(field.value).append("\n");
    }
  }
  void SendBody(std::string_view payload, bool end) override;
  void Pause(bool pause) override;
  void Cancel() override { over = cancelled = true; }

  // `text`: a head as an origin sends it, without the empty line.
  void Head(std::string_view text);
  void Body(std::string_view payload) { client_.OnBody(payload); }
  void End(const Pairs& trailers = {});
  void Fail(http::Refusal refusal);
  void GiveRoom(size_t more);

  std::string request;  // as it would be written to an origin
  uint32_t domain = 0;
  std::string body;
  std::string trailers;
  bool body_ended = false;
  bool paused = false;
  bool cancelled = false;
  bool over = false;
  size_t room;

 private:
  link::Client& client_;
  bool head_asked_ = false;
};

class FakeUpstream final : public link::Upstream {
 public:
  link::Exchange* Start(const link::Ask& ask, link::Client& client) override;
  std::vector<std::unique_ptr<FakeExchange>> exchanges;
  size_t room = 1 << 20;                      // of new ones
  std::function<void(FakeExchange&)> answer;  // by Front::Turn(); none: the test does
};

// The connection with all that it needs.
class Front final : private ConnectionOwner, private AccessLog {
 public:
  explicit Front(const std::function<void(Config&)>& change = {}, std::string_view alpn = "h2");
  ~Front();

  // Turns of the loop, until nothing is left to do at once.
  void Turn();
  // Turns until `done` (or, after 10 s, not).
  bool Wait(const std::function<bool()>& done);
  void Send(std::string_view bytes);  // and Turn()
  bool open() const { return connection_ != nullptr; }
  // Our side has ended it; with a reset, or in order.
  bool finished() const { return !connection_ || stream->shut; }
  uint64_t ended(End why) const { return counters.ended[static_cast<size_t>(why)].get(); }

  FakeUpstream upstream;
  WorkerCounters counters{2};
  MemoryStream* stream = nullptr;    // as long as the connection is open
  std::string out;                   // what it had written when it ended
  std::vector<std::string> log;      // "protocol method host target status bytes"
  std::vector<std::string> reasons;  // of the same: "status reason"; without one, an origin's
  std::unique_ptr<net::EventLoop> loop;
  std::vector<char> scratch = std::vector<char>(64 << 10);
  std::optional<Services> services;
  Connection& connection() { return *connection_; }

 private:
  void ConnectionEnded(Connection& connection) override;
  void Write(const LogRecord& record) override;

  ClientTable clients_{1024};
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Connection> ended_;
};

// What a client got on a stream.
struct Reply {
  int status = 0;
  Pairs fields;  // without :status
  std::string body;
  Pairs trailers;
  std::vector<int> interim;
  bool ended = false;  // END_STREAM
  bool closed = false;
  uint32_t error = 0;  // of RST_STREAM

  std::string Value(std::string_view name) const;
};

// nghttp2's client on a Front.
class H2Client {
 public:
  struct Options {
    bool give_window = true;  // WINDOW_UPDATE as data comes
    uint32_t window = 65535;  // of each stream
    size_t piece = 0;         // what it sends comes in pieces of so many bytes; 0: whole
  };
  explicit H2Client(Front& front) : H2Client(front, Options{}) {}
  H2Client(Front& front, const Options& options);
  ~H2Client();

  // Of a request to www.example.com; `body`: none, or what is sent by END_STREAM.
  int32_t Ask(const std::string& method, const std::string& path, const Pairs& more = {},
              std::optional<std::string> body = std::nullopt);
  // With these fields only; `open`: no END_STREAM.
  int32_t AskWith(const Pairs& fields, bool open = false);
  void Trailers(int32_t id, const Pairs& fields);
  void Reset(int32_t id, uint32_t code = NGHTTP2_CANCEL);
  void Widen(int32_t id, int32_t by);  // WINDOW_UPDATE
  // Both sides, until nothing moves.
  void Run();

  Reply& at(int32_t id) { return replies[id]; }
  nghttp2_session* h2() { return h2_; }

  std::map<int32_t, Reply> replies;
  std::vector<uint32_t> goaways;          // error codes
  std::vector<int32_t> goaway_streams;    // last stream ids
  std::map<uint32_t, uint32_t> settings;  // of the server

 private:
  friend struct ClientCallbacks;
  struct Upload {
    std::string body;
    size_t sent = 0;
  };
  Front& front_;
  const Options options_;
  nghttp2_session* h2_ = nullptr;
  std::map<int32_t, Upload> uploads_;
  size_t taken_ = 0;  // of the front's output
};

// Frames by hand.
struct Frame {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;
};
std::string Raw(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
std::string Number32(uint32_t value);
// A header block of literals that are not indexed (RFC 7541, 6.2.2), whatever they are made of.
std::string Block(const Pairs& fields);
// The preface with empty SETTINGS.
std::string Preface();
// HEADERS with END_HEADERS and, unless `open`, END_STREAM.
std::string Headers(uint32_t stream, const Pairs& fields, bool open = false);
// :method GET of https://www.example.com/, and `more`.
Pairs Get(const Pairs& more = {});
// Whole frames of what was written.
std::vector<Frame> Parse(std::string_view bytes);
// The error code of the first frame of `type` (RST_STREAM, GOAWAY with an error) of `stream`.
std::optional<uint32_t> ErrorOf(const std::vector<Frame>& frames, uint8_t type, uint32_t stream);

}  // namespace wb::front

#endif  // TESTS_UNIT_FRONT_H2_FIXTURE_H_
