// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/fetch.h"

#include <utility>

#include "ctl/cache/partial.h"
#include "ctl/cache/response.h"
#include "webbooster/base/posix_error.h"

namespace wb::cache {
namespace {

bool Visible(std::string_view text) {
  for (char c : text) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return !text.empty();
}

bool IsFieldValue(std::string_view text) {
  for (char c : text) {
    if (c < 0x20 || c >= 0x7f) return false;
  }
  return true;
}

// What an overloaded server says (RFC 6585, 4; RFC 9110, 15.6.4).
bool IsBusy(const Response& response) { return response.status == 429 || response.status == 503; }

}  // namespace

absl::StatusOr<std::string> Fetcher::Fetch(const FetchRequest& request) {
  if (!Visible(request.target) || request.target[0] != '/' || !Visible(request.host)) {
    return absl::InvalidArgumentError("request target or host that cannot be sent");
  }
  for (const std::string& value : {request.accept_encoding.value_or(""), request.if_none_match,
                                   request.if_modified_since, request.range}) {
    if (!IsFieldValue(value)) return absl::InvalidArgumentError("field value that cannot be sent");
  }
  std::string text = (request.head ? "HEAD " : "GET ") + request.target + " HTTP/1.1\r\n";
  const auto add = [&](std::string_view name, const std::string& value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  add("Host", request.host);
  if (request.accept_encoding) add("Accept-Encoding", *request.accept_encoding);
  if (!request.if_none_match.empty()) add("If-None-Match", request.if_none_match);
  if (!request.if_modified_since.empty()) add("If-Modified-Since", request.if_modified_since);
  if (!request.range.empty()) add("Range", request.range);
  text += "\r\n";
  ++requests_;
  return connection_.Exchange(text, request.head);
}

std::string Fetcher::Part(const FetchRequest& request, FetchedObject& object,
                          absl::FunctionRef<bool(const Response&)> right) {
  if (!object.busy.empty()) return "";
  absl::StatusOr<std::string> raw = Fetch(request);
  if (!raw.ok()) return "";
  const absl::StatusOr<Response> answer = ParseResponse(*raw);
  if (answer.ok() && IsBusy(*answer)) object.busy = *raw;
  return answer.ok() && right(*answer) ? *std::move(raw) : "";
}

bool Fetcher::FetchRanges(FetchRequest request, const Response& get, FetchedObject& object) {
  if (get.raw.size() <= WB_BODY_MAX || get.Find("Accept-Ranges") != "bytes") return false;
  const bool busy = !object.busy.empty();
  std::optional<PartialHeader> header;
  request.range = kFirstByte;
  std::string first = Part(request, object, [&](const Response& answer) {
    header = PartialHeader::Make(answer, get);
    return header.has_value();
  });
  const auto makes = [&](const char* range, size_t from) {
    request.range = range;
    return header && !Part(request, object, [&](const Response& answer) {
                        return header->Makes(answer, from, get.body.substr(from));
                      }).empty();
  };
  if (!makes(kLastByte, get.body.size() - 1) || !makes(kWhole, 0)) {
    // A server that is busy for ranges has none; whether it is for all, the next request tells.
    if (!busy) object.busy.clear();
    return false;
  }
  object.partial = std::move(first);
  return true;
}

absl::StatusOr<FetchedObject> Fetcher::FetchObject(std::string_view host, std::string_view target,
                                                   std::optional<std::string> accept_encoding) {
  FetchRequest request;
  request.host = host;
  request.target = target;
  request.accept_encoding = std::move(accept_encoding);

  const Policy any_freshness{.watched = true, .most_bytes = most_bytes_};
  FetchedObject object;
  WB_ASSIGN_OR_RETURN(object.get, Fetch(request));
  WB_ASSIGN_OR_RETURN(const Response get, ParseResponse(object.get));
  if (IsBusy(get)) object.busy = object.get;
  const Judgement judgement = Judge(get, any_freshness);
  object.refused = judgement.reason;
  if (!judgement.ok) return object;

  FetchRequest head = request;
  head.head = true;
  object.head = Part(head, object, [&](const Response& r) { return JudgeHead(r, get).empty(); });
  FetchRequest conditional = request;
  if (!judgement.etag.empty()) {
    conditional.if_none_match = *get.Find("ETag");
  } else {
    conditional.if_modified_since = judgement.last_modified;
  }
  if (!conditional.if_none_match.empty() || !conditional.if_modified_since.empty()) {
    object.not_modified = Part(conditional, object,
                               [&](const Response& r) { return JudgeNotModified(r, get).empty(); });
  }
  // Last, so that what lies between two equal answers belongs to them.
  if (!FetchRanges(request, get, object) && object.busy.empty()) {
    WB_ASSIGN_OR_RETURN(const std::string again_raw, Fetch(request));
    WB_ASSIGN_OR_RETURN(const Response again, ParseResponse(again_raw));
    if (IsBusy(again)) {
      object.busy = again_raw;
    } else if (!Judge(again, any_freshness).ok || !SameButForDate(get, again)) {
      object.refused = "volatile";
      object.detail = Differences(get, again);
    }
  }
  if (!object.busy.empty()) object.refused = "status";
  return object;
}

}  // namespace wb::cache
