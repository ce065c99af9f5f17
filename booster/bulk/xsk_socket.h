// SPDX-License-Identifier: Apache-2.0
// Owners of what the kernel gives for AF_XDP: a registration of memory as a UMEM, and a sending
// socket on one queue of one interface with its rings. They belong to the network namespace of the
// thread that makes them. The interface's XDP program is not touched. Not thread-safe.
//
// A registration serves one interface: all its sockets have the first one's mode, none can be added
// once the first one's device is gone (EBADF), and the first one cannot be made again (EINVAL). The
// same memory may be registered several times.
#ifndef BOOSTER_BULK_XSK_SOCKET_H_
#define BOOSTER_BULK_XSK_SOCKET_H_

#include <xdp/xsk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace wb::bulk {

enum class XskLayout { kCopied, kGather };

struct XskMode {
  bool zero_copy = false;
  XskLayout layout = XskLayout::kCopied;
  bool operator==(const XskMode&) const = default;
};

class XskUmem {
 public:
  // `region`: whole blocks of a Store. It outlives the registration.
  static absl::StatusOr<std::unique_ptr<XskUmem>> Register(std::span<uint8_t> region);
  // No socket of it is left.
  ~XskUmem();
  XskUmem(const XskUmem&) = delete;
  XskUmem& operator=(const XskUmem&) = delete;

  uint8_t* base() const { return region_.data(); }
  size_t bytes() const { return region_.size(); }
  xsk_umem* get() const { return umem_; }

 private:
  explicit XskUmem(std::span<uint8_t> region) : region_(region) {}

  const std::span<uint8_t> region_;
  xsk_umem* umem_ = nullptr;
  xsk_ring_prod fill_ = {};  // of the first socket, until it has them
  xsk_ring_cons completion_ = {};
};

struct XskSocketOptions {
  std::string interface;
  uint32_t queue = 0;
  XskMode mode;
  uint32_t descriptors = 1024;  // of the sending ring, a power of two
  uint32_t send_buffer_bytes = 0;
};

class XskSocket {
 public:
  static absl::StatusOr<std::unique_ptr<XskSocket>> Open(XskUmem& umem,
                                                         const XskSocketOptions& options);
  ~XskSocket();
  XskSocket(const XskSocket&) = delete;
  XskSocket& operator=(const XskSocket&) = delete;

  // Gives the device frames to receive into, `frames` of a block each from address `first`. In
  // zero-copy mode what the stack receives arrives in them as well, and they go round by
  // themselves.
  void Fill(uint64_t first, uint32_t frames);
  // One sendto(); 0 or errno.
  int Wake();

  uint32_t descriptors() const { return tx_.size; }
  // Descriptors that the kernel has not taken, those not submitted yet among them.
  uint32_t waiting() { return tx_.size - xsk_prod_nb_free(&tx_, tx_.size); }
  xsk_ring_prod& tx() { return tx_; }
  xsk_ring_cons& completion() { return completion_; }

 private:
  XskSocket() = default;

  xsk_socket* socket_ = nullptr;
  xsk_ring_prod tx_ = {};
  xsk_ring_prod fill_ = {};
  xsk_ring_cons completion_ = {};
};

inline constexpr uint32_t kFillFrames = 4096;  // twice a device's usual ring

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_XSK_SOCKET_H_
