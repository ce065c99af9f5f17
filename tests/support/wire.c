// SPDX-License-Identifier: Apache-2.0
// A bad wire between two interfaces: forwards every frame unchanged and loses, doubles, holds back
// and delays some, so that neither end is told. Started by wire_lab.sh in a namespace of its own;
// single-threaded. Frames must carry full checksums and fit the MTU (offloads off at both hosts):
// others are refused and counted. ARP and IPv6 neighbour discovery are spared unless --impair-all.
// With --lose-text TEXT, a TCP segment that carries TEXT is lost once: sent again, it passes.
// Counters go to stdout as one JSON object on SIGTERM, SIGINT and SIGUSR1. "ab" is what arrives on
// IF_A and leaves by IF_B. Over the guide in length, so that one gcc command builds it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  kMaxFrame = 65536 + 64,
  kBatch = 64,
  kReceiveBuffer = 64 << 20,
  kPlaces = 1024,
  kVlanAt = 12,
  kVlanBytes = 4
};

struct frame {
  struct frame* next;
  uint64_t due_ns;
  uint64_t gap_end;  // held frames: leaves when the direction has sent this many
  size_t bytes;
  uint8_t data[];
};

struct counters {
  uint64_t received, received_bytes, forwarded, forwarded_bytes, eligible, lost, duplicated,
      reordered;
  uint64_t refused_checksum, send_errors, over_limit, socket_drops;
};

struct direction {
  const char* name;
  int in, out;
  double loss;
  struct frame *head, *tail;  // delayed, in order of due_ns
  struct frame* held;         // at most one frame is held back at a time
  size_t queued;
  struct counters count;
};

struct options {
  uint64_t seed, delay_ns, hold_ns, gap;
  double duplicate, reorder;
  size_t limit;
  bool impair_all;
  const char* lose_text;
};

static struct options opt = {.seed = 1, .hold_ns = 5000000, .gap = 3, .limit = 100000};
static struct direction dirs[2] = {{.name = "ab"}, {.name = "ba"}};
static const char* interfaces[2];
static volatile sig_atomic_t stop_asked, report_asked;
static uint64_t random_state;

static void on_signal(int number) {
  if (number == SIGUSR1) {
    report_asked = 1;
  } else {
    stop_asked = 1;
  }
}

static void die(const char* what) {
  fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// splitmix64: good enough for coins, and the same on every machine.
static bool coin(double probability) {
  if (probability <= 0) return false;
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (double)(z >> 11) / (double)(1ull << 53) < probability;
}

static bool is_impairable(const uint8_t* data, size_t bytes) {
  if (opt.impair_all) return true;
  if (bytes < 14) return false;
  uint16_t type = (uint16_t)(data[12] << 8 | data[13]);
  if (type == ETH_P_ARP) return false;
  // ICMPv6 133 to 137: neighbour and router discovery.
  return !(type == ETH_P_IPV6 && bytes > 54 && data[20] == 58 && data[54] >= 133 &&
           data[54] <= 137);
}

// Ports and sequence number of a TCP segment without VLAN tag or IPv6 extension headers, else 0.
static uint64_t place_of(const uint8_t* data, size_t bytes) {
  if (bytes < 54) return 0;
  const bool v6 = data[12] == 0x86 && data[13] == 0xdd;
  if (!v6 && (data[12] != 0x08 || data[13] != 0x00)) return 0;
  const size_t tcp_off = ETH_HLEN + (v6 ? 40u : (data[14] & 15u) * 4u);
  if (data[v6 ? 20 : 23] != 6 || bytes < tcp_off + 20) return 0;
  uint64_t place;
  memcpy(&place, data + tcp_off, sizeof(place));
  return place;
}

// True when the frame carries the text and its place was not lost before.
static bool lost_for_text(const uint8_t* data, size_t bytes) {
  static uint64_t places[kPlaces];
  static size_t count;
  if (!opt.lose_text || !memmem(data, bytes, opt.lose_text, strlen(opt.lose_text))) return false;
  const uint64_t place = place_of(data, bytes);
  if (place == 0) return false;
  for (size_t i = 0; i < kPlaces; i++) {
    if (places[i] == place) return false;
  }
  places[count++ % kPlaces] = place;
  return true;
}

static void transmit(struct direction* dir, const uint8_t* data, size_t bytes) {
  if (send(dir->out, data, bytes, 0) == (ssize_t)bytes) {
    dir->count.forwarded++;
    dir->count.forwarded_bytes += bytes;
    return;
  }
  if (dir->count.send_errors++ == 0) {
    fprintf(stderr, "wire: %s: cannot send %zu bytes: %s%s\n", dir->name, bytes, strerror(errno),
            errno == EMSGSIZE ? " (switch GRO and TSO off)" : "");
  }
}

static struct frame* copy_frame(const uint8_t* data, size_t bytes) {
  struct frame* frame = malloc(sizeof(*frame) + bytes);
  if (!frame) die("malloc");
  *frame = (struct frame){.bytes = bytes};
  memcpy(frame->data, data, bytes);
  return frame;
}

static void leave(struct direction* dir, const uint8_t* data, size_t bytes) {
  transmit(dir, data, bytes);
  struct frame* held = dir->held;
  if (held && dir->count.forwarded >= held->gap_end) {
    dir->held = NULL;
    transmit(dir, held->data, held->bytes);
    free(held);
  }
}

static void enter(struct direction* dir, const uint8_t* data, size_t bytes, uint64_t now) {
  if (opt.delay_ns == 0) {
    leave(dir, data, bytes);
    return;
  }
  if (dir->queued >= opt.limit) {
    dir->count.over_limit++;
    return;
  }
  struct frame* frame = copy_frame(data, bytes);
  frame->due_ns = now + opt.delay_ns;
  if (dir->tail) {
    dir->tail->next = frame;
  } else {
    dir->head = frame;
  }
  dir->tail = frame;
  dir->queued++;
}

static void impair(struct direction* dir, const uint8_t* data, size_t bytes, uint64_t now) {
  if (!is_impairable(data, bytes)) {
    enter(dir, data, bytes, now);
    return;
  }
  dir->count.eligible++;
  if (coin(dir->loss) || lost_for_text(data, bytes)) {
    dir->count.lost++;
    return;
  }
  if (!dir->held && coin(opt.reorder)) {
    dir->count.reordered++;
    dir->held = copy_frame(data, bytes);
    dir->held->due_ns = now + opt.delay_ns + opt.hold_ns;
    dir->held->gap_end = dir->count.forwarded + dir->queued + opt.gap;
    return;
  }
  enter(dir, data, bytes, now);
  if (coin(opt.duplicate)) {
    dir->count.duplicated++;
    enter(dir, data, bytes, now);
  }
}

// The frame as it was on the wire: the kernel hands a VLAN tag over beside the data.
static size_t restore_vlan(uint8_t* data, size_t bytes, const struct tpacket_auxdata* aux) {
  if (!(aux->tp_status & TP_STATUS_VLAN_VALID) || bytes < kVlanAt) return bytes;
  uint16_t tpid = aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETH_P_8021Q;
  memmove(data + kVlanAt + kVlanBytes, data + kVlanAt, bytes - kVlanAt);
  data[kVlanAt] = (uint8_t)(tpid >> 8);
  data[kVlanAt + 1] = (uint8_t)tpid;
  data[kVlanAt + 2] = (uint8_t)(aux->tp_vlan_tci >> 8);
  data[kVlanAt + 3] = (uint8_t)aux->tp_vlan_tci;
  return bytes + kVlanBytes;
}

static bool receive_one(struct direction* dir, uint64_t now) {
  static uint8_t data[kMaxFrame + kVlanBytes];
  union {
    char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    struct cmsghdr align;
  } control;
  struct iovec part = {.iov_base = data, .iov_len = kMaxFrame};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof(control.bytes)};
  ssize_t got = recvmsg(dir->in, &message, MSG_DONTWAIT);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENETDOWN) return false;
    die(dir->name);
  }
  dir->count.received++;
  dir->count.received_bytes += (uint64_t)got;
  size_t bytes = (size_t)got;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_PACKET && header->cmsg_type == PACKET_AUXDATA) {
    struct tpacket_auxdata aux;
    memcpy(&aux, CMSG_DATA(header), sizeof(aux));
    if (aux.tp_status & TP_STATUS_CSUMNOTREADY) {
      if (dir->count.refused_checksum++ == 0) {
        fprintf(stderr, "wire: %s: frame without its checksum refused (ethtool -K IF tx off)\n",
                dir->name);
      }
      return true;
    }
    bytes = restore_vlan(data, bytes, &aux);
  }
  impair(dir, data, bytes, now);
  return true;
}

// Sends what is due; returns when the next frame will be, or UINT64_MAX.
static uint64_t release_due(struct direction* dir, uint64_t now) {
  while (dir->head && dir->head->due_ns <= now) {
    struct frame* frame = dir->head;
    dir->head = frame->next;
    if (!dir->head) dir->tail = NULL;
    dir->queued--;
    leave(dir, frame->data, frame->bytes);
    free(frame);
  }
  struct frame* held = dir->held;
  if (held && held->due_ns <= now) {
    dir->held = NULL;
    transmit(dir, held->data, held->bytes);
    free(held);
  }
  uint64_t next = dir->head ? dir->head->due_ns : UINT64_MAX;
  return dir->held && dir->held->due_ns < next ? dir->held->due_ns : next;
}

static int open_port(const char* interface) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket(AF_PACKET)");
  int on = 1, size = kReceiveBuffer;
  struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL),
                                .sll_ifindex = (int)if_nametoindex(interface)};
  struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex,
                                    .mr_type = PACKET_MR_PROMISC};
  if (address.sll_ifindex == 0) die(interface);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
      setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
      setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) ||
      bind(fd, (struct sockaddr*)&address, sizeof(address))) {
    die(interface);
  }
  return fd;
}

// What the veth itself threw away (ring full at the far end): loss that nobody asked for.
static unsigned long device_drops(const char* interface) {
  struct ifaddrs *all, *each;
  unsigned long drops = 0;
  if (getifaddrs(&all)) return 0;
  for (each = all; each; each = each->ifa_next) {
    if (each->ifa_addr && each->ifa_addr->sa_family == AF_PACKET && each->ifa_data &&
        !strcmp(each->ifa_name, interface)) {
      drops = ((struct rtnl_link_stats*)each->ifa_data)->tx_dropped;
    }
  }
  freeifaddrs(all);
  return drops;
}

static void report(void) {
  for (int i = 0; i < 2; i++) {
    struct counters* c = &dirs[i].count;
    struct tpacket_stats stats;
    socklen_t length = sizeof(stats);
    if (getsockopt(dirs[i].in, SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0)
      c->socket_drops += stats.tp_drops;
    printf(
        "%s\"%s\": {\"received\": %lu, \"received_bytes\": %lu, \"forwarded\": %lu, "
        "\"forwarded_bytes\": %lu, "
        "\"eligible\": %lu, \"lost\": %lu, \"duplicated\": %lu, \"reordered\": %lu, "
        "\"refused_checksum\": %lu, "
        "\"send_errors\": %lu, \"over_limit\": %lu, \"socket_drops\": %lu, \"device_drops\": "
        "%lu}%s",
        i ? "" : "{", dirs[i].name, c->received, c->received_bytes, c->forwarded,
        c->forwarded_bytes, c->eligible, c->lost, c->duplicated, c->reordered, c->refused_checksum,
        c->send_errors, c->over_limit, c->socket_drops, device_drops(interfaces[1 - i]),
        i ? "}\n" : ", ");
  }
  fflush(stdout);
}

static double probability(const char* text) {
  char* end;
  double value = strtod(text, &end);
  if (*text == '\0' || *end || !(value >= 0 && value <= 1)) {
    fprintf(stderr, "wire: %s is not a probability between 0 and 1\n", text);
    exit(2);
  }
  return value;
}

static double number(const char* text) {
  char* end;
  double value = strtod(text, &end);
  if (*text == '\0' || *end || !(value >= 0 && value <= 1e15)) {
    fprintf(stderr, "wire: %s is not a number\n", text);
    exit(2);
  }
  return value;
}

static void parse(int argc, char** argv) {
  static const struct option known[] = {{"seed", 1, 0, 's'},
                                        {"loss-ab", 1, 0, 'a'},
                                        {"loss-ba", 1, 0, 'b'},
                                        {"loss", 1, 0, 'l'},
                                        {"dup", 1, 0, 'd'},
                                        {"reorder", 1, 0, 'r'},
                                        {"delay-ms", 1, 0, 'D'},
                                        {"reorder-gap", 1, 0, 'g'},
                                        {"limit", 1, 0, 'L'},
                                        {"reorder-ms", 1, 0, 'h'},
                                        {"impair-all", 0, 0, 'A'},
                                        {"lose-text", 1, 0, 't'},
                                        {0}};
  int found;
  while ((found = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (found) {
      case 's':
        opt.seed = (uint64_t)number(optarg);
        break;
      case 'a':
        dirs[0].loss = probability(optarg);
        break;
      case 'b':
        dirs[1].loss = probability(optarg);
        break;
      case 'l':
        dirs[0].loss = dirs[1].loss = probability(optarg);
        break;
      case 'd':
        opt.duplicate = probability(optarg);
        break;
      case 'r':
        opt.reorder = probability(optarg);
        break;
      case 'D':
        opt.delay_ns = (uint64_t)(number(optarg) * 1e6);
        break;
      case 'g':
        opt.gap = (uint64_t)number(optarg);
        break;
      case 'h':
        opt.hold_ns = (uint64_t)(number(optarg) * 1e6);
        break;
      case 'L':
        opt.limit = (size_t)number(optarg);
        break;
      case 'A':
        opt.impair_all = true;
        break;
      case 't':
        opt.lose_text = optarg;
        break;
      default:
        exit(2);
    }
  }
  if (argc - optind != 2) {
    fprintf(stderr,
            "usage: wire IF_A IF_B [--seed N] [--loss P | --loss-ab P --loss-ba P] [--dup P] "
            "[--reorder P]\n"
            "            [--reorder-gap FRAMES] [--reorder-ms MS] [--delay-ms MS] [--limit FRAMES] "
            "[--impair-all]\n            [--lose-text TEXT]\n");
    exit(2);
  }
  interfaces[0] = argv[optind];
  interfaces[1] = argv[optind + 1];
}

static void forward_until_stopped(const sigset_t* unblocked) {
  while (!stop_asked) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
      uint64_t due = release_due(&dirs[i], now);
      if (due < next) next = due;
    }
    uint64_t wait = next == UINT64_MAX ? 1000000000u : next - now;
    struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000u),
                               .tv_nsec = (long)(wait % 1000000000u)};
    struct pollfd ports[2] = {{.fd = dirs[0].in, .events = POLLIN},
                              {.fd = dirs[1].in, .events = POLLIN}};
    if (ppoll(ports, 2, &timeout, unblocked) < 0 && errno != EINTR) die("ppoll");
    if (report_asked) {
      report_asked = 0;
      report();
    }
    now = now_ns();
    for (int i = 0; i < 2; i++) {
      for (int n = 0; n < kBatch && receive_one(&dirs[i], now); n++) {
      }
    }
  }
}

int main(int argc, char** argv) {
  parse(argc, argv);
  random_state = opt.seed;
  struct sigaction action = {.sa_handler = on_signal};
  sigset_t blocked, unblocked;
  sigemptyset(&blocked);
  const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
  for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
    sigaction(numbers[i], &action, NULL);
    sigaddset(&blocked, numbers[i]);
  }
  sigprocmask(SIG_BLOCK, &blocked, &unblocked);
  int a = open_port(interfaces[0]), b = open_port(interfaces[1]);
  dirs[0].in = dirs[1].out = a;
  dirs[0].out = dirs[1].in = b;
  fprintf(stderr, "wire: ready\n");
  forward_until_stopped(&unblocked);
  report();
  return 0;
}
