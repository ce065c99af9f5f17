// SPDX-License-Identifier: Apache-2.0
// By which way each interface sends bulk replies, and what takes its place: see bulk_path.h.
#include <net/if.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "booster/bulk/packet_wire.h"
#include "booster/bulk/xsk_wire.h"
#include "ctl/accelerd/bulk_path.h"
#include "ctl/doctor/ethtool.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

constexpr size_t kRoom = 192;  // segments at once: below what a veth's queue takes

bool CutsByItself(const std::string& interface) {
  const doctor::Features features = doctor::Ethtool(interface).ActiveFeatures();
  const auto tso = features.find("tx-tcp-segmentation");
  return tso != features.end() && tso->second;
}

void Add(const bulk::WireStats& more, bulk::WireStats& total) {
  total.frames += more.frames;
  total.dropped += more.dropped;
  total.stalls += more.stalls;
}

}  // namespace

// AF_XDP pays where the device sends the store's memory as it is. Elsewhere the kernel copies each
// segment in either case, and makes long frames of it cheaper than short ones (docs/DESIGN.md).
absl::Status BulkPath::Open(const std::string& interface, config::BulkPath path, Port& port) {
  const uint32_t ifindex = if_nametoindex(interface.c_str());
  if (path == config::BulkPath::kAuto && CutsByItself(interface)) {
    port.way.why = "the device cuts long frames by itself (TSO): the web server's way is cheapest";
    return absl::OkStatus();
  }
  if (path == config::BulkPath::kXsk) {
    WB_ASSIGN_OR_RETURN(auto xsk, bulk::XskWire::Create(objects_.store(), ifindex, {}));
    port.way = {path, absl::StrCat(xsk->mode().zero_copy ? "zero-copy" : "copy mode", ", ",
                                   xsk->queues(), " queues")};
    port.wire = std::move(xsk);
  }
  WB_ASSIGN_OR_RETURN(auto packet, bulk::PacketWire::Create(ifindex, WB_SKB_MARK, kRoom));
  if (path == config::BulkPath::kXsk) {
    port.spare = std::move(packet);
    return absl::OkStatus();
  }
  port.way = {config::BulkPath::kPacket,
              path == config::BulkPath::kAuto ? "no TSO: cheapest" : "as configured"};
  port.wire = std::move(packet);
  return absl::OkStatus();
}

void BulkPath::SetPort(uint32_t if_slot, Port port) {
  sender_->SetWire(if_slot, port.wire.get());
  for (const auto* wire : {&ports_[if_slot].wire, &ports_[if_slot].spare})
    if (*wire != nullptr) Add((*wire)->stats(), before_);
  ports_[if_slot] = std::move(port);
}

BulkWay BulkPath::Use(uint32_t if_slot, const std::string& interface, config::BulkPath path) {
  Leave(if_slot);
  Port port;  // opened without the lock: it may take a while
  port.way = {config::BulkPath::kKernel, "as configured"};
  absl::Status status;
  if (config_.memory_bytes == 0)
    port.way.why = "bulk.memory is 0";
  else if (path != config::BulkPath::kKernel)
    status = Open(interface, path, port);
  if (!status.ok()) {
    port = {};
    port.way = {config::BulkPath::kKernel, std::string(status.message())};
  }
  absl::MutexLock lock(&mu_);
  const BulkWay way = port.way;
  if (port.wire != nullptr)
    SetPort(if_slot, std::move(port));
  else
    ports_[if_slot].way = way;  // by the wire that is there, replies under way are finished
  std::atomic_ref(programs_.control[0].bulk[if_slot])
      .store(static_cast<uint8_t>(way.path != config::BulkPath::kKernel));
  return way;
}

void BulkPath::Close(uint32_t if_slot) {
  Leave(if_slot);
  absl::MutexLock lock(&mu_);
  SetPort(if_slot, {});
}

absl::flat_hash_set<uint32_t> BulkPath::Slots() const {
  absl::flat_hash_set<uint32_t> slots;
  for (const bulk::Progress& reply : List()) slots.insert(reply.id.slot);
  return slots;
}

// A device that is down, or does not move: replies go on by the packet socket until it does.
void BulkPath::LookAfterWires() {
  for (uint32_t slot = 0; slot < ports_.size(); slot++) {
    Port& port = ports_[slot];
    if (port.wire == nullptr || port.spare == nullptr) continue;
    const bool healthy = port.wire->healthy() || port.wire->Revive(now_);
    if (healthy != port.on_spare) continue;
    port.on_spare = !healthy;
    sender_->SetWire(slot, healthy ? port.wire.get() : port.spare.get());
    spdlog::warn("bulk replies of interface slot {}: AF_XDP {}", slot,
                 healthy ? "moves again" : "does not move; sent by a packet socket meanwhile");
  }
}

void BulkPath::Leave(uint32_t if_slot) {
  std::atomic_ref(programs_.control[0].bulk[if_slot]).store(0);
}

BulkWay BulkPath::Way(uint32_t if_slot) const {
  absl::MutexLock lock(&mu_);
  BulkWay way = ports_[if_slot].way;
  if (ports_[if_slot].on_spare) way.why += "; does not move: a packet socket sends meanwhile";
  return way;
}

bulk::WireStats BulkPath::WireTotals() const {
  absl::MutexLock lock(&mu_);
  bulk::WireStats total = before_;
  for (const Port& port : ports_)
    for (const auto* wire : {&port.wire, &port.spare})
      if (*wire != nullptr) Add((*wire)->stats(), total);
  return total;
}

}  // namespace wb::accelerd
