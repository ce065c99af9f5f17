// SPDX-License-Identifier: Apache-2.0
// What an accelerd tells of its catalogue, as lines of JSON:
//
//     catalogue_watch frames ADDRESS PORT KEY_FILE   each frame, until the connection ends
//     catalogue_watch client ADDRESS PORT KEY_FILE   what boosterd's client makes of it, for ever
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include "booster/link/catalogue.h"
#include "booster/link/channel_client.h"
#include "booster/link/channel_connection.h"
#include "ctl/config/load.h"
#include "nlohmann/json.hpp"
#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

constexpr std::chrono::milliseconds kLook{2};

void Print(const nlohmann::json& line) { std::cout << line.dump() << std::endl; }

absl::Status PrintFrame(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kCatalogueBegin:
      Print({{"event", "begin"}});
      return absl::OkStatus();
    case FrameType::kCatalogueEnd:
      Print({{"event", "end"}});
      return absl::OkStatus();
    case FrameType::kCataloguePut: {
      auto held = nlohmann::json::object();
      const absl::Status status =
          ReadPut(frame, [&](const Held& one) { held[HexOf(one.key)] = one.bytes; });
      Print({{"event", "put"}, {"held", held}});
      return status;
    }
    case FrameType::kCatalogueRemove: {
      auto keys = nlohmann::json::array();
      const absl::Status status =
          ReadRemove(frame, [&](const Key& key) { keys.push_back(HexOf(key)); });
      Print({{"event", "remove"}, {"keys", keys}});
      return status;
    }
    case FrameType::kLoad:
      return ReadLoad(frame).status();
    default:
      Print({{"event", "other"}, {"type", static_cast<uint16_t>(frame.type)}});
      return absl::OkStatus();
  }
}

absl::Status WatchFrames(const ChannelTarget& target) {
  WB_ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::Parse(target.host, target.port));
  WB_ASSIGN_OR_RETURN(const TlsContext context, TlsContext::Make(End::kBoosterd, target.secret));
  base::UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), address.get(), address.size()) != 0 ||
      fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0)
    return base::PosixError("connect to", target.host);
  WB_ASSIGN_OR_RETURN(auto channel,
                      ChannelConnection::Make(context, std::move(fd), ChannelClock::now()));
  for (bool open = false;; open = channel->open()) {
    const auto now = ChannelClock::now();
    WB_RETURN_IF_ERROR(channel->Run(now, PrintFrame));
    WB_RETURN_IF_ERROR(channel->Flush(now));
    if (channel->open() && !open) Print({{"event", "open"}});
    pollfd polled = {channel->fd(), channel->events(), 0};
    poll(&polled, 1, 50);
  }
}

absl::Status WatchClient(const ChannelTarget& target) {
  Catalogue catalogue(1 << 20);
  WB_ASSIGN_OR_RETURN(auto clients, ChannelClients::Start());
  WB_ASSIGN_OR_RETURN(const ChannelClients::Id id, clients->Add(target, catalogue));
  for (nlohmann::json before;;) {
    const ChannelState state = clients->state(id);
    nlohmann::json now = {{"open", state.open},          {"complete", state.complete},
                          {"entries", catalogue.size()}, {"opened", state.opened},
                          {"failed", state.failed},      {"error", state.last_error}};
    if (now != before) Print(now);
    before = std::move(now);
    std::this_thread::sleep_for(kLook);
  }
}

absl::Status Main(const std::string& what, const char* host, const char* port, const char* file) {
  ChannelTarget target{host, static_cast<uint16_t>(atoi(port)), {}};
  WB_ASSIGN_OR_RETURN(target.secret, config::ReadBoosterKey(file));
  signal(SIGPIPE, SIG_IGN);
  return what == "client" ? WatchClient(target) : WatchFrames(target);
}

}  // namespace
}  // namespace wb::link

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const absl::Status status = wb::link::Main(argv[1], argv[2], argv[3], argv[4]);
  wb::link::Print({{"event", "closed"},
                   {"why", std::string(status.message())},
                   {"code", absl::StatusCodeToString(status.code())}});
  return 1;
}
