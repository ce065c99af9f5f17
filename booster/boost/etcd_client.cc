// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/etcd_client.h"

#include <httplib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <cstring>
#include <mutex>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::boost {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostMessage = 64 << 20;  // bytes

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What OpenSSL said first: what it says then follows from it.
std::string SslError() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (ERR_GET_LIB(code) == ERR_LIB_SYS) return std::strerror(ERR_GET_REASON(code));
  const char* const reason = ERR_reason_error_string(code);
  return reason == nullptr ? "unknown error" : reason;
}

// httplib's own reads the first certificate of a chain only, and does not say what it cannot read.
absl::Status UseFiles(const EtcdAccess& access, httplib::Client& client) {
  const auto refused = [](const std::string& file) {
    return absl::InvalidArgumentError(absl::StrCat("etcd: ", file, ": ", SslError()));
  };
  SSL_CTX* const context = client.ssl_context();
  ERR_clear_error();
  if (!access.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context, access.ca_file.c_str(), nullptr) != 1)
      return refused(access.ca_file);
    client.set_ca_cert_path(access.ca_file);  // else it would add the system's
  }
  if (access.chain_file.empty()) return absl::OkStatus();
  if (SSL_CTX_use_certificate_chain_file(context, access.chain_file.c_str()) != 1)
    return refused(access.chain_file);
  if (SSL_CTX_use_PrivateKey_file(context, access.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return refused(access.key_file);
  return absl::OkStatus();
}

absl::Status UnavailableOf(const EtcdAccess& access, const std::string& endpoint,
                           const httplib::Client& client, httplib::Error error) {
  const bool tls = absl::StartsWith(endpoint, "https://");
  std::string why;
  switch (error) {
    case httplib::Error::Connection:
      why = "cannot connect";
      break;
    case httplib::Error::ConnectionTimeout:
      why = "no connection in time";
      break;
    case httplib::Error::SSLConnection:
      why = "no TLS handshake in time, or it does not speak TLS";
      break;
    case httplib::Error::SSLServerVerification: {
      const long result = client.get_openssl_verify_result();
      why = result == X509_V_OK ? "its certificate is for another name or address"
                                : absl::StrCat("its certificate is not accepted: ",
                                               X509_verify_cert_error_string(result));
      break;
    }
    case httplib::Error::Read:
    case httplib::Error::Write:
      why = "no answer in time, or the connection ended";
      // By TLS 1.3 it is refused behind the handshake.
      if (tls) {
        absl::StrAppend(&why, ", as where a client certificate is ",
                        access.chain_file.empty() ? "wanted" : "not accepted");
      }
      break;
    default:
      why = httplib::to_string(error);
  }
  return absl::UnavailableError(absl::StrCat("etcd at ", endpoint, ": ", why));
}

absl::Status ErrorOf(const std::string& endpoint, const httplib::Response& answer) {
  const Json json = Json::parse(answer.body, nullptr, false);
  std::string message = absl::StrCat("HTTP status ", answer.status);
  if (json.is_object() && json.contains("message") && json["message"].is_string()) {
    message = json["message"].get<std::string>();
  }
  return absl::UnavailableError(absl::StrCat("etcd at ", endpoint, ": ", message));
}

}  // namespace

std::string ToBase64(std::string_view bytes) { return absl::Base64Escape(View(bytes)); }

std::string FromBase64(std::string_view text) {
  std::string bytes;
  return absl::Base64Unescape(View(text), &bytes) ? bytes : std::string();
}

std::string EndOf(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

struct EtcdClient::Http {
  std::mutex mutex;  // of the pointer; calls themselves are of one thread
  std::shared_ptr<httplib::Client> client;
};

EtcdClient::EtcdClient(EtcdAccess access)
    : access_(std::move(access)), http_(std::make_unique<Http>()) {}

EtcdClient::~EtcdClient() = default;

void EtcdClient::Abort() {
  const std::lock_guard lock(http_->mutex);
  if (http_->client) http_->client->stop();
}

absl::Status EtcdClient::Failed(const absl::Status& status) {
  const std::lock_guard lock(http_->mutex);
  http_->client.reset();
  token_.clear();
  endpoint_ = (endpoint_ + 1) % access_.endpoints.size();
  return status;
}

absl::Status EtcdClient::Connect() {
  if (http_->client) return absl::OkStatus();
  const std::string& endpoint = access_.endpoints[endpoint_];
  const bool tls = absl::StartsWith(endpoint, "https://");
  // httplib throws what it cannot understand.
  if (!tls && !absl::StartsWith(endpoint, "http://")) {
    return Failed(absl::InvalidArgumentError(absl::StrCat("no URL of etcd: ", endpoint)));
  }
  auto client = std::make_shared<httplib::Client>(endpoint);
  if (!client->is_valid()) {
    return Failed(absl::InvalidArgumentError(absl::StrCat("cannot use etcd at ", endpoint)));
  }
  client->set_connection_timeout(access_.timeout);
  client->set_read_timeout(access_.timeout);
  client->set_write_timeout(access_.timeout);
  client->set_keep_alive(true);
  client->set_tcp_nodelay(true);
  if (tls) {
    if (absl::Status used = UseFiles(access_, *client); !used.ok()) return Failed(used);
  }
  {
    const std::lock_guard lock(http_->mutex);
    http_->client = std::move(client);
  }
  return LogIn();
}

absl::Status EtcdClient::LogIn() {
  if (access_.user.empty()) return absl::OkStatus();
  WB_ASSIGN_OR_RETURN(
      const Json answer,
      Call("/v3/auth/authenticate", {{"name", access_.user}, {"password", access_.password}}));
  if (!answer.contains("token") || !answer["token"].is_string()) {
    return Failed(absl::PermissionDeniedError("etcd gives no token"));
  }
  token_ = answer["token"].get<std::string>();
  return absl::OkStatus();
}

absl::StatusOr<Json> EtcdClient::Call(const std::string& path, const Json& body) {
  WB_RETURN_IF_ERROR(Connect());
  const std::string& endpoint = access_.endpoints[endpoint_];
  httplib::Headers headers;
  if (!token_.empty()) headers.emplace("Authorization", token_);
  const httplib::Result result = http_->client->Post(path, headers, Dump(body), "application/json");
  if (!result) return Failed(UnavailableOf(access_, endpoint, *http_->client, result.error()));
  if (result->status != 200) return Failed(ErrorOf(endpoint, *result));
  Json answer = Json::parse(result->body, nullptr, false);
  if (!answer.is_object()) {
    return Failed(absl::DataLossError(absl::StrCat("etcd at ", endpoint, ": no JSON object")));
  }
  return answer;
}

absl::Status EtcdClient::Stream(const std::string& path, const Json& body,
                                std::chrono::milliseconds idle,
                                const std::function<bool(const Json&)>& message) {
  WB_RETURN_IF_ERROR(Connect());
  const std::string& endpoint = access_.endpoints[endpoint_];
  std::string text;
  bool wrong = false, began = false;
  httplib::Request request;
  request.method = "POST";
  request.path = path;
  request.body = Dump(body);
  request.headers.emplace("Content-Type", "application/json");
  if (!token_.empty()) request.headers.emplace("Authorization", token_);
  int status = 0;
  request.response_handler = [&](const httplib::Response& answer) {
    status = answer.status;
    return status == 200;
  };
  request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    text.append(data, size);
    began = true;
    size_t end;
    while ((end = text.find('\n')) != text.npos) {  // one message a line
      const Json json = Json::parse(text.substr(0, end), nullptr, false);
      text.erase(0, end + 1);
      wrong = !json.is_object() || !json.contains("result");
      if (wrong || !message(json["result"])) return false;
    }
    wrong = text.size() > kMostMessage;
    return !wrong;
  };
  http_->client->set_read_timeout(idle);
  const httplib::Result result = http_->client->send(request);
  const httplib::Error error = result.error();
  http_->client->set_read_timeout(access_.timeout);
  if (wrong) return Failed(absl::DataLossError(absl::StrCat("etcd at ", endpoint, ": no message")));
  if (began && (error == httplib::Error::Canceled || error == httplib::Error::Read)) {
    return absl::OkStatus();
  }
  if (status != 0 && status != 200) {
    return Failed(absl::UnavailableError(absl::StrCat("etcd: HTTP status ", status)));
  }
  return Failed(UnavailableOf(access_, endpoint, *http_->client, error));
}

}  // namespace wb::boost
