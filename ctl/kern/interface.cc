// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/interface.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using base::PosixError;
using base::UniqueFd;

// A page less headroom (256), skb_shared_info (320) and the Ethernet header (PITFALLS 9).
constexpr int kMaxMtu = 3498;

constexpr char kLinkPrefix[] = "link_xdp_";

std::string LinkPin(const Programs& programs, const std::string& name) {
  return absl::StrCat(programs.pin_dir(), "/", kLinkPrefix, name);
}

absl::StatusOr<int> Mtu(const std::string& name) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (!fd || ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return PosixError("read the MTU of", name);
  return request.ifr_mtu;
}

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

// The devmaps that clone a frame n times to this interface, for every n (bpf/maps/fanout.h).
absl::Status FillFanout(const Programs& programs, const Attachment& a) {
  bpf_devmap_val entry = {};
  entry.ifindex = a.ifindex;
  entry.bpf_prog.fd = bpf_program__fd(programs.skeleton()->progs.wb_xdp_segment);
  const int outer = bpf_map__fd(programs.skeleton()->maps.wb_fanout);
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; n++) {
    UniqueFd inner(bpf_map_create(BPF_MAP_TYPE_DEVMAP, "wb_fan", sizeof(uint32_t), sizeof(entry),
                                  n + 1, nullptr));
    if (!inner) return PosixError("make", "a fan-out table");
    for (uint32_t i = 0; i <= n; i++)
      if (bpf_map_update_elem(inner.get(), &i, &entry, BPF_ANY) != 0)
        return PosixError("fill", "a fan-out table");
    const uint32_t index = WB_FANOUT_INDEX(a.slot, n);
    const int fd = inner.get();
    if (bpf_map_update_elem(outer, &index, &fd, BPF_ANY) != 0)
      return PosixError("publish", "a fan-out table");
  }
  return absl::OkStatus();
}

TcSite Site(const Programs& programs, const Attachment& a) {
  return {a.ifindex, a.name, programs.pin_dir()};
}

struct LinkFacts {
  uint32_t ifindex = 0;  // 0: the interface is gone
  uint32_t program = 0;
};

LinkFacts ReadLink(int link) {
  bpf_link_info info;  // "= {}" leaves most of the union unset, and the kernel reads it
  memset(&info, 0, sizeof(info));
  uint32_t len = sizeof(info);
  if (bpf_obj_get_info_by_fd(link, &info, &len) != 0) return {};
  return {info.xdp.ifindex, info.prog_id};
}

// Has the interface, of this network namespace, the program? Then *native tells the mode.
bool Carries(uint32_t ifindex, uint32_t program, bool* native) {
  DECLARE_LIBBPF_OPTS(bpf_xdp_query_opts, q);
  if (program == 0 || bpf_xdp_query(static_cast<int>(ifindex), 0, &q) != 0) return false;
  *native = q.attach_mode == XDP_ATTACHED_DRV;
  return (*native ? q.drv_prog_id : q.skb_prog_id) == program || q.prog_id == program;
}

uint32_t ProgramId(int program) {
  bpf_prog_info info = {};
  uint32_t len = sizeof(info);
  return bpf_obj_get_info_by_fd(program, &info, &len) == 0 ? info.id : 0;
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

absl::Status Refused(const Attachment& a, int error) {
  DECLARE_LIBBPF_OPTS(bpf_xdp_query_opts, q);
  if (error == EBUSY && bpf_xdp_query(static_cast<int>(a.ifindex), 0, &q) == 0 && q.prog_id != 0)
    return absl::FailedPreconditionError(
        absl::StrCat("interface ", a.name, " already has XDP program ", q.prog_id,
                     " of somebody else: see `bpftool prog show id ", q.prog_id,
                     "`, and `ip link set dev ", a.name, " xdp off` removes it"));
  return PosixError("attach XDP to",
                    absl::StrCat(a.name, " (`wbctl doctor ", a.name, "` tells what lacks)"), error);
}

absl::StatusOr<UniqueFd> CreateLink(int prog, const Attachment& a, uint32_t flags, int* error) {
  DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
  UniqueFd link(bpf_link_create(prog, static_cast<int>(a.ifindex), BPF_XDP, &opts));
  *error = errno;
  if (!link) return Refused(a, *error);
  return link;
}

absl::StatusOr<UniqueFd> AttachXdp(int prog, Attachment& a, AttachMode mode) {
  int error = 0;
  if (mode != AttachMode::kGeneric) {
    auto link = CreateLink(prog, a, XDP_FLAGS_DRV_MODE, &error);
    if (link.ok()) {
      a.native = true;
      a.why = mode == AttachMode::kNative ? "asked for" : "the driver has native XDP";
      return link;
    }
    if (mode == AttachMode::kNative || error == EBUSY) return link.status();
    a.why = absl::StrCat("native XDP was refused (", strerror(error), "): slower; `wbctl doctor ",
                         a.name, "` tells the remedy");
  } else {
    a.why = "asked for";
  }
  return CreateLink(prog, a, XDP_FLAGS_SKB_MODE, &error);
}

}  // namespace

absl::StatusOr<Attachment> AttachInterface(Programs& programs, const std::string& name,
                                           uint32_t slot, AttachMode mode) {
  Attachment a;
  a.name = name;
  a.slot = slot;
  a.ifindex = if_nametoindex(name.c_str());
  if (a.ifindex == 0)
    return absl::NotFoundError(
        absl::StrCat("there is no interface ", name, " in this network namespace"));
  WB_ASSIGN_OR_RETURN(a.mtu, Mtu(name));
  if (a.mtu > kMaxMtu)
    return absl::FailedPreconditionError(absl::StrCat(
        "MTU ", a.mtu, " of ", name, " is more than one XDP frame takes: `ip link set dev ", name,
        " mtu ", kMaxMtu, "` or less"));
  programs.control[0].drain[slot] = 0;
  programs.control[0].partial_checksums[slot] = IsVeth(name) ? 1 : 0;
  const std::string pin = LinkPin(programs, name);
  bool pinned = false;
  // What is there already translates: it stays whatever fails.
  auto undo = absl::MakeCleanup([&, ours = AttachedMode(programs, name).has_value()] {
    if (pinned) unlink(pin.c_str());
    if (!ours) DetachTc(Site(programs, a));
  });
  WB_ASSIGN_OR_RETURN(
      a.tc_hook, AttachTc(Site(programs, a),
                          {.ingress = bpf_program__fd(programs.skeleton()->progs.wb_tc_ingress),
                           .egress = bpf_program__fd(programs.skeleton()->progs.wb_tc_egress)}));

  const int prog = programs.entry();
  if (UniqueFd old(bpf_obj_get(pin.c_str())); old) {
    a.taken_over = bpf_link_update(old.get(), prog, nullptr) == 0 &&
                   Carries(a.ifindex, ProgramId(prog), &a.native);
    if (!a.taken_over) unlink(pin.c_str());  // of an interface that is gone, or another namespace's
  }
  if (!a.taken_over) {
    WB_ASSIGN_OR_RETURN(UniqueFd link, AttachXdp(prog, a, mode));
    if (bpf_obj_pin(link.get(), pin.c_str()) != 0) return PosixError("pin", pin);
    pinned = true;
  }
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
  UniqueFd link(bpf_obj_get(LinkPin(programs, name).c_str()));
  if (!link) return std::nullopt;
  const LinkFacts facts = ReadLink(link.get());
  bool native = false;
  if (facts.ifindex == 0 || facts.ifindex != if_nametoindex(name.c_str()) ||
      !Carries(facts.ifindex, facts.program, &native))
    return std::nullopt;
  return native ? AttachMode::kNative : AttachMode::kGeneric;
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
  std::vector<std::string> pinned;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(programs.pin_dir(), ec)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with(kLinkPrefix)) pinned.push_back(file.substr(sizeof(kLinkPrefix) - 1));
  }
  std::erase_if(pinned, [&](const std::string& name) {
    const std::string pin = LinkPin(programs, name);
    UniqueFd link(bpf_obj_get(pin.c_str()));
    if (!link || ReadLink(link.get()).ifindex != 0) return false;
    unlink(pin.c_str());
    DetachTc({0, name, programs.pin_dir()});
    return true;
  });
  return pinned;
}

absl::Status DetachInterface(Programs& programs, const Attachment& a) {
  const std::string pin = LinkPin(programs, a.name);
  bpf_map_delete_elem(bpf_map__fd(programs.skeleton()->maps.wb_ifs), &a.ifindex);
  absl::Status status;
  if (UniqueFd link(bpf_obj_get(pin.c_str())); link) {
    if (bpf_link_detach(link.get()) != 0 && errno != ENOLINK)
      status = PosixError("detach XDP from", a.name);
    unlink(pin.c_str());
  }
  DetachTc(Site(programs, a));
  RemoveFanout(programs, a);
  return status;
}

bool StillAttached(const Programs& programs, const Attachment& a) {
  UniqueFd link(bpf_obj_get(LinkPin(programs, a.name).c_str()));
  return link && ReadLink(link.get()).ifindex == a.ifindex;
}

}  // namespace wb::kern
