// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages of the booster. Input: a byte whose lowest bits choose, then what comes on a
// connection: 0, 1 requests, 2 a response, 3 requests under small limits. A second reader
// (slow_http.h) must understand the same, pieces must not matter, and what is sent on must read
// as the same message without the fields that end here.
#include "booster/http/write.h"
#include "tests/fuzz/slow_http.h"
#include "tests/unit/booster_http_stream.h"

namespace wb::fuzz {
namespace {

using http::BodyReader;
using http::Framing;
using http::Limits;
using http::State;

constexpr Limits kLimits;

std::string Word(Framing framing, uint64_t length) {
  switch (framing) {
    case Framing::kNone:
      return "none";
    case Framing::kLength:
      return std::to_string(length);
    case Framing::kChunked:
      return "chunked";
    case Framing::kClose:
      return "close";
  }
  return "";
}

void CheckFields(const http::Fields& fields, const SlowMessage& slow) {
  FUZZ_CHECK(fields.size() == slow.fields.size(), "%zu fields", fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    FUZZ_CHECK(Lower(fields[i].name) == slow.fields[i].name, "name of %zu", i);
    FUZZ_CHECK(fields[i].value == slow.fields[i].value, "value of %zu", i);
  }
}

bool Named(const SlowMessage& m, const std::string& name) {
  for (const std::string& list : m.All("connection"))
    for (const std::string& option : SlowMembers(list))
      if (Lower(option) == name) return true;
  return false;
}

// Whether a field of the message may be in what is sent on, ours aside.
bool EndsHere(const SlowMessage& m, const std::string& name, bool request) {
  static const std::vector<std::string> kEnd = {"connection",
                                                "keep-alive",
                                                "proxy-connection",
                                                "te",
                                                "transfer-encoding",
                                                "content-length",
                                                "host",
                                                "wb-key",
                                                "expect",
                                                "upgrade",
                                                "proxy-authorization",
                                                "proxy-authenticate",
                                                "http2-settings",
                                                "proxy-authentication-info"};
  std::string dashed = name;
  std::ranges::replace(dashed, '_', '-');
  if (std::ranges::find(kEnd, dashed) != kEnd.end() || Named(m, name)) return true;
  return request &&
         (dashed == "forwarded" || dashed == "x-real-ip" || dashed.starts_with("x-forwarded-"));
}

// Fields of `sent` are those of `m` that go on, in their order, then ours.
void CheckSent(const SlowMessage& m, const SlowMessage& sent, bool request) {
  size_t at = request ? 1 : 0;  // Host
  for (const FieldLine& field : m.fields) {
    if (field.name == "trailer" || field.name == "max-forwards" || field.name == "upgrade" ||
        Lower(field.name).find('_') != std::string::npos)
      continue;
    if (EndsHere(m, field.name, request)) continue;
    while (at < sent.fields.size() &&
           (sent.fields[at].name != field.name || sent.fields[at].value != field.value))
      ++at;
    FUZZ_CHECK(at < sent.fields.size(), "%s is lost", field.name.c_str());
    ++at;
  }
  for (const FieldLine& field : sent.fields) {
    if (field.name == "host" || field.name == "content-length" || field.name == "via" ||
        field.name == "transfer-encoding" || field.name == "max-forwards" ||
        field.name == "upgrade" || field.name == "connection" || field.name == "trailer")
      continue;
    FUZZ_CHECK(!EndsHere(m, field.name, request), "%s is sent on", field.name.c_str());
  }
}

void CheckRequest(const http::RequestHead& head, const SlowMessage& slow) {
  FUZZ_CHECK(head.method == slow.method, "method");
  FUZZ_CHECK(std::string(head.target.path) + std::string(head.target.query) == slow.path, "path");
  FUZZ_CHECK(Lower(slow.host).starts_with(Lower(head.authority.host)), "host");
  FUZZ_CHECK(Word(head.framing, head.content_length) == slow.framing, "framing");
  CheckFields(head.fields, slow);
  std::string out;
  http::WriteRequest(head, {.forwarded = false, .x_forwarded = false, .via = "wb", .host = "d"},
                     out);
  const auto sent = SlowRequest(out);
  FUZZ_CHECK(sent && sent->used == out.size(), "what is sent: %s", out.c_str());
  FUZZ_CHECK(sent->method == slow.method && sent->path == slow.path, "request line sent");
  const bool made = slow.framing == "none" && sent->framing == "0";
  FUZZ_CHECK(made || sent->framing == slow.framing, "framing sent: %s", out.c_str());
  FUZZ_CHECK(sent->fields[0].name == "host", "first field");
  FUZZ_CHECK(!Named(*sent, "upgrade") && sent->All("host").size() == 1, "fields sent");
  CheckSent(slow, *sent, true);
}

// Of a whole body; what is behind it.
std::optional<std::string_view> CheckBody(std::string_view text, Framing framing, uint64_t length) {
  BodyReader reader(kLimits, http::Role::kRequest, framing, length);
  std::string payload;
  std::string_view rest = text;
  BodyReader::Step step;
  do {
    step = reader.Read(rest);
    payload += step.payload;
    rest.remove_prefix(step.used);
  } while (step.state == State::kMore && step.used > 0);
  const bool whole = step.state == State::kComplete;
  if (framing != Framing::kChunked) {
    FUZZ_CHECK(whole == (framing == Framing::kNone || length <= text.size()), "length");
    if (whole) FUZZ_CHECK(payload == text.substr(0, payload.size()), "payload");
    return whole ? std::optional(rest) : std::nullopt;
  }
  const auto slow = SlowChunked(text);
  FUZZ_CHECK(whole == slow.has_value(), "chunked: %d, refused %.*s", whole,
             static_cast<int>(step.refusal.reason.size()), step.refusal.reason.data());
  if (!whole) return std::nullopt;
  FUZZ_CHECK(payload == slow->payload && rest == text.substr(slow->used), "chunks");
  for (const http::Field& trailer : reader.trailers()) {
    const bool there = std::ranges::any_of(slow->trailers, [&](const FieldLine& field) {
      return field.name == Lower(trailer.name) && field.value == trailer.value;
    });
    FUZZ_CHECK(there && !EndsHere({}, Lower(trailer.name), true), "trailer");
  }
  return rest;
}

void Requests(std::string_view text) {
  for (std::optional<std::string_view> rest = text; rest && !rest->empty();) {
    http::RequestParser parser(kLimits);
    const http::Progress progress = parser.Parse(*rest);
    const auto slow = SlowRequest(*rest);
    const std::string reason(progress.refusal.reason);
    if (progress.state != State::kComplete) {
      // An address in brackets is checked by ours alone.
      const bool address = rest->find('[') != std::string_view::npos;
      FUZZ_CHECK(!slow || address, "%d: %s", static_cast<int>(progress.state), reason.c_str());
      if (progress.state == State::kRefused && !address)
        FUZZ_CHECK(!SlowRequest(std::string(*rest) + "\r\n\r\n"), "early: %s", reason.c_str());
      return;
    }
    FUZZ_CHECK(slow && slow->used == progress.used, "accepted: %.*s",
               static_cast<int>(progress.used), rest->data());
    const http::RequestHead& head = parser.head();
    CheckRequest(head, *slow);
    rest = CheckBody(rest->substr(progress.used), head.framing, head.content_length);
  }
}

void Response(std::string_view text) {
  http::ResponseParser parser(kLimits, {});
  const http::Progress progress = parser.Parse(text);
  const auto slow = SlowResponse(text);
  if (progress.state != State::kComplete) {
    FUZZ_CHECK(!slow, "%.*s", static_cast<int>(progress.refusal.reason.size()),
               progress.refusal.reason.data());
    FUZZ_CHECK(progress.state == State::kMore || progress.refusal.status == 502, "status");
    return;
  }
  const http::ResponseHead& head = parser.head();
  FUZZ_CHECK(slow && slow->used == progress.used, "accepted");
  FUZZ_CHECK(Word(head.framing, head.content_length.value_or(0)) == slow->framing, "framing");
  FUZZ_CHECK(std::to_string(head.status) == slow->target, "status");
  CheckFields(head.fields, *slow);
  for (const int minor : {0, 1}) {
    std::string out;
    const http::Sent as = http::WriteResponse(head, {.minor = minor, .via = "wb"}, out);
    const auto sent = SlowResponse(out);
    FUZZ_CHECK(sent && sent->used == out.size(), "what is sent: %s", out.c_str());
    FUZZ_CHECK(Word(as.framing, head.content_length.value_or(0)) == sent->framing, "sent");
    FUZZ_CHECK(as.framing != Framing::kClose || Named(*sent, "close"), "close");
    FUZZ_CHECK(minor > 0 || as.framing != Framing::kChunked, "chunked to HTTP/1.0");
    CheckSent(*slow, *sent, false);
  }
}

// One size for each input, as each piece costs a copy of what came before.
void Pieces(std::string_view text, const Limits& limits) {
  static constexpr size_t kSizes[] = {1, 2, 3, 5, 7, 16, 64};
  size_t sum = 0;
  for (const char c : text) sum += static_cast<uint8_t>(c);
  const size_t piece = std::max(kSizes[sum % std::size(kSizes)], text.size() / 200);
  const std::vector<std::string> whole = http::ReadRequests(text, 0, limits);
  FUZZ_CHECK(http::ReadRequests(text, piece, limits) == whole, "pieces of %zu", piece);
}

void One(std::string_view text) {
  if (text.empty() || text.size() > 8000) return;
  const int kind = text[0] & 3;
  text.remove_prefix(1);
  if (kind == 2) return Response(text);
  if (kind < 2) {
    Requests(text);
    return Pieces(text, kLimits);
  }
  Pieces(text, {.method_bytes = 5,
                .target_bytes = 12,
                .line_bytes = 40,
                .head_bytes = 150,
                .fields = 4,
                .connection_options = 2,
                .body_bytes = 9,
                .chunk_line_bytes = 6,
                .extension_bytes = 8,
                .trailer_bytes = 20,
                .trailer_fields = 2,
                .lax_query = true});
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wb::fuzz::One(wb::fuzz::Text(data, size));
  return 0;
}
