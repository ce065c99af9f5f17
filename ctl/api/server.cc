// SPDX-License-Identifier: Apache-2.0
// httplib parses requests and writes replies; accepting a connection's bytes (stream.h), the place
// of the socket (socket.h), how many wait, and what paths mean (the handler) are ours.
#include "ctl/api/server.h"

#include <httplib.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ctl/api/errors.h"
#include "ctl/api/peer.h"
#include "ctl/api/routes.h"
#include "ctl/api/socket.h"
#include "ctl/api/stream.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::api {
namespace {

constexpr size_t kMaxHeadBytes = 64 << 10;
constexpr size_t kMaxPathChars = 1024;
constexpr int kAnyPort =
    1;  // Means nothing on a UNIX socket, but httplib takes 0 for "tell me the port".
constexpr int kBacklog = 128;
constexpr size_t kMaxWaiting = 64;  // connections, for a thread
constexpr std::chrono::milliseconds kLingerTime{1000};
// A peer that is turned away holds a thread for so long at most, and all of them so many at once:
// the others are hung up on without waiting for their request. Anybody may come to a port: it
// lingers no longer there.
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

// Connections that wait for a thread are bounded: with more, nobody accepts, and the kernel's
// backlog fills. Their bounds on time see to it that this does not last.
class BoundedPool final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> run) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return waiting_ < kMaxWaiting; });
    ++waiting_;
    pool_.enqueue([this, run = std::move(run)] {
      {
        const std::lock_guard begun(mutex_);
        --waiting_;
      }
      room_.notify_one();
      run();
    });
  }
  void shutdown() override { pool_.shutdown(); }

 private:
  std::mutex mutex_;
  std::condition_variable room_;
  size_t waiting_ = 0;
  httplib::ThreadPool pool_{kServerThreads};
};

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
  Impl(api::Server::Handler handler, const api::Server::Options& options)
      : handler_(std::move(handler)), options_(options) {}
  ~Impl() override { Stop(); }

  absl::Status Start();
  void Stop();
  void AllowSuccessor();
  absl::Status TakePlace();
  uint16_t port() const { return port_; }

 private:
  void SetHandlers();
  absl::Status Bind();
  absl::Status BindTcp();
  void Handle(const httplib::Request& in, httplib::Response& out);
  bool process_and_close_socket(socket_t sock) override;
  void Deny(BoundedStream& stream, const DeniedPeer& peer);

  const api::Server::Handler handler_;
  const api::Server::Options options_;
  const BoundedStream::Limits limits_{kMaxHeadBytes + kMaxBodyBytes, options_.read_time,
                                      options_.write_time};
  std::string path_;  // of the socket, now
  FileId file_;
  uint16_t port_ = 0;
  absl::Notification stopping_;
  std::atomic<int> denying_ = 0;
  std::mutex stop_mutex_;  // Serialises Stop().
  std::thread thread_;
};

absl::Status Server::Impl::Start() {
  SetHandlers();
  if (absl::Status bound = options_.host.empty() ? Bind() : BindTcp(); !bound.ok()) return bound;
  thread_ = std::thread([this] { listen_after_bind(); });
  // stop() does nothing before listen_after_bind() has begun.
  while (!is_running()) std::this_thread::yield();
  return absl::OkStatus();
}

void Server::Impl::SetHandlers() {
  set_address_family(AF_UNIX);
  new_task_queue = [] { return new BoundedPool; };
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
  path_ = options_.beside ? options_.socket_path + ".new" : options_.socket_path;
  absl::StatusOr<SocketPlace> place = SocketPlace::Prepare(path_);
  if (!place.ok()) return place.status();
  // A socket's file takes the mode of its inode, less the umask: never more than wanted, not even
  // for a moment.
  set_socket_options([mode = options_.socket_mode](socket_t sock) { fchmod(sock, mode); });
  if (!bind_to_port(path_, kAnyPort)) {
    return absl::InternalError(absl::StrCat("cannot bind ", path_));
  }
  // httplib's own backlog is 5, and a UNIX socket refuses at once what exceeds it.
  ::listen(svr_sock_, kBacklog);
  absl::StatusOr<FileId> file = SetModeAndIdentify(path_, options_.socket_mode);
  if (!file.ok()) {
    unlink(path_.c_str());
    close(svr_sock_.exchange(INVALID_SOCKET));
    return file.status();
  }
  file_ = *file;
  return absl::OkStatus();
}

// httplib's own way to bind does not say why it fails.
absl::Status Server::Impl::BindTcp() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string where = absl::StrCat(options_.host, " port ", options_.port);
  if (const int error =
          getaddrinfo(options_.host.c_str(), std::to_string(options_.port).c_str(), &hints, &found);
      error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", where, ": ", gai_strerror(error)));
  }
  const absl::Cleanup free = [found] { freeaddrinfo(found); };
  base::UniqueFd fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  sockaddr_in6 bound{};  // its port is at the same place as that of IPv4
  socklen_t length = sizeof(bound);
  if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      (options_.beside && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
      bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd.get(), kBacklog) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    return base::PosixError("listen on", where);
  }
  port_ = ntohs(bound.sin6_port);
  svr_sock_ = fd.release();
  return absl::OkStatus();
}

void Server::Impl::Handle(const httplib::Request& in, httplib::Response& out) {
  const ApiResponse response =
      handler_.respond({in.method, in.path, in.params, in.body}, stopping_);
  out.status = response.http_status;
  if (!response.allow.empty()) out.set_header("Allow", response.allow);
  for (const auto& [name, value] : response.fields) out.set_header(name, value);
  if (response.next) {
    out.set_chunked_content_provider(response.type,
                                     [next = response.next](size_t, httplib::DataSink& sink) {
                                       const absl::StatusOr<std::string> bytes = next();
                                       if (!bytes.ok()) return false;
                                       if (!bytes->empty())
                                         return sink.write(bytes->data(), bytes->size());
                                       sink.done();
                                       return true;
                                     });
  } else {
    out.set_content(response.type == kJsonType ? response.body + "\n" : response.body,
                    response.type);
  }
}

// Nothing that it sent is looked at.
void Server::Impl::Deny(BoundedStream& stream, const DeniedPeer& peer) {
  if (handler_.denied) handler_.denied(peer);
  const std::string denial = DenialOf(peer, options_.program);
  stream.write(denial.data(), denial.size());  // Fits the buffer of a new socket.
  if (++denying_ <= kDenialThreads) stream.Linger(kDenialTime);
  --denying_;
}

bool Server::Impl::process_and_close_socket(socket_t sock) {
  bool done = false;
  BoundedStream stream(sock, limits_, stopping_);
  const bool local = options_.host.empty();
  if (const auto denied =
          local ? CheckPeer(sock, options_.allow, options_.socket_path) : std::nullopt) {
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
    stream.Linger(local ? kLingerTime : kDenialTime);
  }
  close(sock);
  return done;
}

void Server::Impl::Stop() {
  const std::lock_guard<std::mutex> lock(stop_mutex_);
  if (!thread_.joinable()) return;
  if (options_.host.empty()) RemoveIfSame(path_, file_);
  stopping_.Notify();
  stop();
  thread_.join();
}

void Server::Impl::AllowSuccessor() {
  const int on = 1;
  if (port_ != 0) setsockopt(svr_sock_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

absl::Status Server::Impl::TakePlace() {
  if (path_ == options_.socket_path) return absl::OkStatus();
  if (rename(path_.c_str(), options_.socket_path.c_str()) != 0)
    return base::PosixError("take the place of", options_.socket_path);
  path_ = options_.socket_path;
  return absl::OkStatus();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Service& service, const Options& options) {
  return Start(HandlerOf(service), options);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Handler handler, const Options& options) {
  auto impl = std::make_unique<Impl>(std::move(handler), options);
  if (absl::Status started = impl->Start(); !started.ok()) return started;
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::Stop() { impl_->Stop(); }
void Server::AllowSuccessor() { impl_->AllowSuccessor(); }
absl::Status Server::TakePlace() { return impl_->TakePlace(); }
uint16_t Server::port() const { return impl_->port(); }

}  // namespace wb::api
