// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/interface.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ctl/kern/xdp_link.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using base::PosixError;
using base::UniqueFd;

bool IsVeth(const std::string& name) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_drvinfo info = {};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq request = {};
  strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&info);
  return fd && ioctl(fd.get(), SIOCETHTOOL, &request) == 0 && strcmp(info.driver, "veth") == 0;
}

void RemoveFanout(const Programs& programs, const Attachment& a) {
  const int outer = bpf_map__fd(programs.skeleton()->maps.wb_fanout);
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; n++) {
    const uint32_t index = WB_FANOUT_INDEX(a.slot, n);
    bpf_map_delete_elem(outer, &index);
  }
}

// A devmap that clones a frame n times to the interface (bpf/maps/fanout.h).
absl::StatusOr<UniqueFd> MakeFanout(const Programs& programs, const Attachment& a, uint32_t n) {
  bpf_devmap_val entry = {};
  entry.ifindex = a.ifindex;
  entry.bpf_prog.fd = bpf_program__fd(programs.skeleton()->progs.wb_xdp_segment);
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_DEVMAP, "wb_fan", sizeof(uint32_t), sizeof(entry), n + 1,
                              nullptr));
  if (!map) return PosixError("make", "a fan-out table");
  for (uint32_t i = 0; i <= n; i++)
    if (bpf_map_update_elem(map.get(), &i, &entry, BPF_ANY) != 0)
      return PosixError("fill", "a fan-out table");
  return map;
}

// For every n. Published in one call, for which the kernel waits once until no program uses what
// was there before; one by one it would be for 0.4 s.
absl::Status FillFanout(const Programs& programs, const Attachment& a) {
  std::vector<UniqueFd> maps;
  std::vector<uint32_t> indices;
  std::vector<int> fds;
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; n++) {
    WB_ASSIGN_OR_RETURN(UniqueFd map, MakeFanout(programs, a, n));
    indices.push_back(WB_FANOUT_INDEX(a.slot, n));
    fds.push_back(map.get());
    maps.push_back(std::move(map));
  }
  uint32_t count = WB_FANOUT_MAX;
  if (bpf_map_update_batch(bpf_map__fd(programs.skeleton()->maps.wb_fanout), indices.data(),
                           fds.data(), &count, nullptr) != 0)
    return PosixError("publish", "the fan-out tables (Linux 5.19)");
  return absl::OkStatus();
}

TcSite Site(const Programs& programs, const Attachment& a) {
  return {a.ifindex, a.name, programs.pin_dir()};
}

// Makes the slot that of the interface and of no other, and drops interfaces that are gone: the map
// has room for WB_IFS_MAX, and indices are never used again.
absl::Status EnterSlot(const Programs& programs, const Attachment& a) {
  const int ifs = bpf_map__fd(programs.skeleton()->maps.wb_ifs);
  std::vector<uint32_t> stale;
  uint32_t key = 0, slot = 0;
  const uint32_t* previous = nullptr;
  for (; bpf_map_get_next_key(ifs, previous, &key) == 0; previous = &key) {
    char name[IF_NAMESIZE];
    if (key == a.ifindex || bpf_map_lookup_elem(ifs, &key, &slot) != 0) continue;
    if (slot == a.slot || if_indextoname(key, name) == nullptr) stale.push_back(key);
  }
  for (uint32_t ifindex : stale) bpf_map_delete_elem(ifs, &ifindex);
  if (bpf_map_update_elem(ifs, &a.ifindex, &a.slot, BPF_ANY) != 0)
    return PosixError("enter", a.name);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Attachment> AttachInterface(Programs& programs, const std::string& name,
                                           uint32_t slot, AttachMode mode) {
  Attachment a;
  a.name = name;
  a.slot = slot;
  WB_ASSIGN_OR_RETURN(a.mtu, CheckXdpMtu(name));
  a.ifindex = if_nametoindex(name.c_str());
  programs.control[0].drain[slot] = 0;
  programs.control[0].partial_checksums[slot] = IsVeth(name) ? 1 : 0;
  bool pinned = false;
  // What is there already translates: it stays whatever fails.
  auto undo = absl::MakeCleanup([&, ours = AttachedMode(programs, name).has_value()] {
    if (pinned) unlink(XdpLinkPin(programs.pin_dir(), name).c_str());
    if (!ours) DetachTc(Site(programs, a));
  });
  WB_ASSIGN_OR_RETURN(
      a.tc_hook, AttachTc(Site(programs, a),
                          {.ingress = bpf_program__fd(programs.skeleton()->progs.wb_tc_ingress),
                           .egress = bpf_program__fd(programs.skeleton()->progs.wb_tc_egress)}));

  const int prog = programs.entry();
  WB_ASSIGN_OR_RETURN(const XdpLink link, AttachXdp(prog, programs.pin_dir(), name, mode));
  a.native = link.native;
  a.taken_over = link.taken_over;
  a.why = link.why;
  pinned = !link.taken_over;
  if (a.native) {
    WB_RETURN_IF_ERROR(FillFanout(programs, a));
  } else {
    RemoveFanout(programs, a);  // TC ingress sends
  }
  WB_RETURN_IF_ERROR(EnterSlot(programs, a));
  std::move(undo).Cancel();
  return a;
}

std::optional<AttachMode> AttachedMode(const Programs& programs, const std::string& name) {
  return XdpLinkMode(programs.pin_dir(), name);
}

std::map<uint32_t, uint32_t> SlotsByInterface(const Programs& programs) {
  const int ifs = bpf_map__fd(programs.skeleton()->maps.wb_ifs);
  std::map<uint32_t, uint32_t> slots;
  uint32_t key = 0, slot = 0;
  const uint32_t* previous = nullptr;
  for (; bpf_map_get_next_key(ifs, previous, &key) == 0; previous = &key) {
    char name[IF_NAMESIZE];
    if (if_indextoname(key, name) != nullptr && bpf_map_lookup_elem(ifs, &key, &slot) == 0)
      slots[key] = slot;
  }
  return slots;
}

std::vector<std::string> PinnedInterfaces(const Programs& programs) {
  std::vector<std::string> gone, pinned = PinnedXdpLinks(programs.pin_dir(), &gone);
  for (const std::string& name : gone) DetachTc({0, name, programs.pin_dir()});
  return pinned;
}

absl::Status DetachInterface(Programs& programs, const Attachment& a) {
  bpf_map_delete_elem(bpf_map__fd(programs.skeleton()->maps.wb_ifs), &a.ifindex);
  absl::Status status = DetachXdp(programs.pin_dir(), a.name);
  DetachTc(Site(programs, a));
  RemoveFanout(programs, a);
  return status;
}

bool StillAttached(const Programs& programs, const Attachment& a) {
  return XdpLinkHolds(programs.pin_dir(), a.name, a.ifindex);
}

}  // namespace wb::kern
