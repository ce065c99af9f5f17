// SPDX-License-Identifier: Apache-2.0
//
// LD_PRELOAD: the wall clock of a program is ahead by the seconds that the file $CLOCK_SHIFT holds
// now, so that a test can move it. Only clock_gettime(CLOCK_REALTIME) is shifted.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec* now) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(id, now);
  const char* path = getenv("CLOCK_SHIFT");
  FILE* file = id == CLOCK_REALTIME && path ? fopen(path, "re") : NULL;
  long long seconds = 0;
  if (file) {
    if (fscanf(file, "%lld", &seconds) == 1) now->tv_sec += seconds;
    fclose(file);
  }
  return result;
}
