// SPDX-License-Identifier: Apache-2.0
// Segments by a packet socket (packet(7)), many in one frame with a virtio-net header
// (PACKET_VNET_HDR): the device cuts them and finishes their checksums (TSO), or, where it cannot,
// the kernel on the way to it (GSO). Sent with `mark`, so that our own TC egress knows them.
#ifndef BOOSTER_BULK_PACKET_WIRE_H_
#define BOOSTER_BULK_PACKET_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "booster/bulk/wire.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bulk {

class PacketWire : public Wire {
 public:
  // `room`: segments between two Flush(), what the device's queue takes at once.
  static absl::StatusOr<std::unique_ptr<PacketWire>> Create(uint32_t ifindex, uint32_t mark,
                                                            size_t room);

  void Send(const Segments& segments) override;
  void Flush() override { left_ = room_; }
  size_t Room() const override { return left_; }

 private:
  PacketWire(base::UniqueFd fd, size_t room) : fd_(std::move(fd)), room_(room), left_(room) {}
  bool SendFrame(const Segments& segments);

  base::UniqueFd fd_;
  const size_t room_;
  size_t left_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_PACKET_WIRE_H_
