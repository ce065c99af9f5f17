// SPDX-License-Identifier: Apache-2.0
// What tests do to the machine: commands, network namespaces of their own, trivial programs. Needs
// root.
#ifndef WEBBOOSTER_TESTS_SUPPORT_MACHINE_H_
#define WEBBOOSTER_TESTS_SUPPORT_MACHINE_H_

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>

#include <cstdlib>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include "webbooster/base/unique_fd.h"

namespace wb::support {

inline void Shell(const std::string& command) {
  ASSERT_FALSE(command.empty());
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

// In a thread with a network namespace of its own; it goes with the thread.
inline void InNewNamespace(const std::function<void()>& body) {
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "needs root";
    body();
  }).join();
}

// A program that returns `verdict`.
inline base::UniqueFd LoadVerdict(bpf_prog_type type, const char* name, int verdict) {
  const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, verdict},
                              {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  return base::UniqueFd(bpf_prog_load(type, name, "GPL", program, std::size(program), nullptr));
}

}  // namespace wb::support

#endif  // WEBBOOSTER_TESTS_SUPPORT_MACHINE_H_
