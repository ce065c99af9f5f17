/* SPDX-License-Identifier: Apache-2.0 */
/* One new connection after the other to an address and port, until standard input ends, 300 s at most:
 * side_probe IP PORT HOST
 * Each asks by TRACE, which nginx and boosterd refuse, the former with its name. Prints for each when it began
 * and ended (CLOCK_MONOTONIC, ns), and "origin" or "booster"; a connection that fails ends the program with an error. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMost = 4000000, kSeconds = 300 };

static struct {
  uint64_t began, ended;
  int origin;
} met[kMost];

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int is_origin(const struct sockaddr_in *to, const char *request) {
  char answer[4096];
  size_t got = 0;
  ssize_t n;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {5, 0};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit))) fail("socket");
  if (connect(fd, (const struct sockaddr *)to, sizeof(*to))) fail("connect");
  if (write(fd, request, strlen(request)) < 0) fail("write");
  while (got < sizeof(answer) - 1 && (n = read(fd, answer + got, sizeof(answer) - 1 - got)) != 0) {
    if (n < 0) fail("read");
    got += (size_t)n;
  }
  answer[got] = 0;
  close(fd);
  if (strncmp(answer, "HTTP/1.1 405 ", 13)) {
    fprintf(stderr, "answered: %s\n", answer);
    exit(1);
  }
  return strstr(answer, "\r\nServer: nginx") != NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  char request[512];
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  snprintf(request, sizeof(request), "TRACE / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[3]);
  uint64_t end = now() + (uint64_t)kSeconds * 1000000000;
  struct pollfd input = {0, POLLIN, 0};
  size_t count = 0;
  while (count < kMost && now() < end && poll(&input, 1, 0) == 0) {
    met[count].began = now();
    met[count].origin = is_origin(&to, request);
    met[count].ended = now();
    count++;
  }
  for (size_t i = 0; i < count; i++)
    printf("%llu %llu %s\n", (unsigned long long)met[i].began, (unsigned long long)met[i].ended,
           met[i].origin ? "origin" : "booster");
  return 0;
}
