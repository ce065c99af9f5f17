// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/record_json.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::boost {
namespace {

using Json = nlohmann::json;

absl::Status Wrong(const char* member) {
  return absl::InvalidArgumentError(absl::StrCat("no record of a domain: wrong ", member));
}

bool Text(const Json& json, const char* member, std::string* out) {
  const auto at = json.find(member);
  if (at == json.end() || !at->is_string()) return false;
  *out = at->get<std::string>();
  return true;
}

bool Number(const Json& json, const char* member, uint64_t* out) {
  const auto at = json.find(member);
  if (at == json.end() || !at->is_number_unsigned()) return false;
  *out = at->get<uint64_t>();
  return true;
}

bool ModeIn(const Json& json, const char* member, Mode* out) {
  std::string name;
  if (!Text(json, member, &name)) return false;
  const std::optional<Mode> mode = ValueIn<Mode>(kModeNames, name);
  if (mode) *out = *mode;
  return mode.has_value();
}

}  // namespace

Json ToJson(const Record& record) {
  Json json = {{"domain", record.domain},
               {"mode", std::string(NameOf(record.mode))},
               {"before", std::string(NameOf(record.before))},
               {"boosted", record.boosted},
               {"per_request", record.per_request},
               {"mode_revision", record.mode_revision},
               {"revision", record.revision},
               {"writer", record.writer}};
  if (record.at) json["at_percent"] = *record.at;
  if (record.until) json["until_ms"] = static_cast<uint64_t>(record.until->count());
  return json;
}

absl::StatusOr<Record> FromJson(const Json& json) {
  if (!json.is_object()) return Wrong("type");
  Record record;
  if (!Text(json, "domain", &record.domain) || record.domain.empty()) return Wrong("domain");
  if (!ModeIn(json, "mode", &record.mode)) return Wrong("mode");
  if (!ModeIn(json, "before", &record.before)) return Wrong("before");
  if (!Text(json, "writer", &record.writer)) return Wrong("writer");
  if (!Number(json, "mode_revision", &record.mode_revision)) return Wrong("mode_revision");
  if (!Number(json, "revision", &record.revision)) return Wrong("revision");
  const auto boosted = json.find("boosted");
  if (boosted == json.end() || !boosted->is_boolean()) return Wrong("boosted");
  record.boosted = boosted->get<bool>();
  if (const auto at = json.find("per_request"); at != json.end()) {
    if (!at->is_number() || !(at->get<double>() >= 0)) return Wrong("per_request");
    record.per_request = at->get<double>();
  }
  if (const auto at = json.find("at_percent"); at != json.end()) {
    if (!at->is_number() || !(at->get<double>() >= 1 && at->get<double>() <= 100)) {
      return Wrong("at_percent");
    }
    record.at = at->get<float>();
  }
  if (json.contains("until_ms")) {
    uint64_t until = 0;
    if (!Number(json, "until_ms", &until) || until > INT64_MAX) return Wrong("until_ms");
    record.until = std::chrono::milliseconds(until);
  }
  return record;
}

}  // namespace wb::boost
