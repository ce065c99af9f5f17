/* SPDX-License-Identifier: Apache-2.0 */
/* So many SYNs to one address and port, of sources that are all different, as fast as a packet socket takes them:
 * syn_flood INTERFACE DESTINATION_MAC DESTINATION_IP PORT COUNT
 * Sources are of 198.19.0.0/16 with any port. Ends after 60 s at the latest. Prints how many were sent and the seconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kBatch = 64, kFrame = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr) };

static unsigned char frames[kBatch][kFrame];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint32_t sum(const void *data, size_t bytes, uint32_t start) {
  const unsigned char *at = data;
  for (size_t i = 0; i + 1 < bytes; i += 2) start += (uint32_t)at[i] << 8 | at[i + 1];
  return start;
}

static uint16_t fold(uint32_t s) {
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return htons((uint16_t)~s);
}

static void fill(unsigned char *frame, const unsigned char *from, const unsigned char *to, in_addr_t ip, uint16_t port,
                 uint32_t number) {
  struct iphdr *h = (void *)(frame + ETH_HLEN);
  struct tcphdr *t = (void *)(h + 1);
  memcpy(frame, to, ETH_ALEN);
  memcpy(frame + ETH_ALEN, from, ETH_ALEN);
  frame[12] = ETH_P_IP >> 8;
  frame[13] = ETH_P_IP & 255;
  memset(h, 0, sizeof(*h) + sizeof(*t));
  h->version = 4;
  h->ihl = 5;
  h->tot_len = htons(sizeof(*h) + sizeof(*t));
  h->ttl = 64;
  h->protocol = IPPROTO_TCP;
  h->saddr = htonl(0xc6130000u | (number & 0xffff));
  h->daddr = ip;
  h->check = fold(sum(h, sizeof(*h), 0));
  t->source = htons(1024 + (number >> 16) % 60000);
  t->dest = htons(port);
  t->seq = htonl(number * 2654435761u);
  t->doff = 5;
  t->syn = 1;
  t->window = htons(64240);
  t->check = fold(sum(t, sizeof(*t), sum(&h->saddr, 8, IPPROTO_TCP + sizeof(*t))));
}

int main(int argc, char **argv) {
  unsigned char to[ETH_ALEN];
  struct in_addr ip;
  if (argc != 6 || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &to[0], &to[1], &to[2], &to[3], &to[4], &to[5]) != 6 ||
      inet_pton(AF_INET, argv[3], &ip) != 1) {
    fprintf(stderr, "syn_flood INTERFACE DESTINATION_MAC DESTINATION_IP PORT COUNT\n");
    return 2;
  }
  long count = atol(argv[5]), sent = 0;
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) fail("socket");
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", argv[1]);
  if (ioctl(fd, SIOCGIFHWADDR, &request)) fail(argv[1]);
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1]), .sll_halen = ETH_ALEN};
  memcpy(at.sll_addr, to, ETH_ALEN);
  struct iovec pieces[kBatch];
  struct mmsghdr messages[kBatch] = {0};
  for (int i = 0; i < kBatch; i++) {
    pieces[i] = (struct iovec){frames[i], kFrame};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &at, .msg_namelen = sizeof(at), .msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (now = begin; sent < count && now.tv_sec - begin.tv_sec < 60; clock_gettime(CLOCK_MONOTONIC, &now)) {
    for (int i = 0; i < kBatch; i++)
      fill(frames[i], (unsigned char *)request.ifr_hwaddr.sa_data, to, ip.s_addr, (uint16_t)atoi(argv[4]), (uint32_t)(sent + i));
    int n = sendmmsg(fd, messages, kBatch, 0);
    if (n < 0 && errno != ENOBUFS && errno != EAGAIN) fail("sendmmsg");
    if (n > 0) sent += n;
  }
  printf("%ld %.3f\n", sent, (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9);
  return sent < count;
}
