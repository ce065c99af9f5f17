// SPDX-License-Identifier: Apache-2.0
// Real TCP sockets whose numbers a test wants to know.
#ifndef WEBBOOSTER_TESTS_BPF_SOCKETS_H_
#define WEBBOOSTER_TESTS_BPF_SOCKETS_H_

#include <cstdint>

namespace wb::bpf_test {

// Number of the next byte of TCP_SEND_QUEUE or TCP_RECV_QUEUE of an established connection.
uint32_t QueueSeq(int fd, int queue);

}  // namespace wb::bpf_test

#endif  // WEBBOOSTER_TESTS_BPF_SOCKETS_H_
