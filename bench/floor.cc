// SPDX-License-Identifier: Apache-2.0
// wb_floor: the least that a reply can cost on this device, by bpf/bench_floor.bpf.c.
//   wb_floor attach   at the origin: attaches the program, prints "ready", detaches at the end of
//                     standard input and prints what the program counted
//   wb_floor send     at the client: sends marked datagrams, prints one line of JSON
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/floor_sender.h"

// As in bpf/bench_floor.bpf.c, which the skeleton names but does not define; Attach compares the
// size.
struct floor_settings {
  uint32_t last_bytes;
  uint32_t full_bytes;
  uint32_t nseg;
};
#include "bench_floor.skel.h"

namespace wb::bench {
namespace {

struct FloorOptions {
  std::string interface;
  uint32_t segments = 1;
  uint32_t full_frame = 1514;
  uint32_t last_frame = 1514;
};

struct DestroySkeleton {
  void operator()(floor_bpf* skeleton) const { floor_bpf__destroy(skeleton); }
};

uint64_t Counter(int map_fd, uint32_t key) {
  std::vector<uint64_t> values(libbpf_num_possible_cpus());
  if (bpf_map_lookup_elem(map_fd, &key, values.data()) != 0) return 0;
  uint64_t sum = 0;
  for (const uint64_t value : values) sum += value;
  return sum;
}

int Complain(const char* what) {
  std::fprintf(stderr, "wb_floor: %s: %s\n", what, std::strerror(errno));
  return 1;
}

int Attach(const FloorOptions& options) {
  const uint32_t ifindex = if_nametoindex(options.interface.c_str());
  if (ifindex == 0) return Complain(options.interface.c_str());
  const std::unique_ptr<floor_bpf, DestroySkeleton> skeleton(floor_bpf__open());
  if (skeleton == nullptr) return Complain("open");
  if (bpf_map__value_size(skeleton->maps.rodata) != sizeof(*skeleton->rodata)) {
    errno = EPROTO;
    return Complain("settings");
  }
  skeleton->rodata->floor_settings.nseg = options.segments;
  skeleton->rodata->floor_settings.full_bytes = options.full_frame;
  skeleton->rodata->floor_settings.last_bytes = options.last_frame;
  if (floor_bpf__load(skeleton.get()) != 0) return Complain("load");
  // One entry more than segments: the original frame leaves last and has no room to grow.
  for (uint32_t i = 0; i <= options.segments; ++i) {
    bpf_devmap_val value = {};
    value.ifindex = ifindex;
    value.bpf_prog.fd = bpf_program__fd(skeleton->progs.floor_segment);
    if (bpf_map_update_elem(bpf_map__fd(skeleton->maps.floor_devmap), &i, &value, 0) != 0) {
      return Complain("devmap");
    }
  }
  const int program = bpf_program__fd(skeleton->progs.floor_ingress);
  const uint32_t flags = XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST;
  if (bpf_xdp_attach(ifindex, program, flags, nullptr) != 0) return Complain("attach");
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  const int error = bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, nullptr);
  const int state = bpf_map__fd(skeleton->maps.floor_state);
  const nlohmann::json json = {{"datagrams", Counter(state, 1)}, {"segments", Counter(state, 2)}};
  std::printf("%s\n", json.dump().c_str());
  return error == 0 ? 0 : Complain("detach");
}

int Send(const FloorSendOptions& options) {
  const FloorSendResult result = SendToFloor(options);
  nlohmann::json json = {{"requests", result.requests},
                         {"lost", result.lost},
                         {"seconds", result.seconds},
                         {"cpu_ns", result.cpu_ns}};
  if (!result.error.empty()) json["error"] = result.error;
  std::printf("%s\n", json.dump().c_str());
  return result.error.empty() ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("The least that a reply can cost on this device; see bench/floor.cc.");
  app.require_subcommand(1);
  FloorOptions floor;
  CLI::App* attach = app.add_subcommand("attach", "at the origin: be the floor");
  attach->add_option("--if", floor.interface, "interface")->required();
  attach->add_option("--segments", floor.segments, "packets to a reply")
      ->required()
      ->check(CLI::Range(1, 32));
  attach->add_option("--full", floor.full_frame, "frame bytes of each packet but the last");
  attach->add_option("--last", floor.last_frame, "frame bytes of the last")->required();
  FloorSendOptions sender;
  CLI::App* send = app.add_subcommand("send", "at the client: trigger it");
  send->add_option("--host", sender.host, "IPv4 address of the origin")->required();
  send->add_option("--payload", sender.payload_bytes, "bytes of a datagram");
  send->add_option("--segments", sender.segments, "packets to a reply")->required();
  send->add_option("--outstanding", sender.outstanding, "datagrams under way");
  send->add_option("--warm", sender.warm_s, "seconds before measuring");
  send->add_option("--seconds", sender.window_s, "seconds of measuring");
  send->add_option("--cpu-pid", sender.cpu_pids, "process whose run time to report; repeatable");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return attach->parsed() ? Attach(floor) : Send(sender);
}

}  // namespace
}  // namespace wb::bench

int main(int argc, char** argv) { return wb::bench::Main(argc, argv); }
