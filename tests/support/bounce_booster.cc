// SPDX-License-Identifier: Apache-2.0
// A booster's end of the bounce, for bounce_test.py: takes IP in IP out of its tunnel, and tells an
// accelerd what to bounce.
//
//   bounce_booster HOST PORT KEYFILE INTERFACE ORIGIN PINDIR
//
// Commands on standard input, a line each, are answered by a line of JSON:
//   set DOMAIN MODE    calm, boosted or drained; answered when it is in force, with the time it
//   took load               what the accelerd last said of its load
// Ends with its standard input.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "booster/link/channel_client.h"
#include "booster/link/socket_address.h"
#include "ctl/config/load.h"
#include "ctl/kern/bounce.h"
#include "nlohmann/json.hpp"
#include "webbooster/base/posix_error.h"

namespace wb {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{5000};

void Print(const nlohmann::json& line) { std::cout << line.dump() << std::endl; }

double Ms(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

// The origin's tunnel ends here, by the program that an origin has for directors' tunnels.
class TunnelEnd {
 public:
  static absl::StatusOr<std::unique_ptr<TunnelEnd>> Make(const std::string& interface,
                                                         const std::string& origin,
                                                         const std::string& pin_dir) {
    std::unique_ptr<TunnelEnd> end(new TunnelEnd);
    end->pin_dir_ = pin_dir;
    std::filesystem::create_directories(pin_dir);
    DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
    const bpf_insn pass[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS},
                             {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    end->pass_ = base::UniqueFd(
        bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", pass, std::size(pass), &opts));
    if (!end->pass_) return base::PosixError("load", "a program");
    WB_ASSIGN_OR_RETURN(auto address, link::SocketAddress::Parse(origin, 0));
    kern::Bounce::Options options;
    options.pin_dir = pin_dir;
    options.ingress = end->pass_.get();
    options.sources = {address.Mapped()};
    WB_ASSIGN_OR_RETURN(end->bounce_, kern::Bounce::Load(std::move(options)));
    end->link_ = base::UniqueFd(bpf_link_create(end->bounce_->program(),
                                                static_cast<int>(if_nametoindex(interface.c_str())),
                                                BPF_XDP, nullptr));
    if (!end->link_) return base::PosixError("attach to", interface);
    return end;
  }
  ~TunnelEnd() { std::filesystem::remove_all(pin_dir_); }
  uint64_t decapsulated() const { return bounce_->Counts().value()[WB_B_DECAPSULATED]; }

 private:
  TunnelEnd() = default;
  std::string pin_dir_;
  base::UniqueFd pass_;
  std::unique_ptr<kern::Bounce> bounce_;
  base::UniqueFd link_;
};

class Teller {
 public:
  Teller(link::ChannelClients& clients, link::ChannelClients::Id id) : clients_(clients), id_(id) {}

  nlohmann::json Set(const std::string& domain, const std::string& mode) {
    const std::map<std::string, link::BounceMode> modes = {{"calm", link::BounceMode::kCalm},
                                                           {"boosted", link::BounceMode::kBoosted},
                                                           {"drained", link::BounceMode::kDrained}};
    table_[domain] = modes.at(mode);
    std::vector<link::BounceEntry> entries;
    for (const auto& [name, one] : table_) entries.push_back({name, one});
    const auto begin = std::chrono::steady_clock::now();
    const auto serial = clients_.SetBounce(id_, entries);
    absl::Status status = serial.status();
    if (status.ok()) status = clients_.AwaitBounced(id_, *serial, kPatience);
    return {{"ok", status.ok()},
            {"ms", Ms(std::chrono::steady_clock::now() - begin)},
            {"error", std::string(status.message())}};
  }
  nlohmann::json Load() const {
    const auto load = clients_.load(id_);
    if (!load) return {{"ok", false}};
    nlohmann::json domains;
    for (const auto& [name, one] : load->domains)
      domains[name] = {{"requests", one.requests}, {"connections", one.connections}};
    return {{"ok", true},
            {"cpu", load->cpu},
            {"softirq", load->softirq},
            {"listen_queue", load->listen_queue},
            {"age_ms", Ms(std::chrono::steady_clock::now() - load->at)},
            {"domains", domains}};
  }

 private:
  link::ChannelClients& clients_;
  const link::ChannelClients::Id id_;
  std::map<std::string, link::BounceMode> table_;
};

absl::Status Main(char** argv) {
  link::ChannelTarget target{argv[1], static_cast<uint16_t>(atoi(argv[2])), {}};
  WB_ASSIGN_OR_RETURN(target.secret, config::ReadBoosterKey(argv[3]));
  signal(SIGPIPE, SIG_IGN);
  WB_ASSIGN_OR_RETURN(const auto tunnel, TunnelEnd::Make(argv[4], argv[5], argv[6]));
  link::Catalogue catalogue(1000);
  WB_ASSIGN_OR_RETURN(auto clients, link::ChannelClients::Start());
  WB_ASSIGN_OR_RETURN(const auto id, clients->Add(target, catalogue));
  Teller teller(*clients, id);
  Print({{"ok", true}});
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb, domain, mode;
    words >> verb >> domain >> mode;
    nlohmann::json answer = verb == "set" ? teller.Set(domain, mode) : teller.Load();
    answer["decapsulated"] = tunnel->decapsulated();
    Print(answer);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace wb

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const absl::Status status = wb::Main(argv);
  if (!status.ok()) wb::Print({{"ok", false}, {"error", status.ToString()}});
  return status.ok() ? 0 : 1;
}
