// SPDX-License-Identifier: Apache-2.0
//
// XDP, clsact and tcx programs on an interface, and the trial attachment.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <array>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "ctl/doctor/kernel_readings.h"
#include "ctl/doctor/netlink.h"
#include "webbooster/base/unique_fd.h"

namespace wb::doctor {
namespace {

constexpr char kDispatcherName[] = "xdp_dispatcher";

// linux/bpf.h has them since 6.6; Debian 12's headers do not.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

int Silent(libbpf_print_level, const char*, va_list) { return 0; }
int SilentXdp(libxdp_print_level, const char*, va_list) { return 0; }

// Expected failures of a trial must not print; both libraries log through a global.
class Silence {
 public:
  Silence() : bpf_(libbpf_set_print(Silent)), xdp_(libxdp_set_print(SilentXdp)) {}
  ~Silence() {
    libbpf_set_print(bpf_);
    libxdp_set_print(xdp_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  libbpf_print_fn_t bpf_;
  libxdp_print_fn_t xdp_;
};

// 0 where the program is attached without a link, or links cannot be listed (CAP_SYS_ADMIN).
// bpf_link_info of the headers may be older than the kernel's: ifindex is first in both members.
uint32_t FindLink(uint32_t ifindex, uint32_t prog_id) {
  uint32_t id = 0;
  while (bpf_link_get_next_id(id, &id) == 0) {
    const int fd = bpf_link_get_fd_by_id(id);
    if (fd < 0) continue;
    const base::UniqueFd owner(fd);
    bpf_link_info info;  // "= {}" leaves most of the union unset, and the kernel reads it
    memset(&info, 0, sizeof(info));
    uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.prog_id == prog_id &&
        info.xdp.ifindex == ifindex) {
      return id;
    }
  }
  return 0;
}

ProgramFacts Program(uint32_t ifindex, uint32_t id, const std::string& mode) {
  ProgramFacts program;
  program.id = id;
  program.name = ProgramName(id);
  program.mode = mode;
  program.link_id = FindLink(ifindex, id);
  return program;
}

// libxdp is asked only about what bears its dispatcher's name: of any other program it keeps a file
// descriptor that xdp_multiprog__close() does not give back (libxdp 1.3.1), and so the program.
void ReadDispatcher(uint32_t ifindex, ProgramFacts& program) {
  if (program.name != kDispatcherName) return;
  const Silence silence;
  xdp_multiprog* dispatcher = xdp_multiprog__get_from_ifindex(static_cast<int>(ifindex));
  if (libxdp_get_error(dispatcher) != 0) return;
  const absl::Cleanup closer = [dispatcher] { xdp_multiprog__close(dispatcher); };
  if (xdp_multiprog__is_legacy(dispatcher)) return;
  program.dispatcher = true;
  for (xdp_program* member = xdp_multiprog__next_prog(nullptr, dispatcher); member != nullptr;
       member = xdp_multiprog__next_prog(member, dispatcher)) {
    program.members.push_back(xdp_program__name(member));
  }
}

int AttachAndDetach(uint32_t ifindex, int fd, uint32_t mode) {
  const int index = static_cast<int>(ifindex);
  const int result = bpf_xdp_attach(index, fd, mode | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
  if (result != 0) return result;
  // Only what was attached here: another program that came meanwhile stays.
  LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = fd);
  return bpf_xdp_detach(index, mode | XDP_FLAGS_REPLACE, &options);
}

}  // namespace

std::string ProgramName(uint32_t id) {
  const int fd = bpf_prog_get_fd_by_id(id);
  if (fd < 0) return "";
  const base::UniqueFd owner(fd);
  bpf_prog_info info = {};
  uint32_t size = sizeof(info);
  return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.name : "";
}

std::vector<ProgramFacts> ReadXdp(uint32_t ifindex) {
  const Silence silence;
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return {};
  const struct {
    uint32_t id;
    uint8_t attach_mode;
    const char* mode;
  } slots[] = {{query.drv_prog_id, XDP_ATTACHED_DRV, "native"},
               {query.skb_prog_id, XDP_ATTACHED_SKB, "generic"},
               {query.hw_prog_id, XDP_ATTACHED_HW, "offloaded"}};
  std::vector<ProgramFacts> programs;
  for (const auto& slot : slots) {
    // With a single program some kernels fill only prog_id.
    const uint32_t id =
        slot.id == 0 && query.attach_mode == slot.attach_mode ? query.prog_id : slot.id;
    if (id == 0) continue;
    programs.push_back(Program(ifindex, id, slot.mode));
    if (slot.attach_mode != XDP_ATTACHED_HW) ReadDispatcher(ifindex, programs.back());
  }
  return programs;
}

namespace {

std::vector<ProgramFacts> ReadClsact(uint32_t ifindex, Direction direction) {
  tcmsg header = {};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent =
      TC_H_MAKE(TC_H_CLSACT, direction == Direction::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  std::vector<ProgramFacts> programs;
  NetlinkRequest request(RTM_GETTFILTER, NLM_F_DUMP, header);
  // An error means there is no clsact qdisc, hence no program.
  request
      .Run(NETLINK_ROUTE,
           [&](std::string_view message) {
             const Attributes filter = ParseMessage(message, sizeof(tcmsg));
             const auto options = filter.find(TCA_OPTIONS);
             if (AttributeString(filter, TCA_KIND) != "bpf" || options == filter.end()) return;
             const Attributes bpf = ParseAttributes(options->second);
             const uint32_t id = AttributeU32(bpf, TCA_BPF_ID);
             if (id == 0) return;
             ProgramFacts program;
             program.id = id;
             program.name = ProgramName(id);
             // Without the right to look programs up: what the one who attached it called it.
             if (program.name.empty()) program.name = AttributeString(bpf, TCA_BPF_NAME);
             programs.push_back(program);
           })
      .IgnoreError();
  return programs;
}

std::vector<ProgramFacts> ReadTcx(uint32_t ifindex, Direction direction) {
  std::array<uint32_t, 64> ids = {};  // BPF_MPROG_MAX of the kernel
  LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids.data(),
              .prog_cnt = static_cast<uint32_t>(ids.size()));
  // The first argument shares its place in bpf_attr with target_ifindex.
  const bpf_attach_type type = direction == Direction::kIngress ? kTcxIngress : kTcxEgress;
  if (bpf_prog_query_opts(static_cast<int>(ifindex), type, &query) != 0) return {};
  std::vector<ProgramFacts> programs;
  for (uint32_t i = 0; i < query.prog_cnt && i < ids.size(); ++i) {
    programs.push_back(Program(ifindex, ids[i], ""));
  }
  return programs;
}

}  // namespace

TcFacts ReadTc(uint32_t ifindex, Direction direction) {
  return {ReadTcx(ifindex, direction), ReadClsact(ifindex, direction)};
}

AttachTrial TryAttachXdp(uint32_t ifindex) {
  const Silence silence;
  const int fd = LoadTrivialXdp(XDP_PASS);
  if (fd < 0) return {"none", absl::StrCat("load a trial program: ", strerror(-fd))};
  const base::UniqueFd owner(fd);
  const int native = AttachAndDetach(ifindex, fd, XDP_FLAGS_DRV_MODE);
  if (native == 0) return {"native", ""};
  const int generic = AttachAndDetach(ifindex, fd, XDP_FLAGS_SKB_MODE);
  if (generic == 0) return {"generic", absl::StrCat("native: ", strerror(-native))};
  return {"none", absl::StrCat("native: ", strerror(-native), ", generic: ", strerror(-generic))};
}

}  // namespace wb::doctor
