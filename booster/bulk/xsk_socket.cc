// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/xsk_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "booster/bulk/store.h"
#include "webbooster/base/posix_error.h"

namespace wb::bulk {
namespace {

// Newer than the headers.
constexpr int kSolXdp = 283;
constexpr uint16_t kUseSg = 1 << 4;      // XDP_USE_SG, Linux 6.6
constexpr int kMaxTxSkbBudget = 9;       // XDP_MAX_TX_SKB_BUDGET, Linux 6.17
constexpr uint32_t kCompletions = 8192;  // at least twice the descriptors of a ring

}  // namespace

absl::StatusOr<std::unique_ptr<XskUmem>> XskUmem::Register(std::span<uint8_t> region) {
  std::unique_ptr<XskUmem> umem(new XskUmem(region));
  const xsk_umem_config config = {.fill_size = kFillFrames,
                                  .comp_size = kCompletions,
                                  .frame_size = kBlockBytes,
                                  .frame_headroom = 0,
                                  .flags = 0};
  const int error = xsk_umem__create(&umem->umem_, region.data(), region.size(), &umem->fill_,
                                     &umem->completion_, &config);
  if (error != 0) return base::PosixError("register", "memory as UMEM", -error);
  return umem;
}

XskUmem::~XskUmem() {
  if (umem_ != nullptr) xsk_umem__delete(umem_);
}

absl::StatusOr<std::unique_ptr<XskSocket>> XskSocket::Open(XskUmem& umem,
                                                           const XskSocketOptions& options) {
  std::unique_ptr<XskSocket> socket(new XskSocket);
  xsk_socket_config config = {};
  config.tx_size = options.descriptors;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = static_cast<uint16_t>(
      XDP_USE_NEED_WAKEUP | (options.mode.zero_copy ? XDP_ZEROCOPY : XDP_COPY) |
      (options.mode.layout == XskLayout::kGather ? kUseSg : 0));
  const int error = xsk_socket__create_shared(&socket->socket_, options.interface.c_str(),
                                              options.queue, umem.get(), nullptr, &socket->tx_,
                                              &socket->fill_, &socket->completion_, &config);
  if (error != 0) {
    return base::PosixError(
        "bind", absl::StrCat("AF_XDP socket to ", options.interface, ", queue ", options.queue),
        -error);
  }
  const int fd = xsk_socket__fd(socket->socket_);
  if (options.send_buffer_bytes != 0) {
    const auto half = static_cast<int>(options.send_buffer_bytes / 2);  // the kernel doubles it
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &half, sizeof(half)) != 0) {
      return base::PosixError("set", "send buffer of AF_XDP socket");
    }
  }
  // Without it a call sends 32 frames at the most.
  (void)setsockopt(fd, kSolXdp, kMaxTxSkbBudget, &config.tx_size, sizeof(config.tx_size));
  return socket;
}

XskSocket::~XskSocket() {
  if (socket_ != nullptr) xsk_socket__delete(socket_);
}

void XskSocket::Fill(uint64_t first, uint32_t frames) {
  uint32_t at;
  frames = std::min(frames, fill_.size);
  if (xsk_ring_prod__reserve(&fill_, frames, &at) != frames) return;
  for (uint32_t i = 0; i < frames; ++i) {
    *xsk_ring_prod__fill_addr(&fill_, at + i) = first + uint64_t{i} * kBlockBytes;
  }
  xsk_ring_prod__submit(&fill_, frames);
}

int XskSocket::Wake() {
  return sendto(xsk_socket__fd(socket_), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 ? errno : 0;
}

}  // namespace wb::bulk
