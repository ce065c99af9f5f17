// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/front_h2_fixture.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "booster/http/write.h"
#include "webbooster/base/check.h"

namespace wb::front {

MemoryStream::MemoryStream() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void MemoryStream::Poke() {
  const uint64_t one = 1;
  WB_CHECK(write(fd_.get(), &one, sizeof(one)) == sizeof(one), "an event");
}

ssize_t MemoryStream::Read(char* to, size_t most) {
  if (in.empty()) return ended ? 0 : -EAGAIN;
  const size_t n = in.copy(to, most);
  in.erase(0, n);
  return static_cast<ssize_t>(n);
}

ssize_t MemoryStream::Write(std::span<const iovec> pieces) {
  size_t taken = 0;
  for (const iovec& piece : pieces) {
    const size_t n = std::min(room, piece.iov_len);
    out.append(static_cast<const char*>(piece.iov_base), n);
    room -= n;
    taken += n;
  }
  if (taken > 0) ++writes;
  return taken > 0 ? static_cast<ssize_t>(taken) : -EAGAIN;
}

FakeExchange::FakeExchange(const link::Ask& ask, link::Client& client, size_t room)
    : domain(ask.domain), room(room), client_(client) {
  http::WriteRequest(*ask.head, {.client = ask.client, .scheme = ask.scheme, .via = "wb"}, request);
  head_asked_ = ask.head->method == "HEAD";
}

void FakeExchange::SendBody(std::string_view payload, bool end) {
  WB_CHECK(!over && !body_ended && payload.size() <= room, "as much as there is room for");
  body.append(payload);
  room -= payload.size();
  body_ended = end;
}

void FakeExchange::Pause(bool pause) {
  WB_CHECK(!over, "an exchange that goes on");
  paused = pause;
}

void FakeExchange::Head(std::string_view text) {
  const std::string head = std::string(text) + "\r\n";
  http::Limits limits;
  http::ResponseParser parser(limits, {.head = head_asked_});
  WB_CHECK(parser.Parse(head).state == http::State::kComplete, "a head");
  client_.OnHead(parser.head());
}

void FakeExchange::End(const Pairs& trailers) {
  over = true;
  std::vector<http::Field> fields;
  for (const auto& [name, value] : trailers) {
    fields.emplace_back();
    fields.back().name = name;
    fields.back().value = value;
  }
  client_.OnEnd(fields);
}

void FakeExchange::Fail(http::Refusal refusal) {
  over = true;
  client_.OnFailure(refusal);
}

void FakeExchange::GiveRoom(size_t more) {
  room += more;
  client_.OnRoom();
}

link::Exchange* FakeUpstream::Start(const link::Ask& ask, link::Client& client) {
  exchanges.push_back(std::make_unique<FakeExchange>(ask, client, room));
  return exchanges.back().get();
}

Front::Front(const std::function<void(Config&)>& change, std::string_view alpn)
    : loop(*net::EventLoop::Make()) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->config.domains.resize(2);
  snapshot->config.domains[0].name = "www.example.com";
  snapshot->config.domains[1].name = "shop.test";
  if (change) change(snapshot->config);
  const Limits& limits = snapshot->config.limits;
  snapshot->limits.head_bytes = snapshot->limits.line_bytes = limits.head_bytes;
  snapshot->limits.target_bytes = limits.target_bytes;
  snapshot->limits.fields = limits.fields;
  snapshot->limits.body_bytes = limits.body_bytes;
  snapshot->domains = {{"www.example.com", 0}, {"shop.test", 1}};
  snapshot->slots = {0, 1};
  for (const Domain& domain : snapshot->config.domains) {
    snapshot->policies.push_back(std::make_shared<Policy>(domain, clients_));
  }
  auto routes = std::make_shared<link::Routes>();
  routes->via = "wb";
  snapshot->routes = std::move(routes);
  services.emplace(*loop, upstream, counters, static_cast<AccessLog*>(this), scratch,
                   std::move(snapshot));
  auto made = std::make_unique<MemoryStream>();
  stream = made.get();
  stream->protocol = alpn;
  connection_ = std::make_unique<Connection>(
      *services, *static_cast<ConnectionOwner*>(this), std::move(made),
      Peer{.address = "192.0.2.1", .ip = *Address::Parse("192.0.2.1"), .encrypted = true},
      ClientTable::Place(), false);
  connection_->Begin();
}

Front::~Front() = default;

void Front::Turn() {
  for (int i = 0; i < 5; ++i) {
    net::Deferred nothing(*loop, [] {});
    nothing.Schedule();
    loop->Turn();
    ended_.reset();
    if (upstream.answer) {
      for (size_t k = 0; k < upstream.exchanges.size(); ++k)
        upstream.answer(*upstream.exchanges[k]);
    }
  }
}

bool Front::Wait(const std::function<bool()>& done) {
  const auto end = net::Clock::now() + std::chrono::seconds(10);
  while (!done() && net::Clock::now() < end) {
    net::Timer wake(*loop, [] {});
    wake.ArmIn(std::chrono::milliseconds(5));
    loop->Turn();
    ended_.reset();
  }
  return done();
}

void Front::Send(std::string_view bytes) {
  if (!open()) return;
  stream->in.append(bytes);
  stream->Poke();
  Turn();
}

void Front::ConnectionEnded(Connection&) {
  out = stream->out;
  stream = nullptr;
  ended_ = std::move(connection_);
}

void Front::Write(const LogRecord& record) {
  std::string line = record.protocol;
  for (const std::string_view word : {record.method, record.host, record.target}) {
    line.append(" ").append(word);
  }
  log.push_back(line + " " + std::to_string(record.status) + " " +
                std::to_string(record.body_bytes));
  reasons.push_back(std::to_string(record.status).append(" ").append(record.cause));
}

std::string Raw(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string frame = Number32(static_cast<uint32_t>(payload.size())).substr(1);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  return frame.append(Number32(stream)).append(payload);
}

std::string Number32(uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift);
  return bytes;
}

namespace {

// RFC 7541, 5.1 and 5.2, without Huffman.
std::string Literal(std::string_view text) {
  std::string out;
  size_t size = text.size();
  if (size < 127) {
    out += static_cast<char>(size);
  } else {
    out += '\x7f';
    for (size -= 127; size >= 128; size /= 128) out += static_cast<char>(size % 128 + 128);
    out += static_cast<char>(size);
  }
  return out.append(text);
}

}  // namespace

std::string Block(const Pairs& fields) {
  std::string block;
  for (const auto& [name, value] : fields) {
    block.append(1, '\0').append(Literal(name)).append(Literal(value));
  }
  return block;
}

std::string Preface() {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Raw(NGHTTP2_SETTINGS, 0, 0, "");
}

std::string Headers(uint32_t stream, const Pairs& fields, bool open) {
  return Raw(NGHTTP2_HEADERS, open ? 4 : 5, stream, Block(fields));
}

Pairs Get(const Pairs& more) {
  Pairs fields = {
      {":method", "GET"}, {":scheme", "https"}, {":authority", "www.example.com"}, {":path", "/"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

std::vector<Frame> Parse(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  std::vector<Frame> frames;
  while (bytes.size() >= 9) {
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (bytes.size() < 9 + size) break;
    frames.push_back({.type = static_cast<uint8_t>(byte(3)),
                      .flags = static_cast<uint8_t>(byte(4)),
                      .stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
                      .payload = std::string(bytes.substr(9, size))});
    bytes.remove_prefix(9 + size);
  }
  return frames;
}

std::optional<uint32_t> ErrorOf(const std::vector<Frame>& frames, uint8_t type, uint32_t stream) {
  for (const Frame& frame : frames) {
    if (frame.type != type || frame.stream != stream) continue;
    uint32_t code = 0;
    const size_t at = type == NGHTTP2_GOAWAY ? 4 : 0;
    for (size_t i = at; i < at + 4; ++i) code = code << 8 | static_cast<uint8_t>(frame.payload[i]);
    if (type != NGHTTP2_GOAWAY || code != NGHTTP2_NO_ERROR) return code;
  }
  return std::nullopt;
}

}  // namespace wb::front
