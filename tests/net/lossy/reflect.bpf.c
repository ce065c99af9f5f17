// SPDX-License-Identifier: Apache-2.0
// Sends UDP over IPv4 back whence it came, from XDP: shows that the wire takes XDP transmit of the
// origin. Test traffic only: anything with IP options passes. Offsets are those of Ethernet, IPv4
// without options, UDP.
#include <linux/bpf.h>

static void swap(unsigned char* a, unsigned char* b, int bytes) {
  for (int i = 0; i < bytes; i++) {
    unsigned char kept = a[i];
    a[i] = b[i];
    b[i] = kept;
  }
}

__attribute__((section("xdp.frags"), used)) int wb_reflect(struct xdp_md* ctx) {
  unsigned char* data = (unsigned char*)(long)ctx->data;
  if (data + 42 > (unsigned char*)(long)ctx->data_end) return XDP_PASS;
  if (data[12] != 0x08 || data[13] != 0x00 || data[14] != 0x45 || data[23] != 17) return XDP_PASS;
  swap(data, data + 6, 6);
  swap(data + 26, data + 30, 4);
  swap(data + 34, data + 36, 2);
  return XDP_TX;
}
