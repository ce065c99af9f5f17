// SPDX-License-Identifier: Apache-2.0
// httplib parses requests and writes replies; accepting a connection's bytes (stream.h), the place
// of the socket (socket.h) and what paths mean (routes.h) are ours.
#include "ctl/api/server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ctl/api/errors.h"
#include "ctl/api/peer.h"
#include "ctl/api/routes.h"
#include "ctl/api/socket.h"
#include "ctl/api/stream.h"
#include "ctl/api/tap_route.h"

namespace wb::api {
namespace {

constexpr size_t kMaxHeadBytes = 64 << 10;
constexpr size_t kMaxPathChars = 1024;
constexpr int kAnyPort =
    1;  // Means nothing on a UNIX socket, but httplib takes 0 for "tell me the port".
constexpr int kBacklog = 128;
// A peer that is turned away holds a thread for so long at most, and all of them so many at once:
// the others are hung up on without waiting for their request.
constexpr std::chrono::milliseconds kDenialTime{200};
constexpr int kDenialThreads = kServerThreads / 2;
constexpr char kJsonType[] = "application/json";

void SetError(httplib::Response& out, int http_status, const absl::Status& status) {
  out.status = http_status;
  out.set_content(ErrorJson(status), kJsonType);
}

// What httplib has refused by itself has no body yet, and Normalise() has not been called: it must
// not apply the ranges or encodings that were asked for ("handled" would), so the length is ours.
httplib::Server::HandlerResponse ExplainRefusal(const httplib::Request&, httplib::Response& out) {
  if (!out.body.empty()) return httplib::Server::HandlerResponse::Handled;
  SetError(
      out, out.status,
      absl::InvalidArgumentError(absl::StrCat("HTTP request refused with status ", out.status)));
  out.set_header("Content-Length", std::to_string(out.body.size()));
  return httplib::Server::HandlerResponse::Unhandled;
}

void ExplainException(const httplib::Request&, httplib::Response& out, std::exception_ptr) {
  SetError(out, 500, absl::InternalError("exception while handling the request"));
}

bool IsJsonType(const std::string& field) {
  const std::string type(absl::StripAsciiWhitespace(field.substr(0, field.find(';'))));
  return absl::EqualsIgnoreCase(type, kJsonType);
}

// Whether the body may be read. httplib would unpack compressed bodies and join chunks without a
// limit, and would read a body without a length to the end of the connection.
bool AdmitBody(const httplib::Request& in, httplib::Response& out) {
  uint64_t length = 0;
  const std::string text = in.get_header_value("Content-Length");
  if (in.has_header("Transfer-Encoding") || in.has_header("Content-Encoding")) {
    SetError(out, 400,
             absl::InvalidArgumentError(
                 "a body must come with Content-Length and without any encoding"));
  } else if (in.get_header_value_count("Content-Length") != 1 || text.empty() ||
             text.find_first_not_of("0123456789") != text.npos ||
             !absl::SimpleAtoi(text, &length)) {
    SetError(out, 400, absl::InvalidArgumentError("Content-Length is not one number"));
  } else if (length > kMaxBodyBytes) {
    SetError(out, 413,
             absl::InvalidArgumentError(absl::StrCat("body exceeds ", kMaxBodyBytes, " bytes")));
  } else if (length > 0 && !IsJsonType(in.get_header_value("Content-Type"))) {
    SetError(out, 415, absl::InvalidArgumentError("Content-Type must be application/json"));
  } else {
    return true;
  }
  return false;
}

// Before routing: a reply must be whole and plain, and a request without a body says so.
void Normalise(httplib::Request& in) {
  in.ranges.clear();
  in.headers.erase("Accept-Encoding");
  if (!in.has_header("Content-Length") && !in.has_header("Transfer-Encoding")) {
    in.set_header("Content-Length", "0");
  }
}

}  // namespace

class Server::Impl final : private httplib::Server {
 public:
  Impl(Service& service, const api::Server::Options& options)
      : service_(service), options_(options) {}
  ~Impl() override { Stop(); }

  absl::Status Start();
  void Stop();

 private:
  void SetHandlers();
  absl::Status Bind();
  void Handle(const httplib::Request& in, httplib::Response& out);
  void StreamTap(const httplib::Request& in, httplib::Response& out);
  bool process_and_close_socket(socket_t sock) override;
  void Deny(BoundedStream& stream, const DeniedPeer& peer);

  Service& service_;
  const api::Server::Options options_;
  const BoundedStream::Limits limits_{kMaxHeadBytes + kMaxBodyBytes, options_.read_time,
                                      options_.write_time};
  FileId file_;
  absl::Notification stopping_;
  std::atomic<int> denying_ = 0;
  std::mutex stop_mutex_;  // Serialises Stop().
  std::thread thread_;
};

absl::Status Server::Impl::Start() {
  SetHandlers();
  if (absl::Status bound = Bind(); !bound.ok()) return bound;
  thread_ = std::thread([this] { listen_after_bind(); });
  // stop() does nothing before listen_after_bind() has begun.
  while (!is_running()) std::this_thread::yield();
  return absl::OkStatus();
}

void Server::Impl::SetHandlers() {
  set_address_family(AF_UNIX);
  new_task_queue = [] { return new httplib::ThreadPool(kServerThreads); };
  set_payload_max_length(kMaxBodyBytes);
  set_error_handler(httplib::Server::HandlerWithResponse(ExplainRefusal));
  set_exception_handler(ExplainException);
  set_pre_routing_handler([this](const httplib::Request& in, httplib::Response& out) {
    const bool has_body = in.method == "POST" && AdmitBody(in, out);
    if (in.path.size() > kMaxPathChars) {
      SetError(out, 414, absl::InvalidArgumentError("path is too long"));
    } else if (has_body) {
      return HandlerResponse::Unhandled;  // Read the body, then Post() below.
    } else if (in.method != "POST") {
      Handle(in, out);
    }
    return HandlerResponse::Handled;
  });
  Post("[^]*", [this](const httplib::Request& in, httplib::Response& out) { Handle(in, out); });
}

absl::Status Server::Impl::Bind() {
  absl::StatusOr<SocketPlace> place = SocketPlace::Prepare(options_.socket_path);
  if (!place.ok()) return place.status();
  // A socket's file takes the mode of its inode, less the umask: never more than wanted, not even
  // for a moment.
  set_socket_options([mode = options_.socket_mode](socket_t sock) { fchmod(sock, mode); });
  if (!bind_to_port(options_.socket_path, kAnyPort)) {
    return absl::InternalError(absl::StrCat("cannot bind ", options_.socket_path));
  }
  // httplib's own backlog is 5, and a UNIX socket refuses at once what exceeds it.
  ::listen(svr_sock_, kBacklog);
  absl::StatusOr<FileId> file = SetModeAndIdentify(options_.socket_path, options_.socket_mode);
  if (!file.ok()) {
    unlink(options_.socket_path.c_str());
    close(svr_sock_.exchange(INVALID_SOCKET));
    return file.status();
  }
  file_ = *file;
  return absl::OkStatus();
}

void Server::Impl::Handle(const httplib::Request& in, httplib::Response& out) {
  if (in.path == kTapPath && in.method == "GET") return StreamTap(in, out);
  const ApiResponse response =
      Respond(service_, {in.method, in.path, in.params, in.body}, stopping_);
  out.status = response.http_status;
  if (!response.allow.empty()) out.set_header("Allow", response.allow);
  out.set_content(response.body + "\n", kJsonType);
}

// Nothing that it sent is looked at.
void Server::Impl::Deny(BoundedStream& stream, const DeniedPeer& peer) {
  service_.PeerDenied(peer);
  const std::string denial = DenialOf(peer);
  stream.write(denial.data(), denial.size());  // Fits the buffer of a new socket.
  if (++denying_ <= kDenialThreads) stream.Linger(kDenialTime);
  --denying_;
}

// The stream ends with the reader, with the tap, or with us. What goes wrong after the first byte
// can only be told by an end without the last chunk.
void Server::Impl::StreamTap(const httplib::Request& in, httplib::Response& out) {
  const absl::StatusOr<TapRequest> request = ParseTapQuery(in.params);
  if (!request.ok()) return SetError(out, HttpStatus(request.status().code()), request.status());
  absl::StatusOr<std::unique_ptr<TapStream>> tap = service_.OpenTap(*request);
  if (!tap.ok()) return SetError(out, HttpStatus(tap.status().code()), tap.status());
  out.status = 200;
  out.set_chunked_content_provider(
      kTapType,
      [this, tap = std::shared_ptr<TapStream>(*std::move(tap))](size_t, httplib::DataSink& sink) {
        const absl::StatusOr<std::string> bytes = tap->Next();
        if (!bytes.ok() || stopping_.HasBeenNotified()) return false;
        if (bytes->empty()) {
          sink.done();
          return true;
        }
        return sink.write(bytes->data(), bytes->size());
      });
}

bool Server::Impl::process_and_close_socket(socket_t sock) {
  bool done = false;
  BoundedStream stream(sock, limits_, stopping_);
  if (const auto denied = CheckPeer(sock, options_.allow, options_.socket_path)) {
    Deny(stream, *denied);
  } else if (!stopping_.HasBeenNotified()) {
    bool closed = false;
    try {
      // One request per connection: an idle client holds no thread, and no request hides behind
      // another's body.
      done = process_request(stream, true, closed, Normalise);
    } catch (const std::exception&) {
      done = false;  // Out of memory and the like: this connection ends, the server goes on.
    }
    stream.Linger();
  }
  close(sock);
  return done;
}

void Server::Impl::Stop() {
  const std::lock_guard<std::mutex> lock(stop_mutex_);
  if (!thread_.joinable()) return;
  RemoveIfSame(options_.socket_path, file_);
  stopping_.Notify();
  stop();
  thread_.join();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Service& service, const Options& options) {
  auto impl = std::make_unique<Impl>(service, options);
  if (absl::Status started = impl->Start(); !started.ok()) return started;
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::Stop() { impl_->Stop(); }

}  // namespace wb::api
