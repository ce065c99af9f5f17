// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "webbooster/base/check.h"

namespace wb::bpf_test {

uint32_t QueueSeq(int fd, int queue) {
  int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP;
  uint32_t seq = 0;
  socklen_t len = sizeof(seq);
  WB_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) == 0, "TCP_REPAIR");
  WB_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) == 0,
           "TCP_REPAIR_QUEUE");
  WB_CHECK(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len) == 0, "TCP_QUEUE_SEQ");
  WB_CHECK(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) == 0, "TCP_REPAIR off");
  return seq;
}

}  // namespace wb::bpf_test
