// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/context.h"

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <vector>

#include "absl/strings/str_split.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {

namespace {

api::Client::Timeouts TimeoutsOf(const std::optional<unsigned>& timeout_s) {
  api::Client::Timeouts timeouts;
  if (timeout_s.has_value()) {
    const std::chrono::seconds all(*timeout_s);
    timeouts.query = timeouts.attach = timeouts.reload = timeouts.warm = all;
  }
  return timeouts;
}

std::string SocketOf(const std::string& told, const char* variable, const char* usual) {
  if (!told.empty()) return told;
  const char* set = getenv(variable);
  return set != nullptr && *set != '\0' ? set : usual;
}

}  // namespace

api::Client Context::MakeClient() const {
  return api::Client(SocketOf(socket, "WB_SOCKET", kDefaultSocket), TimeoutsOf(timeout_s));
}

api::Client Context::MakeBoosterClient() const {
  return api::Client(SocketOf(socket, "WB_BOOSTER_SOCKET", kBoosterSocket), TimeoutsOf(timeout_s),
                     "boosterd");
}

void Context::FailLines(const std::string& what, const absl::Status& status) {
  const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
  for (size_t i = 0; i + 1 < lines.size(); i++) std::cerr << Printable(lines[i]) << "\n";
  Fail(what, absl::Status(status.code(), lines.back()));
}

void Context::Fail(const std::string& what, const absl::Status& status) {
  std::cerr << "wbctl: " << what << ": " << Printable(std::string(status.message())) << "\n";
  if (api::IsUnreachable(status)) {
    exit_code = kExitUnreachable;
  } else if (absl::IsDeadlineExceeded(status)) {
    exit_code = kExitDeadline;
  } else {
    exit_code = kExitFailed;
  }
}

void Context::PrintJson(const std::string& text) const {
  std::cout << text;
  if (text.empty() || text.back() != '\n') std::cout << "\n";
  std::cout.flush();
}

}  // namespace wb::wbctl
