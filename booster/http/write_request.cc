// SPDX-License-Identifier: Apache-2.0
#include "booster/http/append.h"
#include "booster/http/chars.h"
#include "booster/http/write.h"
#include "webbooster/abi/key_field.h"

namespace wb::http {
namespace {

bool IsDefaultPort(std::string_view scheme, uint16_t port) {
  return port == (EqualsNoCase(scheme, "https") ? 443 : 80);
}

// In lower case, without the scheme's port (RFC 9110, 4.2.3).
void AppendAuthority(std::string& out, const Authority& authority, std::string_view scheme) {
  for (const char c : authority.host) out.push_back(Lower(c));
  if (authority.port == 0 || IsDefaultPort(scheme, authority.port)) return;
  out.push_back(':');
  AppendNumber(out, authority.port);
}

void AppendRequestLine(std::string& out, const RequestHead& head) {
  Append(out, {head.method, " ", head.target.path, head.target.query, " HTTP/1.1\r\n"});
}

class RequestWriter {
 public:
  RequestWriter(const RequestHead& head, const RequestOptions& options, std::string& out)
      : head_(head), options_(options), out_(out) {}

  void Write() {
    AppendRequestLine(out_, head_);
    AppendHost();
    for (const Field& field : head_.fields) {
      if (Passes(field)) AppendField(out_, field.name, field.value);
    }
    if (head_.max_forwards && *head_.max_forwards > 0) {
      out_.append("Max-Forwards: ");
      AppendNumber(out_, *head_.max_forwards - 1);
      out_.append("\r\n");
    }
    AppendFraming();
    if (options_.forwarded) AppendForwarded();
    if (options_.x_forwarded) AppendXForwarded();
    AppendVia(out_, head_.http2 ? "2" : head_.minor == 0 ? "1.0" : "1.1", options_.via);
    if (options_.tunnel) AppendUpgrade();
    out_.append("\r\n");
  }

 private:
  std::string_view Scheme() const {
    return head_.target.scheme.empty() ? options_.scheme : head_.target.scheme;
  }

  void AppendHost() {
    out_.append("Host: ");
    if (head_.authority.host.empty()) {
      out_.append(options_.host);
    } else {
      AppendAuthority(out_, head_.authority, Scheme());
    }
    out_.append("\r\n");
  }

  // Whether the fields of a proxy of ours go into one that is written below.
  bool Joined(const Field& field) const {
    return (field.info.id == Name::kForwarded && options_.forwarded) ||
           (field.info.id == Name::kXForwardedFor && options_.x_forwarded);
  }

  bool Passes(const Field& field) const {
    if (field.connection_named) return false;
    if (field.info.id == Name::kTrailer) return head_.framing == Framing::kChunked;
    if (field.info.flags & kHopByHop) return false;
    if (field.info.flags & kForged) return options_.client_is_proxy && !Joined(field);
    return field.info.id != Name::kMaxForwards || !head_.max_forwards;
  }

  // A method that has a body says that this one is empty (RFC 9110, 8.6).
  void AppendFraming() {
    const std::string_view method = head_.method;
    if (head_.framing == Framing::kChunked) {
      AppendField(out_, "Transfer-Encoding", "chunked");
    } else if (head_.framing == Framing::kLength || method == "POST" || method == "PUT" ||
               method == "PATCH") {
      AppendContentLength(out_, head_.content_length);
    }
  }

  // `name: ` and what a proxy of ours said in fields of that name.
  void BeginList(std::string_view name, Name id) {
    Append(out_, {name, ": "});
    if (!options_.client_is_proxy) return;
    for (const Field& field : head_.fields) {
      if (field.info.id != id || field.connection_named || field.value.empty()) continue;
      Append(out_, {field.value, ", "});
    }
  }

  // RFC 7239, 4 and 6: what is no token is quoted.
  void AppendForwarded() {
    BeginList("Forwarded", Name::kForwarded);
    const std::string_view client = options_.client;
    if (client.empty()) {
      out_.append("for=unknown");
    } else if (client.find(':') != std::string_view::npos) {
      Append(out_, {"for=\"[", client, "]\""});
    } else {
      Append(out_, {"for=", client});
    }
    if (!head_.authority.host.empty()) {
      out_.append(";host=\"");
      AppendAuthority(out_, head_.authority, Scheme());
      out_.push_back('"');
    }
    Append(out_, {";proto=", options_.scheme, "\r\n"});
  }

  void AppendXForwarded() {
    const bool kept = options_.client_is_proxy;
    if (!options_.client.empty()) {
      BeginList("X-Forwarded-For", Name::kXForwardedFor);
      Append(out_, {options_.client, "\r\n"});
    }
    const Field* proto = kept ? head_.fields.Find(Name::kXForwardedProto) : nullptr;
    if (!proto || proto->connection_named) AppendField(out_, "X-Forwarded-Proto", options_.scheme);
  }

  void AppendUpgrade() {
    AppendField(out_, "Connection", "upgrade");
    for (const Field& field : head_.fields) {
      if (field.info.id == Name::kUpgrade) AppendField(out_, "Upgrade", field.value);
    }
  }

  const RequestHead& head_;
  const RequestOptions& options_;
  std::string& out_;
};

}  // namespace

void WriteRequest(const RequestHead& head, const RequestOptions& options, std::string& out) {
  RequestWriter(head, options, out).Write();
}

bool WriteCompactRequest(const RequestHead& head, std::string_view scheme, std::string_view key,
                         std::string& out) {
  const size_t target_bytes = head.target.path.size() + head.target.query.size();
  if (head.method != "GET" || head.framing == Framing::kChunked || head.content_length > 0 ||
      head.authority.host.empty() || key.size() != WB_KEY_HEX ||
      target_bytes > WB_KEY_REQUEST_MAX) {
    return false;
  }
  const size_t begin = out.size();
  AppendRequestLine(out, head);
  out.append("Host: ");
  AppendAuthority(out, head.authority, scheme);
  out.append("\r\n");
  // The accelerator has it in the key; a web server that gets the request all the same has not.
  for (const Field& field : head.fields) {
    if (field.info.id != Name::kAcceptEncoding || field.connection_named) continue;
    AppendField(out, field.name, field.value);
  }
  out.append(WB_KEY_PREFIX);
  const size_t bytes = out.size() - begin - WB_KEY_PREFIX_BYTES + WB_KEY_TAIL_BYTES;
  if (bytes > WB_KEY_REQUEST_MAX) {
    out.resize(begin);
    return false;
  }
  std::string length;
  AppendNumber(length, bytes, 16);
  out.append(WB_KEY_LENGTH_DIGITS - length.size(), '0');
  Append(out, {length, key, "\r\n\r\n"});
  return true;
}

}  // namespace wb::http
