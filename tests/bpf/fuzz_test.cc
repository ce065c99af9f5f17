// SPDX-License-Identifier: Apache-2.0
// The loaded programs under random packets: plausible ones of followed connections, most of them
// damaged, and strangers. Whatever comes, no packet is passed but changed wrongly, nothing is
// answered that is not of a followed connection or has a wrong checksum, what is answered are the
// cached object's bytes, within the peer's window, and no connection changes by another's packet.
// Environment: WB_FUZZ_SECONDS (60), WB_FUZZ_SEED (random, printed).
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/bpf/timeline.h"

namespace wb::bpf_test {
namespace {

using support::PacketBuilder;
using support::Segment;

constexpr int kConnections = 24;

uint32_t Number(const char* name, uint32_t otherwise) {
  const char* text = getenv(name);
  return text != nullptr ? static_cast<uint32_t>(strtoul(text, nullptr, 10)) : otherwise;
}

uint32_t Load(const Bytes& frame, size_t at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value = value << 8 | frame[at + i];
  return value;
}

// Where TCP is in a frame, by the plain reading of RFC 791, 8200 and 9293: nothing if there is
// none.
struct Place {
  size_t tcp = 0, options = 0, payload = 0, end = 0;
  wb_conn_key key = {};
};

std::optional<Place> Locate(const Bytes& frame, bool out) {
  if (frame.size() < 14) return std::nullopt;
  Place p;
  const uint32_t type = Load(frame, 12, 2);
  auto word = [&](size_t at) {
    uint32_t w;
    memcpy(&w, &frame[at], 4);
    return w;
  };
  if (type == 0x0800) {
    if (frame.size() < 34 || (frame[14] & 15) < 5 || frame[23] != 6 ||
        (Load(frame, 20, 2) & 0x3fff) != 0)
      return std::nullopt;
    p.tcp = 14 + 4 * (frame[14] & 15);
    p.end = 14 + Load(frame, 16, 2);
    p.key.remote_be32[2] = p.key.local_be32[2] = htonl(0xffff);
    p.key.remote_be32[3] = word(26);
    p.key.local_be32[3] = word(30);
  } else if (type == 0x86dd) {
    if (frame.size() < 54) return std::nullopt;
    p.end = 54 + Load(frame, 18, 2);
    p.tcp = 54;
    uint8_t next = frame[20];
    for (int i = 0; i < 4 && (next == 0 || next == 43 || next == 60); ++i) {
      if (p.tcp + 2 > frame.size()) return std::nullopt;
      next = frame[p.tcp];
      p.tcp += 8 + 8 * frame[p.tcp + 1];
    }
    if (next != 6) return std::nullopt;
    for (size_t i = 0; i < 4; ++i) {
      p.key.remote_be32[i] = word(22 + 4 * i);
      p.key.local_be32[i] = word(38 + 4 * i);
    }
  } else {
    return std::nullopt;
  }
  if (out) p.end = frame.size();
  if (p.end > frame.size() || p.tcp + 20 > p.end) return std::nullopt;
  p.options = p.tcp + 20;
  p.payload = p.tcp + 4 * (frame[p.tcp + 12] >> 4);
  if (p.payload < p.options || p.payload > p.end) return std::nullopt;
  memcpy(&p.key.remote_port_be16, &frame[p.tcp], 2);
  memcpy(&p.key.local_port_be16, &frame[p.tcp + 2], 2);
  if (out) {
    std::swap_ranges(p.key.remote_be32, p.key.remote_be32 + 4, p.key.local_be32);
    std::swap(p.key.remote_port_be16, p.key.local_port_be16);
  }
  return p;
}

// What the TCP checksum is off by, in one's complement: 0xffff when it holds.
uint16_t TcpSum(const Bytes& frame, const Place& p) {
  const bool v6 = Load(frame, 12, 2) == 0x86dd;
  const char* bytes = reinterpret_cast<const char*>(frame.data());
  const std::string_view addresses(bytes + (v6 ? 22 : 26), v6 ? 32 : 8);
  return support::InternetSum(
      {bytes + p.tcp, p.end - p.tcp},
      support::InternetSum(addresses) + static_cast<uint32_t>(p.end - p.tcp) + 6);
}

class Fuzz {
 public:
  Fuzz(Harness& h, uint32_t seed) : h_(h), random_(seed) {
    for (const size_t body : {10, 1100, 1448, 3000, 11400}) {
      const std::string target = "/o" + std::to_string(body);
      std::string key = std::to_string(body);
      key.insert(0, 32 - key.size(), '0');
      const Object o = h_.Publish(target, {.body = body, .key = key});
      keys_.push_back(key);
      answers_.push_back({target, o});
    }
    for (int i = 0; i < kConnections; ++i) {
      ConnOptions c;
      c.v6 = i % 2 != 0;
      c.timestamps = i % 3 == 0;
      c.sack = i % 4 < 2;
      c.booster = i % 5 == 0;
      c.us0 = i % 6 == 0 ? 0u - Below(60000) : random_();
      c.peer0 = i % 6 == 1 ? 0u - Below(3000) : random_();
      connections_.push_back({Timeline(h_, c), {}});
      connections_.back().begun = connections_.back().t.state();
    }
  }

  void Step() {
    Connection& c = connections_[Below(kConnections)];
    wb_conn_state& s = c.t.state();
    // What ends all hits must not end all interesting packets.
    const bool dead = s.flags & (WB_CF_UNSYNCED | WB_CF_CLOSING | WB_CF_GONE);
    if (Below(dead ? 3 : 2000) == 0) s = c.begun;
    if (Below(4) != 0 && s.k_rcv_nxt == s.k_passed_end && !s.resp_pending) c.t.Arm();
    if (Below(3) == 0) c.t.Later(Below(400));
    Below(4) == 0 ? FromKernel(c.t) : FromPeer(c.t);
  }

  // The last packet, in hexadecimal.
  std::string Last() const {
    std::string text;
    for (const uint8_t byte : last_) text += absl::StrCat(absl::Hex(byte, absl::kZeroPad2));
    return text;
  }
  std::string Report() const {
    return std::to_string(in_) + " packets in, " + std::to_string(answered_) + " answered, " +
           std::to_string(passed_) + " passed, " + std::to_string(dropped_) + " dropped; " +
           std::to_string(out_) + " packets out, " + std::to_string(withheld_) + " withheld";
  }
  uint64_t answered() const { return answered_; }
  uint64_t dropped() const { return dropped_; }

 private:
  struct Connection {
    Timeline t;
    wb_conn_state begun;
  };
  struct Answer {
    std::string target;
    Object object;
  };

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  uint32_t Near(uint32_t number) {
    switch (Below(8)) {
      case 0:
        return number + Below(3) - 1;
      case 1:
        return number - Below(4000);
      case 2:
        return number + Below(70000);
      case 3:
        return static_cast<uint32_t>(random_());
      default:
        return number;
    }
  }
  std::string Noise(size_t bytes) {
    std::string noise(bytes, '\0');
    for (char& c : noise) c = static_cast<char>(random_());
    return noise;
  }

  std::string OneRequest() {
    const Answer& a = answers_[Below(static_cast<uint32_t>(answers_.size()))];
    switch (Below(8)) {
      case 0:
        return Request("HEAD", a.target);
      case 1:
        return Get(a.target, "If-None-Match: \"5f-1a2b\"\r\n");
      case 2:
        return Get("/miss", Below(2) ? "" : "Range: bytes=0-1\r\n");
      case 3:
        return Request("POST", a.target, "Content-Length: 5\r\n") + "hello";
      case 4:
        return Get(a.target, Below(2) ? "Cookie: a=b\r\n" : "X-Any: thing\r\n");
      default:
        return Get(a.target);
    }
  }
  std::string Keyed() {
    std::string all;
    for (uint32_t n = 1 + Below(4); n > 0; --n) {
      const size_t i = Below(static_cast<uint32_t>(answers_.size()));
      const std::string head = "GET " + answers_[i].target + " HTTP/1.1\r\nHost: site.test\r\n";
      char field[64];
      snprintf(field, sizeof(field), "WB-Key: %04zx%s\r\n\r\n", head.size() + 48, keys_[i].c_str());
      all += head + field;
    }
    return all;
  }
  std::string Payload() {
    std::string p = Below(5) == 0 ? Keyed() : OneRequest();
    switch (Below(12)) {
      case 0:
        return "";
      case 1:
        return p + OneRequest();
      case 2:
        return p.substr(0, Below(static_cast<uint32_t>(p.size())));
      case 3:
        p[Below(static_cast<uint32_t>(p.size()))] = static_cast<char>(random_());
        return p;
      case 4:
        p.insert(Below(static_cast<uint32_t>(p.size())), Noise(1 + Below(8)));
        return p;
      case 5:
        return Noise(Below(1400));
      default:
        return p;
    }
  }

  // Makes a segment odd in one way or another, or leaves it.
  Bytes Damaged(Segment s) {
    if (Below(3) == 0) return PacketBuilder(s).Build();
    if (Below(10) == 0) s.flags = static_cast<uint8_t>(random_());
    if (Below(10) == 0) s.window = static_cast<uint16_t>(random_());
    if (Below(20) == 0) {
      const std::string noise = Noise(4 * Below(11));
      s.options.assign(noise.begin(), noise.end());
    }
    if (Below(30) == 0) s.source_port = static_cast<uint16_t>(random_());
    if (Below(40) == 0) s.source = s.v6 ? support::V6(0x66) : support::V4(198, 18, 9, 9);
    PacketBuilder b(s);
    switch (Below(24)) {
      case 0:
        b.BadTcpChecksum();
        break;
      case 1:
        b.PartialChecksum();
        break;
      case 2:
        b.DataOffset(static_cast<uint8_t>(Below(16)));
        break;
      case 3:
        b.IpLength(static_cast<uint16_t>(random_() >> Below(16)));
        break;
      case 4:
        b.PadTo(60 + Below(1000));
        break;
      case 5:
        b.Vlan(static_cast<uint16_t>(Below(4095)));
        break;
      case 6:
        s.v6 ? b.Extension(0, {0, 0, 1, 4, 0, 0, 0, 0}) : b.IpOptions({1, 1, 1, 1});
        break;
      case 7:
        s.v6 ? b.Protocol(17) : b.Fragment(static_cast<uint16_t>(random_()));
        break;
      default:
        break;
    }
    Bytes frame = b.Build();
    if (Below(10) == 0)
      for (uint32_t n = 1 + Below(4); n > 0; --n)
        frame[Below(static_cast<uint32_t>(frame.size()))] ^= static_cast<uint8_t>(1 << Below(8));
    if (Below(30) == 0) frame.resize(14 + Below(static_cast<uint32_t>(frame.size())));
    return frame;
  }

  Connection* Owner(const std::optional<Place>& p) {
    if (!p) return nullptr;
    for (Connection& c : connections_)
      if (memcmp(&c.t.state().key, &p->key, sizeof(p->key)) == 0) return &c;
    return nullptr;
  }

  std::vector<wb_conn_state> States() {
    std::vector<wb_conn_state> all;
    for (Connection& c : connections_) all.push_back(c.t.state());
    return all;
  }
  void ExpectOthersAsBefore(const std::vector<wb_conn_state>& before, const Connection* owner) {
    for (size_t i = 0; i < before.size(); ++i)
      ASSERT_TRUE(&connections_[i] == owner ||
                  memcmp(&before[i], &connections_[i].t.state(), sizeof(before[i])) == 0)
          << "connection " << i << " changed by a packet that is not its own";
  }

  // `is` came of `was`; only numbers, window, SACK blocks and checksum may differ.
  void ExpectOnlyNumbersChanged(const Bytes& was, const Bytes& is, const Place& p, uint32_t d_seq,
                                uint32_t d_ack, uint32_t ack_instead) {
    ASSERT_EQ(was.size(), is.size());
    for (size_t i = 0; i < was.size(); ++i) {
      const size_t at = i - p.tcp;
      const bool may = i >= p.tcp && i < p.payload &&
                       ((at >= 4 && at < 12) || (at >= 14 && at < 18) || at >= 20);
      ASSERT_TRUE(may || was[i] == is[i]) << "byte " << i << " was changed";
    }
    ASSERT_EQ(Load(is, p.tcp + 4, 4), Load(was, p.tcp + 4, 4) + d_seq);
    const uint32_t ack = Load(is, p.tcp + 8, 4), ack_was = Load(was, p.tcp + 8, 4);
    const bool counts = was[p.tcp + 13] & support::kAck;
    ASSERT_TRUE(counts ? ack == ack_was + d_ack || ack == ack_instead : ack == ack_was)
        << ack << " for " << ack_was;
    const uint16_t sum_was = TcpSum(was, p), sum = TcpSum(is, p);
    ASSERT_EQ(sum % 0xffff, sum_was % 0xffff) << "the checksum follows the change";
  }

  void ExpectPassed(const Bytes& was, const Bytes& is, const std::optional<Place>& p, bool spliced,
                    uint32_t d_seq, uint32_t d_ack, uint32_t ack_instead) {
    if (is == was) return;
    ASSERT_TRUE(spliced && p) << "changed, but not spliced";
    ExpectOnlyNumbersChanged(was, is, *p, d_seq, d_ack, ack_instead);
  }

  void FromPeer(Timeline& t) {
    const wb_conn_state& s = t.state();
    Unusual u;
    const uint32_t una = s.snd_una - t.options().us0;
    if (t.options().sack && Below(4) == 0)
      u.sack = {{una + 1448 * Below(4), una + 1448 * (4 + Below(4))}};
    u.ts_ahead = Below(20) == 0 ? static_cast<uint32_t>(random_()) : Below(3);
    const uint32_t seq = Near(s.k_passed_end + s.d_in) - t.options().peer0;
    const uint32_t ack = Near(Below(3) == 0 ? s.snd_una : s.k_snd_nxt + s.d_out) - t.options().us0;
    const Bytes frame = Damaged(t.FromPeer(seq, ack, Payload(), u));
    const std::optional<Place> p = Locate(frame, false);
    Connection* owner = Owner(p);
    const std::vector<wb_conn_state> before = States();
    const wb_conn_state state = owner ? owner->t.state() : wb_conn_state{};
    in_++;
    last_ = frame;
    const Ran ran = h_.Ingress(frame);
    switch (ran.verdict) {
      case XDP_PASS:
        passed_++;
        ExpectPassed(frame, ran.frame, p, owner && (state.d_in | state.d_out), 0u - state.d_in,
                     0u - state.d_out, state.k_snd_una);
        break;
      case XDP_DROP:
        dropped_++;
        ASSERT_TRUE(owner) << "dropped a packet that is not ours";
        break;
      case XDP_REDIRECT:
        answered_++;
        ASSERT_TRUE(owner) << "answered a stranger";
        ASSERT_NO_FATAL_FAILURE(ExpectAnswer(*owner, state, frame, *p, ran.frame));
        break;
      default:
        FAIL() << "verdict " << ran.verdict;
    }
    ASSERT_NO_FATAL_FAILURE(ExpectOthersAsBefore(before, owner));
  }

  void ExpectAnswer(Connection& c, const wb_conn_state& before, const Bytes& request,
                    const Place& at, const Bytes& marked) {
    const std::vector<Bytes> frames = h_.Segments(marked);
    const wb_conn_state& s = c.t.state();
    ASSERT_FALSE(frames.empty());
    const uint32_t grown = s.d_out - before.d_out, wire = before.k_snd_nxt + before.d_out;
    std::string stream;
    uint32_t next = 0;
    for (const Bytes& frame : frames) {
      std::string why;
      const auto p = support::Parse(frame, &why);
      ASSERT_TRUE(p) << why;
      ASSERT_TRUE(p->ip_sum_ok && p->tcp_sum_ok);
      ASSERT_EQ(p->segment.destination_port, ntohs(s.key.remote_port_be16));
      ASSERT_LE(p->segment.payload.size(), 1448u);
      if (stream.empty()) next = p->segment.seq;
      ASSERT_EQ(p->segment.seq, next) << "a hole";
      next += Len(p->segment.payload);
      stream += p->segment.payload;
    }
    ASSERT_LE(next - s.snd_una, std::max(s.peer_wnd, before.peer_wnd)) << "beyond the window";
    if (grown == 0) return;  // sent again
    ASSERT_EQ(next - Len(stream), wire);
    ASSERT_EQ(stream.size(), grown);
    ASSERT_EQ(s.d_in - before.d_in, at.end - at.payload);
    const uint16_t sum = TcpSum(request, at);
    ASSERT_EQ(sum, 0xffff) << "answered a damaged packet";
    const std::string_view text(reinterpret_cast<const char*>(&request[at.payload]),
                                at.end - at.payload);
    std::string due;
    const bool keyed = c.t.options().booster && Keys(text, &due);
    if (!keyed) Named(text, stream.starts_with("HTTP/1.1 304"), &due);
    ASSERT_TRUE(stream == due) << "other bytes for " << text;
  }

  // What keyed requests are to be answered with (abi/key_field.h); false if these are none.
  bool Keys(std::string_view text, std::string* due) {
    while (!text.empty()) {
      if (text.size() < 48 || text.substr(text.size() - 48, 8) != "WB-Key: ") return false;
      const std::string_view tail = text.substr(text.size() - 40);
      const auto key = std::ranges::find(keys_, tail.substr(4, 32));
      const size_t length = std::stoul(std::string(tail.substr(0, 4)), nullptr, 16);
      if (key == keys_.end() || length > text.size() || length < 48) return false;
      due->insert(0, answers_[static_cast<size_t>(key - keys_.begin())].object.get);
      text.remove_suffix(length);
    }
    return true;
  }

  // What the one request of a direct client is to be answered with.
  void Named(std::string_view text, bool not_modified, std::string* due) {
    const size_t target = text.find(' ') + 1;
    const std::string_view name = text.substr(target, text.find(' ', target) - target);
    const auto a = std::ranges::find(answers_, name, &Answer::target);
    ASSERT_NE(a, answers_.end()) << "answered a request for " << name;
    ASSERT_EQ(text.find("\r\n\r\n") + 4, text.size());
    const bool head = text.starts_with("HEAD ");
    ASSERT_TRUE(head || text.starts_with("GET "));
    const std::string lower = absl::AsciiStrToLower(std::string(text));
    ASSERT_TRUE(!not_modified || (lower.find("\r\nif-none-match:") != lower.npos &&
                                  lower.find("\"5f-1a2b\"\r\n") != lower.npos));
    *due = not_modified ? a->object.not_modified : head ? a->object.head : a->object.get;
  }

  void FromKernel(Timeline& t) {
    const wb_conn_state& s = t.state();
    std::string payload;
    if (Below(3) != 0) payload = KernelResponse("200 OK", "Content-Length: 100\r\n", 100);
    if (Below(6) == 0) payload = Noise(Below(1400));
    if (Below(6) == 0) payload.resize(Below(static_cast<uint32_t>(payload.size()) + 1));
    const Bytes frame = Damaged(t.FromKernel(Near(s.k_snd_nxt) - t.options().us0,
                                             Near(s.k_passed_end) - t.options().peer0, payload));
    if (frame.size() < 54) return;  // a test run refuses less than an IP header
    const std::optional<Place> p = Locate(frame, true);
    Connection* owner = Owner(p);
    const std::vector<wb_conn_state> before = States();
    const wb_conn_state state = owner ? owner->t.state() : wb_conn_state{};
    out_++;
    last_ = frame;
    const Ran ran = h_.Egress(frame);
    if (ran.verdict == TC_ACT_SHOT) {
      withheld_++;
      ASSERT_TRUE(owner) << "withheld a packet that is not ours";
      ASSERT_TRUE((state.d_in | state.d_out) && p->end > p->payload);
      ASSERT_LT(static_cast<int32_t>(Load(frame, p->tcp + 4, 4) - state.k_floor), 0);
    } else {
      ASSERT_EQ(ran.verdict, static_cast<uint32_t>(TC_ACT_UNSPEC));
      ExpectPassed(frame, ran.frame, p, owner && (state.d_in | state.d_out), state.d_out,
                   state.d_in, p ? Load(frame, p->tcp + 8, 4) + state.d_in : 0);
    }
    ASSERT_NO_FATAL_FAILURE(ExpectOthersAsBefore(before, owner));
  }

  Harness& h_;
  std::mt19937 random_;
  std::vector<Answer> answers_;
  std::vector<std::string> keys_;
  std::vector<Connection> connections_;
  Bytes last_;
  uint64_t in_ = 0, answered_ = 0, passed_ = 0, dropped_ = 0, out_ = 0, withheld_ = 0;
};

class FuzzTest : public BpfTest {};

TEST_F(FuzzTest, NothingIsAnsweredOrChangedWrongly) {
  const uint32_t seed = Number("WB_FUZZ_SEED", std::random_device()());
  const uint64_t until = kern::MonotonicNs() + Number("WB_FUZZ_SECONDS", 60) * 1000 * kMs;
  printf("WB_FUZZ_SEED=%u\n", seed);
  fflush(stdout);
  Fuzz fuzz(h, seed);
  uint64_t steps = 0;
  while (kern::MonotonicNs() < until && !HasFailure()) {
    fuzz.Step();
    steps++;
  }
  if (HasFailure()) printf("%s\n", fuzz.Last().c_str());
  printf("%llu steps: %s\n", static_cast<unsigned long long>(steps), fuzz.Report().c_str());
  EXPECT_GT(fuzz.answered(), steps / 1000) << "too few packets mean anything";
  EXPECT_GT(fuzz.dropped(), 0u);
}

}  // namespace
}  // namespace wb::bpf_test
