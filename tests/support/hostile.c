// SPDX-License-Identifier: Apache-2.0
//
// Sends what an enemy on the wire may send to a web server: frames of many kinds, made from a seed,
// written raw to an interface (AF_PACKET). What it cannot know, sequence numbers above all, it
// guesses. Prints one JSON object: frames and bytes sent, by kind.
//   hostile IF SRC_MAC DST_MAC SERVER4 CLIENT4 SERVER6 CLIENT6
//           [--count N] [--seed N] [--rate PPS] [--known 4|6:PORT]... [--only KIND]
// --known: client port of a real connection from CLIENT4 or CLIENT6 to port 80; those kinds of
// frame that pretend to be of a connection pretend to be of these half of the time.
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMaxFrame = 1514, kBatch = 32, kMaxKnown = 256, kPort = 80 };
enum { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32 };

struct known {
  bool v6;
  uint16_t port;
};

// What the builder of a segment is told; what is not told is plausible.
struct segment {
  bool v6, known;
  uint8_t flags;
  uint32_t seq, ack;
  uint8_t ip_options[40], tcp_options[40];
  size_t ip_option_bytes, tcp_option_bytes, payload_bytes;
  const char* payload;
  bool bad_ip_sum, bad_tcp_sum;
  uint16_t fragment;  // the field of IPv4, host order
  uint8_t extension;  // IPv6: next header that comes before TCP, 0: none
};

static struct {
  const char* interface;
  uint8_t ethernet[12];
  uint8_t server4[4], client4[4], server6[16], client6[16];
  uint64_t count, rate;
  const char* only;
  struct known known[kMaxKnown];
  size_t n_known;
} opt = {.count = 100000, .rate = 20000};

static uint64_t random_state;

static void die(const char* what) {
  fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t rnd(void) {  // splitmix64
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static uint32_t below(uint32_t n) { return (uint32_t)(rnd() >> 32) % n; }

static void noise(uint8_t* to, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)rnd();
}

static void put16(uint8_t* to, uint32_t value) {
  to[0] = (uint8_t)(value >> 8);
  to[1] = (uint8_t)value;
}

static void put32(uint8_t* to, uint32_t value) {
  put16(to, value >> 16);
  put16(to + 2, value);
}

static uint32_t sum16(const uint8_t* data, size_t bytes, uint32_t sum) {
  for (size_t i = 0; i + 1 < bytes; i += 2) sum += (uint32_t)(data[i] << 8 | data[i + 1]);
  if (bytes & 1) sum += (uint32_t)data[bytes - 1] << 8;
  return sum;
}

static uint16_t fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static size_t ip4(uint8_t* at, const struct segment* s, size_t tcp_bytes, uint8_t protocol) {
  const size_t header = 20 + s->ip_option_bytes;
  memset(at, 0, 20);
  at[0] = (uint8_t)(0x40 | header / 4);
  put16(at + 2, (uint32_t)(header + tcp_bytes));
  put16(at + 4, (uint32_t)rnd());
  put16(at + 6, s->fragment);
  at[8] = 64;
  at[9] = protocol;
  if (s->known) {
    memcpy(at + 12, opt.client4, 4);
  } else {
    noise(at + 12, 4);
    at[12] = (uint8_t)(1 + below(223));
    if (at[12] == 127) at[12] = 11;
  }
  memcpy(at + 16, opt.server4, 4);
  memcpy(at + 20, s->ip_options, s->ip_option_bytes);
  put16(at + 10, fold(sum16(at, header, 0)) ^ (s->bad_ip_sum ? 0x0100 : 0));
  return header;
}

static size_t ip6(uint8_t* at, const struct segment* s, size_t tcp_bytes, uint8_t protocol) {
  const size_t extension = s->extension ? 8 : 0;
  memset(at, 0, 48);
  at[0] = 0x60;
  put16(at + 4, (uint32_t)(tcp_bytes + extension));
  at[6] = s->extension ? s->extension : protocol;
  at[7] = 64;
  noise(at + 8, 16);
  if (s->known) {
    memcpy(at + 8, opt.client6, 16);
  } else {
    at[8] = 0x20;
  }
  memcpy(at + 24, opt.server6, 16);
  if (extension) at[40] = protocol;
  if (s->extension == 44) {  // a fragment, the rest of which never comes
    put16(at + 42, (uint32_t)(below(2) ? 1 : below(100) << 3 | 1));
    noise(at + 44, 4);
  }
  return 40 + extension;
}

// Returns the frame's bytes.
static size_t build(uint8_t* frame, const struct segment* s, uint16_t port) {
  const size_t tcp = 20 + s->tcp_option_bytes, bytes = tcp + s->payload_bytes;
  memcpy(frame, opt.ethernet, 12);
  put16(frame + 12, s->v6 ? 0x86dd : 0x0800);
  uint8_t* ip = frame + 14;
  const size_t header = s->v6 ? ip6(ip, s, bytes, 6) : ip4(ip, s, bytes, 6);
  uint8_t* at = ip + header;
  put16(at, port);
  put16(at + 2, kPort);
  put32(at + 4, s->seq);
  put32(at + 8, s->ack);
  at[12] = (uint8_t)(tcp / 4 << 4);
  at[13] = s->flags;
  put16(at + 14, (uint32_t)rnd());
  put32(at + 16, 0);
  memcpy(at + 20, s->tcp_options, s->tcp_option_bytes);
  if (s->payload)
    memcpy(at + tcp, s->payload, s->payload_bytes);
  else
    noise(at + tcp, s->payload_bytes);
  uint32_t sum = 6 + (uint32_t)bytes;
  sum = s->v6 ? sum16(ip + 8, 32, sum) : sum16(ip + 12, 8, sum);
  put16(at + 16, fold(sum16(at, bytes, sum)) ^ (s->bad_tcp_sum ? 1u << below(16) : 0));
  return 14 + header + bytes;
}

static const char kRequest[] = "GET /s1024.html HTTP/1.1\r\nHost: site.test\r\n\r\n";

// A segment of a real connection half of the time, where there is one.
static uint16_t whose(struct segment* s) {
  s->v6 = below(2);
  s->seq = (uint32_t)rnd();
  s->ack = (uint32_t)rnd();
  if (opt.n_known && below(2)) {
    const struct known* k = &opt.known[below((uint32_t)opt.n_known)];
    s->v6 = k->v6;
    s->known = true;
    return k->port;
  }
  return (uint16_t)(1024 + below(64000));
}

static size_t segment(uint8_t* frame, uint8_t flags, const char* payload, size_t bytes) {
  struct segment s = {.flags = flags, .payload = payload, .payload_bytes = bytes};
  const uint16_t port = whose(&s);
  return build(frame, &s, port);
}

static size_t blind_ack(uint8_t* frame) { return segment(frame, kAck, 0, 0); }
static size_t blind_rst(uint8_t* frame) {
  return segment(frame, kRst | (below(2) ? kAck : 0), 0, 0);
}
static size_t blind_fin(uint8_t* frame) { return segment(frame, kFin | kAck, 0, 0); }
static size_t blind_data(uint8_t* frame) {
  return segment(frame, kAck | kPsh, kRequest, sizeof(kRequest) - 1);
}
static size_t tiny(uint8_t* frame) { return segment(frame, kAck, kRequest, 1 + below(3)); }
static size_t odd_flags(uint8_t* frame) {
  return segment(frame, (uint8_t)rnd() & ~kSyn, below(2) ? kRequest : 0, below(2) * 40);
}
static size_t syn(uint8_t* frame) { return segment(frame, kSyn, 0, 0); }

static size_t oversize(uint8_t* frame) {  // a request that fills the frame and has no end
  static char text[1440];
  if (!text[0]) {
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
  }
  return segment(frame, kAck, text, sizeof(text));
}

static size_t bad_sum(uint8_t* frame) {
  struct segment s = {
      .flags = kAck | kPsh, .payload = kRequest, .payload_bytes = sizeof(kRequest) - 1};
  const uint16_t port = whose(&s);
  s.bad_ip_sum = !s.v6 && below(2);
  s.bad_tcp_sum = !s.bad_ip_sum;
  return build(frame, &s, port);
}

static size_t ip_options(uint8_t* frame) {
  struct segment s = {
      .flags = kAck | kPsh, .payload = kRequest, .payload_bytes = sizeof(kRequest) - 1};
  const uint16_t port = whose(&s);
  static const uint8_t extensions[] = {0, 43, 44, 60, 51};
  if (s.v6) {
    s.extension = extensions[below(5)];
    if (s.extension == 0) s.extension = 60;
  } else {
    s.ip_option_bytes = 4 * (1 + below(10));
    noise(s.ip_options, s.ip_option_bytes);
    if (below(2)) memset(s.ip_options, 1, s.ip_option_bytes);  // all NOP
  }
  return build(frame, &s, port);
}

static size_t tcp_options(uint8_t* frame) {
  struct segment s = {
      .flags = kAck | kPsh, .payload = kRequest, .payload_bytes = sizeof(kRequest) - 1};
  const uint16_t port = whose(&s);
  s.tcp_option_bytes = 4 * (1 + below(10));
  noise(s.tcp_options, s.tcp_option_bytes);
  if (below(2)) {  // begins like timestamps or SACK
    s.tcp_options[0] = s.tcp_options[1] = 1;
    s.tcp_options[2] = below(2) ? 8 : 5;
    s.tcp_options[3] = below(2) ? 10 : (uint8_t)rnd();
  }
  return build(frame, &s, port);
}

static size_t fragment(uint8_t* frame) {
  struct segment s = {
      .flags = kAck | kPsh, .payload = kRequest, .payload_bytes = sizeof(kRequest) - 1};
  const uint16_t port = whose(&s);
  if (s.v6) {
    s.extension = 44;
  } else {
    s.fragment = (uint16_t)(below(2) ? 0x2000 : below(2) << 13 | below(0x1fff));
  }
  return build(frame, &s, port);
}

// A good segment whose lengths lie, or that is cut off.
static size_t odd_length(uint8_t* frame) {
  size_t bytes = blind_data(frame);
  const bool v6 = frame[12] == 0x86;
  uint8_t* ip = frame + 14;
  switch (below(5)) {
    case 0:
      put16(ip + (v6 ? 4 : 2), (uint32_t)rnd());
      break;
    case 1:
      if (!v6) ip[0] = (uint8_t)(0x40 | below(16));
      break;
    case 2:
      ip[v6 ? 52 : 32] = (uint8_t)(below(16) << 4);
      break;
    case 3:
      return 15 + below((uint32_t)bytes - 15);
    default:
      noise(frame + bytes, 30);
      return bytes + 1 + below(30);
  }
  if (!v6) {  // the checksum is right, so that the lie is met
    put16(ip + 10, 0);
    put16(ip + 10, fold(sum16(ip, 20, 0)));
  }
  return bytes;
}

static size_t random_bytes(uint8_t* frame) {  // behind an EtherType that is read
  const size_t bytes = 15 + below(200);
  memcpy(frame, opt.ethernet, 12);
  noise(frame + 12, bytes);
  if (below(4)) put16(frame + 12, below(2) ? 0x86dd : 0x0800);
  if (below(2)) frame[14] = frame[12] == 0x86 ? 0x60 : 0x45;
  if (below(2)) frame[frame[12] == 0x86 ? 20 : 23] = 6;
  return bytes;
}

static size_t icmp(uint8_t* frame) {  // too big: quotes a segment of ours that never was
  struct segment s = {.known = false};
  const uint16_t port = whose(&s);
  memcpy(frame, opt.ethernet, 12);
  put16(frame + 12, s.v6 ? 0x86dd : 0x0800);
  uint8_t *ip = frame + 14, quoted[48];
  const size_t q = s.v6 ? 40 : 20, bytes = 8 + q + 8;
  const size_t header = s.v6 ? ip6(ip, &s, bytes, 58) : ip4(ip, &s, bytes, 1);
  uint8_t* at = ip + header;
  memcpy(quoted, ip, q);
  if (s.v6) {
    quoted[6] = 6;
    memcpy(quoted + 8, ip + 24, 16);
    memcpy(quoted + 24, ip + 8, 16);
  } else {
    quoted[9] = 6;
    memcpy(quoted + 12, ip + 16, 4);
    memcpy(quoted + 16, ip + 12, 4);
  }
  at[0] = s.v6 ? 2 : 3;
  at[1] = s.v6 ? 0 : 4;
  put16(at + 2, 0);
  put32(at + 4, 68 + below(1400));
  memcpy(at + 8, quoted, q);
  put16(at + 8 + q, kPort);
  put16(at + 10 + q, port);
  put32(at + 12 + q, (uint32_t)rnd());
  uint32_t sum = s.v6 ? sum16(ip + 8, 32, 58 + (uint32_t)bytes) : 0;
  put16(at + 2, fold(sum16(at, bytes, sum)));
  return 14 + header + bytes;
}

static const struct {
  const char* name;
  size_t (*make)(uint8_t* frame);
} kKinds[] = {
    {"ack", blind_ack},           {"rst", blind_rst},     {"fin", blind_fin},
    {"data", blind_data},         {"tiny", tiny},         {"flags", odd_flags},
    {"oversize", oversize},       {"checksum", bad_sum},  {"ip_options", ip_options},
    {"tcp_options", tcp_options}, {"fragment", fragment}, {"length", odd_length},
    {"random", random_bytes},     {"icmp", icmp},         {"syn", syn},
};
enum { kNumKinds = sizeof(kKinds) / sizeof(kKinds[0]) };
static uint64_t sent[kNumKinds], sent_bytes;

static void parse_known(const char* text) {
  unsigned port;
  if (opt.n_known == kMaxKnown || (text[0] != '4' && text[0] != '6') ||
      sscanf(text + 1, ":%u", &port) != 1) {
    fprintf(stderr, "hostile: --known %s\n", text);
    exit(2);
  }
  opt.known[opt.n_known++] = (struct known){text[0] == '6', (uint16_t)port};
}

static void parse_mac(const char* text, uint8_t* to) {
  if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &to[0], &to[1], &to[2], &to[3], &to[4],
             &to[5]) != 6) {
    fprintf(stderr, "hostile: %s is no MAC\n", text);
    exit(2);
  }
}

static void parse(int argc, char** argv) {
  static const struct option options[] = {{"count", 1, 0, 'c'}, {"seed", 1, 0, 's'},
                                          {"rate", 1, 0, 'r'},  {"known", 1, 0, 'k'},
                                          {"only", 1, 0, 'o'},  {0}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (c == 'c') opt.count = strtoull(optarg, NULL, 10);
    if (c == 's') random_state = strtoull(optarg, NULL, 10);
    if (c == 'r') opt.rate = strtoull(optarg, NULL, 10);
    if (c == 'k') parse_known(optarg);
    if (c == 'o') opt.only = optarg;
    if (c == '?') exit(2);
  }
  if (argc - optind != 7) {
    fprintf(stderr,
            "usage: hostile IF SRC_MAC DST_MAC SERVER4 CLIENT4 SERVER6 CLIENT6 [options]\n");
    exit(2);
  }
  char** a = argv + optind;
  opt.interface = a[0];
  parse_mac(a[1], opt.ethernet + 6);
  parse_mac(a[2], opt.ethernet);
  if (inet_pton(AF_INET, a[3], opt.server4) != 1 || inet_pton(AF_INET, a[4], opt.client4) != 1 ||
      inet_pton(AF_INET6, a[5], opt.server6) != 1 || inet_pton(AF_INET6, a[6], opt.client6) != 1) {
    fprintf(stderr, "hostile: an address is none\n");
    exit(2);
  }
}

static int open_interface(void) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  struct sockaddr_ll to = {.sll_family = AF_PACKET,
                           .sll_ifindex = (int)if_nametoindex(opt.interface)};
  if (fd < 0 || !to.sll_ifindex || bind(fd, (struct sockaddr*)&to, sizeof(to))) die(opt.interface);
  return fd;
}

static void pace(const struct timespec* start, uint64_t done) {
  struct timespec until = *start;
  const uint64_t ns = done * 1000000000u / opt.rate + (uint64_t)start->tv_nsec;
  until.tv_sec += (time_t)(ns / 1000000000u);
  until.tv_nsec = (long)(ns % 1000000000u);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int argc, char** argv) {
  parse(argc, argv);
  const int fd = open_interface();
  size_t kinds[kNumKinds], n = 0;
  for (size_t i = 0; i < kNumKinds;
       i++)  // a flood of SYN only when asked for: it is a test of its own
    if (opt.only ? !strcmp(opt.only, kKinds[i].name) : strcmp("syn", kKinds[i].name))
      kinds[n++] = i;
  if (!n) {
    fprintf(stderr, "hostile: no such kind\n");
    return 2;
  }
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (uint64_t i = 0; i < opt.count; i++) {
    static uint8_t frame[kMaxFrame + 128];
    const size_t kind = kinds[below((uint32_t)n)];
    size_t bytes = kKinds[kind].make(frame);
    if (bytes > kMaxFrame) bytes = kMaxFrame;
    while (send(fd, frame, bytes, 0) < 0)
      if (errno != ENOBUFS && errno != EINTR) die("send");
    sent[kind]++;
    sent_bytes += bytes;
    if (i % kBatch == 0) pace(&start, i);
  }
  printf("{\"bytes\": %llu, \"kinds\": {", (unsigned long long)sent_bytes);
  for (size_t i = 0, first = 1; i < kNumKinds; i++) {
    if (sent[i])
      printf("%s\"%s\": %llu", first ? "" : ", ", kKinds[i].name, (unsigned long long)sent[i]);
    first &= !sent[i];
  }
  printf("}}\n");
  return 0;
}
