// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/xdp_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::kern {
namespace {

using base::AttachMode;
using base::PosixError;
using base::UniqueFd;

// A page less headroom (256), skb_shared_info (320) and the Ethernet header (PITFALLS 9).
constexpr int kMaxMtu = 3498;

constexpr char kLinkPrefix[] = "link_xdp_";

struct Interface {
  const std::string& name;
  uint32_t index;
};

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

absl::Status Refused(const Interface& i, int error) {
  DECLARE_LIBBPF_OPTS(bpf_xdp_query_opts, q);
  if (error == EBUSY && bpf_xdp_query(static_cast<int>(i.index), 0, &q) == 0 && q.prog_id != 0)
    return absl::FailedPreconditionError(
        absl::StrCat("interface ", i.name, " already has XDP program ", q.prog_id,
                     " of somebody else: see `bpftool prog show id ", q.prog_id,
                     "`, and `ip link set dev ", i.name, " xdp off` removes it"));
  return PosixError("attach XDP to",
                    absl::StrCat(i.name, " (`wbctl doctor ", i.name, "` tells what lacks)"), error);
}

absl::StatusOr<UniqueFd> CreateLink(int prog, const Interface& i, uint32_t flags, int* error) {
  DECLARE_LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
  UniqueFd link(bpf_link_create(prog, static_cast<int>(i.index), BPF_XDP, &opts));
  *error = errno;
  if (!link) return Refused(i, *error);
  return link;
}

absl::StatusOr<UniqueFd> NewLink(int prog, const Interface& i, AttachMode mode, XdpLink& to) {
  int error = 0;
  if (mode != AttachMode::kGeneric) {
    auto link = CreateLink(prog, i, XDP_FLAGS_DRV_MODE, &error);
    if (link.ok()) {
      to.native = true;
      to.why = mode == AttachMode::kNative ? "asked for" : "the driver has native XDP";
      return link;
    }
    if (mode == AttachMode::kNative || error == EBUSY) return link.status();
    to.why = absl::StrCat("native XDP was refused (", strerror(error), "): slower; `wbctl doctor ",
                          i.name, "` tells the remedy");
  } else {
    to.why = "asked for";
  }
  return CreateLink(prog, i, XDP_FLAGS_SKB_MODE, &error);
}

}  // namespace

std::string XdpLinkPin(const std::string& pin_dir, const std::string& interface) {
  return absl::StrCat(pin_dir, "/", kLinkPrefix, interface);
}

absl::StatusOr<int> Mtu(const std::string& name) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (!fd || ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return PosixError("read the MTU of", name);
  return request.ifr_mtu;
}

absl::StatusOr<int> CheckXdpMtu(const std::string& name) {
  if (if_nametoindex(name.c_str()) == 0)
    return absl::NotFoundError(
        absl::StrCat("there is no interface ", name, " in this network namespace"));
  WB_ASSIGN_OR_RETURN(const int mtu, Mtu(name));
  if (mtu > kMaxMtu)
    return absl::FailedPreconditionError(absl::StrCat(
        "MTU ", mtu, " of ", name, " is more than one XDP frame takes: `ip link set dev ", name,
        " mtu ", kMaxMtu, "` or less"));
  return mtu;
}

absl::StatusOr<XdpLink> AttachXdp(int program, const std::string& pin_dir, const std::string& name,
                                  AttachMode mode) {
  const Interface i = {name, if_nametoindex(name.c_str())};
  const std::string pin = XdpLinkPin(pin_dir, name);
  XdpLink to;
  if (UniqueFd old(bpf_obj_get(pin.c_str())); old) {
    to.taken_over = bpf_link_update(old.get(), program, nullptr) == 0 &&
                    Carries(i.index, ProgramId(program), &to.native);
    if (to.taken_over) return to;
    unlink(pin.c_str());  // of an interface that is gone, or another namespace's
  }
  WB_ASSIGN_OR_RETURN(UniqueFd link, NewLink(program, i, mode, to));
  if (bpf_obj_pin(link.get(), pin.c_str()) != 0) return PosixError("pin", pin);
  return to;
}

std::optional<AttachMode> XdpLinkMode(const std::string& pin_dir, const std::string& name) {
  UniqueFd link(bpf_obj_get(XdpLinkPin(pin_dir, name).c_str()));
  if (!link) return std::nullopt;
  const LinkFacts facts = ReadLink(link.get());
  bool native = false;
  if (facts.ifindex == 0 || facts.ifindex != if_nametoindex(name.c_str()) ||
      !Carries(facts.ifindex, facts.program, &native))
    return std::nullopt;
  return native ? AttachMode::kNative : AttachMode::kGeneric;
}

bool XdpLinkHolds(const std::string& pin_dir, const std::string& name, uint32_t ifindex) {
  UniqueFd link(bpf_obj_get(XdpLinkPin(pin_dir, name).c_str()));
  return link && ReadLink(link.get()).ifindex == ifindex;
}

absl::Status DetachXdp(const std::string& pin_dir, const std::string& name) {
  const std::string pin = XdpLinkPin(pin_dir, name);
  absl::Status status;
  if (UniqueFd link(bpf_obj_get(pin.c_str())); link) {
    if (bpf_link_detach(link.get()) != 0 && errno != ENOLINK)
      status = PosixError("detach XDP from", name);
    unlink(pin.c_str());
  }
  return status;
}

std::vector<std::string> PinnedXdpLinks(const std::string& pin_dir,
                                        std::vector<std::string>* gone) {
  std::vector<std::string> pinned;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(pin_dir, ec)) {
    const std::string file = entry.path().filename().string();
    if (file.starts_with(kLinkPrefix)) pinned.push_back(file.substr(sizeof(kLinkPrefix) - 1));
  }
  std::erase_if(pinned, [&](const std::string& name) {
    const std::string pin = XdpLinkPin(pin_dir, name);
    UniqueFd link(bpf_obj_get(pin.c_str()));
    if (!link || ReadLink(link.get()).ifindex != 0) return false;
    unlink(pin.c_str());
    gone->push_back(name);
    return true;
  });
  return pinned;
}

}  // namespace wb::kern
