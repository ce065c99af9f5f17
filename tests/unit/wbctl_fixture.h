// SPDX-License-Identifier: Apache-2.0
// The wbctl binary (WBCTL_PATH) against the fake Service.
#ifndef TESTS_UNIT_WBCTL_FIXTURE_H_
#define TESTS_UNIT_WBCTL_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/unit/api_fixture.h"

namespace wb::api {

struct Outcome {
  int code = -1;
  std::string text;  // Standard output and error.
};

class Wbctl : public ApiFixture {
 protected:
  Outcome Shell(const std::string& command) const {
    Outcome outcome;
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return outcome;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
      outcome.text.append(buffer, n);
    const int status = pclose(pipe);
    outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }
  Outcome Run(const std::string& arguments) const {
    return Shell(std::string(WBCTL_PATH) + " --socket " + socket_ + " " + arguments);
  }
  void ExpectRun(const std::string& arguments, int code, const std::string& text) const {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, code) << arguments << "\n" << outcome.text;
    EXPECT_THAT(outcome.text, testing::HasSubstr(text)) << arguments;
  }
};

}  // namespace wb::api

#endif  // TESTS_UNIT_WBCTL_FIXTURE_H_
