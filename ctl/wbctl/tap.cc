// SPDX-License-Identifier: Apache-2.0
// wbctl tap: the packets that XDP answers and sends, as text or as a pcap file.
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>

#include "ctl/observe/capture.h"
#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

struct TapArgs {
  api::TapRequest request;
  std::string file;  // empty: text
};

volatile std::sig_atomic_t g_interrupted = 0;

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { g_interrupted = 1; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

void Tap(Context& context, const TapArgs& args) {
  std::ofstream file;
  if (!args.file.empty() && args.file != "-") {
    file.open(args.file, std::ios::binary | std::ios::trunc);
    if (!file) return context.Fail("tap", absl::ErrnoToStatus(errno, "cannot write " + args.file));
  }
  std::ostream& out = file.is_open() ? file : std::cout;
  const bool pcap = !args.file.empty();
  if (pcap) out << observe::PcapHeader(static_cast<uint32_t>(args.request.snaplen));
  uint64_t shown = 0;
  observe::CaptureReader* names = nullptr;
  observe::CaptureReader reader([&](const observe::CapturedPacket& packet) {
    ++shown;
    if (pcap) {
      out << observe::PcapRecord(packet);
    } else {
      out << observe::DescribePacket(packet, names->interface_name(packet.interface)) << "\n";
    }
  });
  names = &reader;
  CatchInterrupts();
  absl::Status read;
  api::Client client = context.MakeClient();
  const absl::Status status = client.Tap(args.request, [&](const char* data, size_t size) {
    read = reader.Read({data, size});
    out.flush();
    return read.ok() && out && g_interrupted == 0;
  });
  std::cerr << shown << " packets captured\n"
            << reader.counts().received << " packets copied by XDP, " << reader.counts().lost
            << " of them lost\n";
  if (!status.ok()) return context.Fail("tap", status);
  if (!read.ok()) return context.Fail("tap", read);
  if (!out) context.Fail("tap", absl::DataLossError("cannot write any more"));
}

}  // namespace

void AddTapCommand(CLI::App& app, Context& context) {
  const auto args = std::make_shared<TapArgs>();
  api::TapRequest& r = args->request;
  CLI::App* command = app.add_subcommand("tap", "the packets that XDP answers, and its answers");
  command->add_option("-w,--write", args->file, "write a pcap file; -: standard output");
  command->add_option("--domain", r.domain, "requests for this domain, and their replies");
  command->add_option("--peer", r.peer, "this client or booster")
      ->check(CLI::ValidIPV4 | CLI::Validator(
                                   [](std::string& text) {
                                     return text.find(':') == text.npos ? std::string("no address")
                                                                        : std::string();
                                   },
                                   "IPV6"));
  command->add_option("--port", r.port, "the peer's port, or ours")->check(CLI::Range(1U, 65535U));
  command->add_option("--snaplen", r.snaplen, "bytes of each frame")
      ->check(CLI::Range(uint64_t{1}, api::kMaxSnaplen));
  command->add_option("--count", r.count, "end after so many packets")
      ->check(CLI::Range(uint64_t{1}, uint64_t{UINT32_MAX}));
  command->add_option("--duration", r.duration_s, "end after so many seconds")
      ->check(CLI::Range(uint64_t{1}, api::kMaxTapDurationS));
  command->callback([&context, args] { Tap(context, *args); });
}

}  // namespace wb::wbctl
