// SPDX-License-Identifier: Apache-2.0
#include "ctl/api/json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ctl/api/boost_fields.h"
#include "ctl/api/booster_fields.h"
#include "ctl/api/fields.h"

namespace wb::api {
namespace {

using Json = nlohmann::ordered_json;  // Fields in the order of fields.h, for human readers.

template <typename T>
inline constexpr bool kIsVector = false;
template <typename T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
using Counts = std::map<std::string, uint64_t>;

template <typename T>
Json Encode(const T& value);

struct Writer {
  Json out = Json::object();
  void operator()(const char* name, const auto& value) { out[name] = Encode(value); }
  void Need(const char* name, const auto& value) { (*this)(name, value); }
};

template <typename T>
Json Encode(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return NameOf(value);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string> ||
                       std::is_same_v<T, Counts>) {
    return value;
  } else if constexpr (kIsOptional<T>) {
    return value.has_value() ? Encode(*value) : Json(nullptr);
  } else if constexpr (kIsVector<T>) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(Encode(item));
    return array;
  } else {
    Writer writer;
    Fields(writer, value);
    return std::move(writer.out);
  }
}

// Keeps the first error; `path` is for messages ("entries[3].url").
class Decoder {
 public:
  explicit Decoder(bool strict) : strict_(strict) {}
  const std::string& error() const { return error_; }

  template <typename T>
  void Decode(const Json& in, const std::string& path, T& out);

 private:
  template <typename T>
  void DecodeInteger(const Json& in, const std::string& path, T& out);
  void Fail(const std::string& path, const char* what) {
    if (error_.empty()) error_ = absl::StrCat(path.empty() ? "body" : path, ": ", what);
  }

  struct ObjectReader {
    Decoder& decoder;
    const Json& in;
    const std::string& path;
    std::set<std::string> known;

    std::string Path(const std::string& name) const {
      return path.empty() ? name : absl::StrCat(path, ".", name);
    }
    bool operator()(const char* name, auto& value) {
      known.insert(name);
      const auto it = in.find(name);
      if (it == in.end()) return false;
      decoder.Decode(*it, Path(name), value);
      return true;
    }
    void Need(const char* name, auto& value) {
      if (!(*this)(name, value)) decoder.Fail(Path(name), "is missing");
    }
  };

  const bool strict_;
  std::string error_;
};

template <typename T>
void Decoder::DecodeInteger(const Json& in, const std::string& path, T& out) {
  if (!in.is_number_integer()) return Fail(path, "must be an integer");
  if (in.is_number_unsigned()) {
    const auto number = in.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<T>::max())) {
      return Fail(path, "is too large");
    }
    out = static_cast<T>(number);
  } else {
    const auto number = in.get<int64_t>();
    if (number < 0 && std::is_unsigned_v<T>) return Fail(path, "must not be negative");
    out = static_cast<T>(number);
  }
}

template <typename T>
void Decoder::Decode(const Json& in, const std::string& path, T& out) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!in.is_boolean()) return Fail(path, "must be true or false");
    out = in.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    DecodeInteger(in, path, out);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!in.is_number()) return Fail(path, "must be a number");
    out = in.get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!in.is_string()) return Fail(path, "must be a string");
    out = in.get<std::string>();
  } else if constexpr (std::is_enum_v<T>) {
    if (!in.is_string()) return Fail(path, "must be a string");
    const std::optional<T> value = FromName<T>(in.get<std::string>());
    if (!value) return Fail(path, "has an unknown value");
    out = *value;
  } else if constexpr (kIsOptional<T>) {
    if (in.is_null()) return out.reset();
    Decode(in, path, out.emplace());
  } else if constexpr (kIsVector<T>) {
    if (!in.is_array()) return Fail(path, "must be an array");
    for (size_t i = 0; i < in.size(); ++i) {
      Decode(in[i], absl::StrCat(path, "[", i, "]"), out.emplace_back());
    }
  } else if constexpr (std::is_same_v<T, Counts>) {
    if (!in.is_object()) return Fail(path, "must be an object");
    for (const auto& [name, value] : in.items())
      Decode(value, absl::StrCat(path, ".", name), out[name]);
  } else {
    if (!in.is_object()) return Fail(path, "must be an object");
    ObjectReader reader{*this, in, path, {}};
    Fields(reader, out);
    if (!strict_) return;
    for (const auto& [name, value] : in.items()) {
      if (!reader.known.contains(name)) Fail(reader.Path(name.substr(0, 64)), "unknown field");
    }
  }
}

// The parser itself takes any depth and keeps the last of doubled fields: both are refused here.
absl::StatusOr<Json> ParseText(std::string_view text) {
  bool too_deep = false;
  bool doubled = false;
  std::vector<std::set<std::string>> names;
  using Event = Json::parse_event_t;
  const auto watch = [&](int depth, Event event, Json& parsed) {
    too_deep = too_deep || depth > kMaxJsonDepth;
    if (too_deep) return false;  // Nothing below is kept.
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end && !names.empty()) names.pop_back();
    if (event == Event::key && !names.empty()) {
      doubled = doubled || !names.back().insert(parsed.get<std::string>()).second;
    }
    return true;
  };
  try {
    Json json = Json::parse(text, watch);
    if (too_deep) return absl::InvalidArgumentError("body: JSON is nested too deeply");
    if (doubled) return absl::InvalidArgumentError("body: a field appears twice");
    return json;
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("body: not JSON: ", e.what()));
  }
}

template <typename T>
absl::StatusOr<T> Parse(std::string_view text, bool strict) {
  absl::StatusOr<Json> json = ParseText(text);
  if (!json.ok()) return json.status();
  T out;
  Decoder decoder(strict);
  decoder.Decode(*json, "", out);
  if (!decoder.error().empty()) return absl::InvalidArgumentError(decoder.error());
  return out;
}

}  // namespace

template <typename T>
std::string ToJson(const T& value) {
  return Encode(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename T>
absl::StatusOr<T> ParseRequest(std::string_view text) {
  return Parse<T>(text.empty() ? "{}" : text, true);
}

template <typename T>
absl::StatusOr<T> ParseReply(std::string_view text) {
  absl::StatusOr<T> reply = Parse<T>(text, false);
  if (reply.ok()) return reply;
  return absl::InternalError(absl::StrCat("reply is not understood: ", reply.status().message()));
}

#define WB_JSON_REPLY(T)                 \
  template std::string ToJson(const T&); \
  template absl::StatusOr<T> ParseReply<T>(std::string_view);
#define WB_JSON_REQUEST(T)               \
  template std::string ToJson(const T&); \
  template absl::StatusOr<T> ParseRequest<T>(std::string_view);

WB_JSON_REPLY(VersionInfo)
WB_JSON_REPLY(ServerStatus)
WB_JSON_REPLY(DomainList)
WB_JSON_REPLY(DomainReply)
WB_JSON_REPLY(CacheList)
WB_JSON_REPLY(WarmReply)
WB_JSON_REPLY(PurgeReply)
WB_JSON_REPLY(AttachResult)
WB_JSON_REPLY(DetachResult)
WB_JSON_REPLY(ReasonList)
WB_JSON_REPLY(ReloadResult)
WB_JSON_REPLY(ErrorReply)
WB_JSON_REPLY(ObjectReport)
WB_JSON_REPLY(DomainReport)
WB_JSON_REPLY(ConnectionList)
WB_JSON_REPLY(BoosterStatus)
WB_JSON_REPLY(BoosterDomainList)
WB_JSON_REPLY(BoosterReload)
WB_JSON_REPLY(BoosterUpgrade)
WB_JSON_REPLY(BoostStatus)
WB_JSON_REPLY(BoostExplanation)
WB_JSON_REPLY(BoostOutcome)
WB_JSON_REQUEST(BoostRequest)
WB_JSON_REQUEST(EmptyBody)
WB_JSON_REQUEST(WarmBody)
WB_JSON_REQUEST(PurgeRequest)
WB_JSON_REQUEST(AttachBody)
WB_JSON_REQUEST(DetachBody)

}  // namespace wb::api
