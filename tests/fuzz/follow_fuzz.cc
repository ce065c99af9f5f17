// SPDX-License-Identifier: Apache-2.0
// The data path's following of the kernel's responses. Input: one byte of how many responses are
// awaited, one of which of them answer a HEAD, one that cuts the stream into packets, then the
// stream. A plain reader of RFC 9112 reads the same stream as a whole: as long as the data path
// does not say that it is lost, at the end of each packet as many responses have ended for both;
// and it is not lost in what is plain.
#include <random>

#include "tests/fuzz/datapath.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {
namespace {

// The data path waits for so many bytes before it says anything of a header.
constexpr size_t kShortest = 16;
// More in one packet may be too many for it.
constexpr int kPlainChunks = 12;

struct Reading {
  std::vector<size_t> ends;  // of responses, in the stream; the last may be beyond it
  std::vector<bool> chunked;
  size_t bad = std::string_view::npos;  // whoever has read so far and does not call it bad is wrong
  size_t plain = 0;                     // so far nothing is unusual
};

// As any web server writes a header, short enough for the data path's buffer.
bool IsPlain(const Head& head) {
  if (head.end > 1000 || head.lines.size() > 40) return false;
  for (size_t i = 0; i < head.lines.size(); ++i) {
    const std::string line = Lower(head.lines[i]);
    for (const char c : line)
      if (c < 0x20 || c > 0x7e) return false;
    if (i == 0) continue;
    const size_t name = line.find(": ");
    if (name == std::string::npos || line.starts_with("connection")) return false;
    if (line.starts_with("content-length") && (name != 14 || line.size() > 25 || line[16] == ' '))
      return false;
    if (line.starts_with("transfer-encoding") && line != "transfer-encoding: chunked") return false;
    if (line.starts_with("content-length") && !Decimal(line.substr(16))) return false;
  }
  return true;
}

// Of a body, 0 when there is none; nothing: nobody can tell.
struct Body {
  bool chunked = false;
  uint64_t bytes = 0;
};
std::optional<Body> ReadBody(const Head& head, bool to_head) {
  const std::string_view status = head.lines[0];
  if (!status.starts_with("HTTP/1.1 ") || !Decimal(status.substr(9, 3))) return std::nullopt;
  const uint64_t code = *Decimal(status.substr(9, 3));
  std::optional<std::string> length;
  bool chunked = false;
  for (size_t i = 0; i < head.lines.size(); ++i) {
    for (const char c : head.lines[i])
      if ((static_cast<uint8_t>(c) < 0x20 && c != '\t') || c == 0x7f) return std::nullopt;
    if (i == 0) continue;
    if (head.lines[i][0] == ' ' || head.lines[i][0] == '\t') return std::nullopt;
    const auto field = ReadField(head.lines[i]);
    if (!field) continue;
    if (field->name == "content-length") {
      if (length) return std::nullopt;
      length = field->value;
    } else if (field->name == "transfer-encoding") {
      if (chunked || Lower(field->value) != "chunked") return std::nullopt;
      chunked = true;
    }
  }
  if (code < 200) return std::nullopt;
  if (to_head || code == 204 || code == 304) return Body{};
  if (chunked == length.has_value()) return std::nullopt;
  if (chunked) return Body{.chunked = true};
  const auto bytes = Decimal(*length);
  if (!bytes) return std::nullopt;
  return Body{.bytes = *bytes};
}

// The end of a chunked body that begins at `at`; npos when it is beyond the stream. *bad: see
// Reading.
size_t ReadChunks(std::string_view stream, size_t at, size_t* bad, size_t* plain) {
  for (int chunks = 0;; ++chunks) {
    const size_t line = at;
    if (chunks < kPlainChunks) *plain = line;
    uint64_t size = 0;
    while (at < stream.size() && at - line < 8) {
      const std::string_view digits = "0123456789abcdef";
      const size_t digit = digits.find(Lower(stream.substr(at, 1)));
      if (digit == std::string_view::npos) break;
      size = size * 16 + digit;
      ++at;
    }
    if (at - line > 7) chunks = kPlainChunks;
    if (stream.size() - at < 2) return std::string_view::npos;
    if (at == line || stream.substr(at, 2) != "\r\n") {
      *bad = at + 2;
      return std::string_view::npos;
    }
    at += 2;
    if (size != 0) {
      at += size + 2;
      if (at > stream.size()) return std::string_view::npos;
      continue;
    }
    if (stream.size() - at < 2) return std::string_view::npos;
    if (stream.substr(at, 2) == "\r\n") return at + 2;
    *bad = at + 2;
    return std::string_view::npos;
  }
}

Reading Read(std::string_view stream, uint32_t pending, uint32_t head_mask) {
  Reading r;
  size_t at = 0, plain = 0;
  for (uint32_t i = 0; i < pending && at <= stream.size(); ++i) {
    const auto head = ReadHead(stream.substr(at));
    if (!head) return r;
    const auto body = ReadBody(*head, (head_mask >> i) & 1);
    if (!body) {
      r.bad = at + std::max(head->end, kShortest);
      return r;
    }
    const bool goes_on = r.plain == at && IsPlain(*head);
    at += head->end;
    at = body->chunked ? ReadChunks(stream, at, &r.bad, &plain) : at + body->bytes;
    if (!body->chunked) plain = at;
    if (goes_on) r.plain = plain;
    if (at == std::string_view::npos) return r;
    if (goes_on && body->chunked && stream.substr(plain).starts_with("0\r\n")) r.plain = at;
    r.ends.push_back(at);
    r.chunked.push_back(body->chunked);
  }
  if (r.ends.size() == pending) r.bad = at + 1;  // nothing was awaited any more
  return r;
}

void CheckAt(size_t at, uint32_t pending, const Reading& r) {
  const dp_progress s = dp_follow_state();
  FUZZ_CHECK(!s.lost || at > r.plain, "lost in what is plain up to %zu", r.plain);
  if (s.lost) return;
  FUZZ_CHECK(at < r.bad, "follows beyond %zu, where nothing is certain", r.bad);
  const size_t done = pending - s.pending;
  size_t ended = 0;
  while (ended < r.ends.size() && r.ends[ended] <= at) ++ended;
  FUZZ_CHECK(done == ended, "%zu responses have ended, not %zu, at %zu", done, ended, at);
  FUZZ_CHECK(s.idle == (s.pending == 0), "idle with %u awaited", s.pending);
  if (s.left != 0 && done < r.ends.size() && !r.chunked[done])
    FUZZ_CHECK(at + s.left == r.ends[done], "%u bytes left, not %zu", s.left, r.ends[done] - at);
}

// most: bytes of a packet, 0: all in one.
void One(std::string_view stream, uint32_t pending, uint32_t head_mask, const Reading& r,
         size_t most, uint8_t seed) {
  std::minstd_rand random(seed);
  dp_follow_begin(pending, head_mask, seed);
  for (size_t at = 0; at < stream.size();) {
    size_t n = stream.size() - at;
    if (most != 0) n = std::min<size_t>(n, 1 + random() % most);
    dp_follow(Bytes(stream) + at, static_cast<uint32_t>(n));
    at += n;
    CheckAt(at, pending, r);
  }
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const uint32_t pending = 1 + data[0] % 8, head_mask = data[1];
  const std::string_view stream = wb::fuzz::Text(data + 3, size - 3);
  const wb::fuzz::Reading reading = wb::fuzz::Read(stream, pending, head_mask);
  constexpr size_t kMost[] = {1, 3, 40, 600};
  wb::fuzz::One(stream, pending, head_mask, reading, 0, data[2]);
  wb::fuzz::One(stream, pending, head_mask, reading, kMost[data[2] % 4], data[2]);
  return 0;
}
