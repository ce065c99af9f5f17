// SPDX-License-Identifier: Apache-2.0
// The API behind its transport: routes and JSON. Input: "METHOD PATH?NAME=VALUE&..." in the first
// line, then the body. The service is never called with what is not valid in form, each answer is
// JSON with a status that documents it; and the body as a reply that wbctl reads.
#include <nlohmann/json.hpp>

#include "ctl/api/json.h"
#include "ctl/api/routes.h"
#include "tests/fuzz/api_service.h"

namespace wb::fuzz {
namespace {

api::ApiRequest ReadRequest(std::string_view text) {
  api::ApiRequest request;
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  if (end < text.size()) request.body = text.substr(end + 1);
  const size_t space = std::min(line.find(' '), line.size());
  request.method = line.substr(0, space);
  line.remove_prefix(std::min(space + 1, line.size()));
  const size_t query = std::min(line.find('?'), line.size());
  request.path = line.substr(0, query);
  for (size_t at = query + 1; at < line.size();) {
    const size_t and_ = std::min(line.find('&', at), line.size());
    const std::string_view pair = line.substr(at, and_ - at);
    const size_t equals = std::min(pair.find('='), pair.size());
    request.params.emplace(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    at = and_ + 1;
  }
  return request;
}

void CheckAnswer(const api::ApiResponse& answer, int calls) {
  FUZZ_CHECK(nlohmann::json::accept(answer.body), "not JSON: %s", answer.body.c_str());
  const auto json = nlohmann::json::parse(answer.body);
  FUZZ_CHECK(calls <= 1, "%d calls", calls);
  if (answer.http_status == 200) {
    FUZZ_CHECK(calls == 1 && !json.contains("error"), "200 without a call");
    return;
  }
  FUZZ_CHECK(answer.http_status >= 400 && answer.http_status < 600, "%d", answer.http_status);
  FUZZ_CHECK(json["error"]["message"].is_string(), "no message: %s", answer.body.c_str());
  FUZZ_CHECK((answer.http_status == 405) == !answer.allow.empty(), "Allow");
}

// What is understood as a reply is understood alike when it is written and read again.
template <typename T>
void ReadReply(std::string_view body) {
  const auto once = api::ParseReply<T>(body);
  if (!once.ok()) return;
  const std::string text = api::ToJson(*once);
  const auto again = api::ParseReply<T>(text);
  FUZZ_CHECK(again.ok() && api::ToJson(*again) == text, "%s", text.c_str());
}

void One(std::string_view text) {
  CheckingService service;
  const absl::Notification stop;
  const api::ApiRequest request = ReadRequest(text);
  CheckAnswer(api::Respond(service, request, stop), service.calls);
  ReadReply<api::ServerStatus>(request.body);
  ReadReply<api::CacheList>(request.body);
  ReadReply<api::AttachResult>(request.body);
  ReadReply<api::ErrorReply>(request.body);
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  wb::fuzz::One(wb::fuzz::Text(data, size));
  return 0;
}
