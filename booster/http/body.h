// SPDX-License-Identifier: Apache-2.0
// The body of a message in pieces (RFC 9112, 6 and 7): says which bytes of the input are payload.
// Payload is never copied; a trailer section is, as it comes in pieces. Not thread-safe.
//
// A chunk size has at most 16 digits, leading zeros included, and is followed by CRLF, or by
// optional white space and ";". Extensions are bounded, of text, and dropped (7.1.1).
#ifndef BOOSTER_HTTP_BODY_H_
#define BOOSTER_HTTP_BODY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "booster/http/fields.h"
#include "booster/http/message.h"
#include "booster/http/scanner.h"

namespace wb::http {

class BodyReader {
 public:
  // `limits` outlive it. `content_length`: of kLength. A refusal of a response is 502.
  BodyReader(const Limits& limits, Role role, Framing framing, uint64_t content_length);
  BodyReader(Limits&&, Role, Framing, uint64_t) = delete;
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  struct Step {
    State state = State::kMore;
    size_t used = 0;                // bytes of the input that are done with
    std::string_view payload = {};  // a part of these, maybe empty
    Refusal refusal = {};
  };
  // `input`: what comes next, beginning where the last step ended. To be called until `used` is all
  // of the input, or the state is not kMore; what is left then belongs to the next message.
  Step Read(std::string_view input);

  // The connection was closed. Whether the message is whole (RFC 9112, 8).
  bool Closed();

  // Behind a chunked body that is complete, without those that must not be trailers (RFC 9110,
  // 6.5.1) or be forwarded. Views of the reader's own memory.
  const std::vector<Field>& trailers() const { return trailers_; }

 private:
  enum class At : uint8_t {
    kDone,
    kBytes,  // Content-Length
    kUntilClose,
    kSize,
    kSpace,  // between size and ";"
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
    kRefused,
  };

  Step Payload(std::string_view input, At then);
  Step Frame(std::string_view input);
  Step Trailers(std::string_view input);
  Refusal Byte(char c);
  Refusal SizeByte(char c);
  Refusal SizeDone();
  Refusal ReadTrailers();
  Step Refuse(Refusal refusal);

  const Limits& limits_;
  Role role_;
  At at_ = At::kDone;
  uint64_t left_ = 0;  // of the chunk or body
  uint64_t size_ = 0;  // of the chunk, while it is read
  uint32_t digits_ = 0;
  size_t line_bytes_ = 0;  // of the chunk's first line, without CRLF
  size_t extensions_ = 0;  // of all chunks
  uint64_t total_ = 0;     // of all chunks
  Refusal refusal_;
  std::string trailer_text_;
  LineScanner scanner_;
  FieldSection section_;
  Fields fields_;
  std::vector<Field> trailers_;
};

}  // namespace wb::http

#endif  // BOOSTER_HTTP_BODY_H_
