// SPDX-License-Identifier: Apache-2.0
#include "ctl/wbctl/context.h"

#include <chrono>
#include <iostream>

#include "ctl/wbctl/table.h"

namespace wb::wbctl {

api::Client Context::MakeClient() const {
  api::Client::Timeouts timeouts;
  if (timeout_s.has_value()) {
    const std::chrono::seconds all(*timeout_s);
    timeouts.query = timeouts.attach = timeouts.reload = timeouts.warm = all;
  }
  return api::Client(socket, timeouts);
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
