// SPDX-License-Identifier: Apache-2.0
#include "booster/http/append.h"
#include "booster/http/write.h"

namespace wb::http {
namespace {

class ResponseWriter {
 public:
  ResponseWriter(const ResponseHead& head, const ResponseOptions& options, std::string& out)
      : head_(head), options_(options), out_(out) {
    sent_ = {.framing = head.framing, .keep_alive = options.keep_alive};
    if (head.framing == Framing::kChunked || head.framing == Framing::kClose) {
      sent_.framing = options.minor > 0 ? Framing::kChunked : Framing::kClose;
      if (sent_.framing == Framing::kClose) sent_.keep_alive = false;
    }
  }

  Sent Write() {
    out_.append("HTTP/1.1 ");
    AppendNumber(out_, static_cast<uint64_t>(head_.status));
    Append(out_, {" ", head_.reason, "\r\n"});
    for (const Field& field : head_.fields) {
      if (Passes(field)) AppendField(out_, field.name, field.value);
    }
    const Field* date = head_.fields.Find(Name::kDate);
    if (head_.status >= 200 && !options_.date.empty() && (!date || date->connection_named)) {
      AppendField(out_, "Date", options_.date);
    }
    if (sent_.framing == Framing::kChunked) {
      AppendField(out_, "Transfer-Encoding", "chunked");
    } else if (head_.content_length) {
      AppendContentLength(out_, *head_.content_length);
    }
    AppendVia(out_, head_.minor == 0 ? "1.0" : "1.1", options_.via);
    AppendConnection();
    out_.append("\r\n");
    return sent_;
  }

 private:
  bool UpgradeKept() const { return head_.status == 101 || head_.status == 426; }

  bool Passes(const Field& field) const {
    if (field.info.id == Name::kUpgrade) return UpgradeKept();
    if (field.connection_named) return false;
    if (field.info.id == Name::kTrailer) return sent_.framing == Framing::kChunked;
    return (field.info.flags & kHopByHop) == 0;
  }

  // RFC 9112, 9.3 and 9.6.
  void AppendConnection() {
    if (head_.interim()) return;
    const bool close = !sent_.keep_alive && head_.status != 101;
    if (UpgradeKept()) {
      AppendField(out_, "Connection", close ? "upgrade, close" : "upgrade");
    } else if (close) {
      AppendField(out_, "Connection", "close");
    } else if (options_.minor == 0) {
      AppendField(out_, "Connection", "keep-alive");
    }
  }

  const ResponseHead& head_;
  const ResponseOptions& options_;
  std::string& out_;
  Sent sent_;
};

}  // namespace

Sent WriteResponse(const ResponseHead& head, const ResponseOptions& options, std::string& out) {
  return ResponseWriter(head, options, out).Write();
}

void WriteChunkHead(uint64_t bytes, std::string& out) {
  AppendNumber(out, bytes, 16);
  out.append("\r\n");
}

void WriteLastChunk(std::span<const Field> trailers, std::string& out) {
  out.append("0\r\n");
  for (const Field& field : trailers) AppendField(out, field.name, field.value);
  out.append("\r\n");
}

}  // namespace wb::http
