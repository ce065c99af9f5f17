// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bulk_wire_fixture.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/support/machine.h"

namespace wb::bulk {
namespace {

constexpr int kPatienceMs = 5000;

}  // namespace

VethPair::VethPair(const std::string& name, int queues) : local_(name + "0"), peer_(name + "1") {
  const std::string many = absl::StrCat(" numtxqueues ", queues, " numrxqueues ", queues);
  support::Shell(absl::StrCat("ip link add ", local_, many, " type veth peer name ", peer_, many));
  for (const std::string& end : {local_, peer_}) {
    support::Shell("ip link set " + end + " addrgenmode none");
    support::Shell("ip link set " + end + " up");
  }
}

uint32_t VethPair::ifindex() const { return if_nametoindex(local_.c_str()); }

void VethPair::SetQueues(int queues) const {
  support::Shell(absl::StrCat("ethtool -L ", local_, " rx ", queues, " tx ", queues));
}

Receiver::Receiver(const std::string& interface)
    : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const int bytes = 64 << 20;
  EXPECT_EQ(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), 0);
}

std::vector<support::Bytes> Receiver::Take(size_t at_least) {
  std::vector<support::Bytes> frames;
  const auto from = TestEnds(false, 0).mac_self;
  for (;;) {
    pollfd waits = {fd_.get(), POLLIN, 0};
    if (poll(&waits, 1, frames.size() < at_least ? kPatienceMs : 0) != 1) return frames;
    support::Bytes frame(65536);
    const ssize_t n = recv(fd_.get(), frame.data(), frame.size(), 0);
    if (n < 14 || !std::equal(from.begin(), from.end(), frame.begin() + 6)) continue;
    frame.resize(static_cast<size_t>(n));
    frames.push_back(std::move(frame));
  }
}

Ends TestEnds(bool v6, uint16_t remote_port) {
  Ends ends;
  ends.mac_self = {2, 0, 0, 0, 0x77, 1};
  ends.mac_peer = {2, 0, 0, 0, 0x77, 2};
  ends.family = v6 ? 6 : 4;
  ends.local = v6 ? support::V6(1) : std::array<uint8_t, 16>{198, 18, 77, 1};
  ends.remote = v6 ? support::V6(2) : std::array<uint8_t, 16>{198, 18, 77, 2};
  ends.local_port = 80;
  ends.remote_port = remote_port;
  return ends;
}

Reply::Reply(Store& store, size_t header_bytes, size_t first, size_t bytes) {
  std::mt19937_64 random(header_bytes + 1000 * first + bytes);
  std::string header(header_bytes, '\0'), body(first + bytes + 77, '\0');
  for (char& c : header) c = static_cast<char>(random());
  for (char& c : body) c = static_cast<char>(random());
  auto object = store.Put(body);
  EXPECT_NE(object, nullptr);
  carried = header + body.substr(first, bytes);
  response = std::make_unique<Response>(std::move(header), std::move(object), first, bytes);
}

std::vector<std::shared_ptr<const Object>> Scatter(Store& store) {
  std::vector<std::shared_ptr<const Object>> kept, dropped;
  while (auto object = store.Put("x")) {
    (kept.size() == dropped.size() ? kept : dropped).push_back(std::move(object));
  }
  return kept;
}

void SendAll(Wire& wire, Segments segments, const std::function<bool()>& waiting) {
  const size_t end = segments.offset + segments.bytes;
  const bool psh = segments.psh;
  for (int patience = 1'000'000; segments.offset < end && patience > 0; --patience) {
    const size_t room = std::min<size_t>(wire.Room(), 100) * segments.segment_bytes;
    segments.bytes = std::min(room, end - segments.offset);
    segments.psh = psh && segments.offset + segments.bytes == end;
    if (segments.bytes > 0) wire.Send(segments);
    wire.Flush();
    segments.seq += static_cast<uint32_t>(segments.bytes);
    segments.offset += segments.bytes;
    if (segments.bytes > 0) segments.cwr = false;
  }
  for (int patience = 1'000'000; waiting() && patience > 0; --patience) wire.Flush();
}

void ExpectCarried(const std::vector<support::Bytes>& frames, const Segments& segments,
                   std::string_view carried, size_t missing) {
  std::set<size_t> seen;
  const Ends& ends = *segments.ends;
  for (const support::Bytes& frame : frames) {
    std::string why;
    const auto parsed = support::Parse(frame, &why);
    ASSERT_TRUE(parsed) << why;
    const support::Segment& s = parsed->segment;
    ASSERT_TRUE(parsed->ip_sum_ok);
    ASSERT_TRUE(parsed->tcp_sum_ok);
    ASSERT_EQ(s.v6, ends.family == 6);
    ASSERT_EQ(s.destination_mac, ends.mac_peer);
    ASSERT_EQ(s.destination_port, ends.remote_port);
    ASSERT_EQ(s.ack, segments.ack);
    const size_t within = s.seq - segments.seq;
    ASSERT_LT(within, segments.bytes);
    const size_t wanted = std::min<size_t>(segments.segment_bytes, segments.bytes - within);
    ASSERT_EQ(s.payload, carried.substr(segments.offset + within, wanted)) << within;
    const bool last = within + wanted == segments.bytes;
    ASSERT_EQ((s.flags & support::kPsh) != 0, segments.psh && last);
    ASSERT_EQ((s.flags & support::kCwr) != 0, segments.cwr && within == 0);
    ASSERT_TRUE(seen.insert(within).second) << "twice: " << within;
  }
  const size_t all = (segments.bytes + segments.segment_bytes - 1) / segments.segment_bytes;
  EXPECT_EQ(seen.size() + missing, all);
}

}  // namespace wb::bulk
