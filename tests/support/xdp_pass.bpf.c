// SPDX-License-Identifier: Apache-2.0
// Attached to the two ends of a test wire: any XDP program gives a veth the NAPI that XDP transmit
// from the other side needs. GRO would do the same, but glues segments into packets that the wire
// could not send on.
#include <linux/bpf.h>

__attribute__((section("xdp.frags"), used)) int wb_wire_pass(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_PASS;
}
