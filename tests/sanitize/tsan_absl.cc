// SPDX-License-Identifier: Apache-2.0
// What the thread sanitizer must know of Debian's Abseil, whose code it cannot see: that a Mutex is
// a lock (races, and orders of locking that may deadlock), and that what happened before Notify()
// is seen behind a wait. The linker puts __wrap_X in the place of each X that our objects call
// (flags.cmake); a primitive of Abseil that is not here shows as false races around its use.
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace {

using absl::Duration;
using absl::Mutex;
using absl::Notification;

// The flag that HasBeenNotified(), which is inline and so instrumented, reads: behind the mutex.
void* FlagOf(const Notification* n) {
  static_assert(sizeof(Notification) == 2 * sizeof(Mutex));
  return const_cast<char*>(reinterpret_cast<const char*>(n)) + sizeof(Mutex);
}

}  // namespace

#define WB_WRAP_(result, symbol, ...)  \
  result __real_##symbol(__VA_ARGS__); \
  result __wrap_##symbol(__VA_ARGS__); \
  result __wrap_##symbol(__VA_ARGS__)

extern "C" {

WB_WRAP_(void, _ZN4absl7debian35Mutex4LockEv, Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, 0);
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
  __tsan_mutex_post_lock(mutex, 0, 0);
}

WB_WRAP_(bool, _ZN4absl7debian35Mutex7TryLockEv, Mutex* mutex) {
  __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock);
  const bool locked = __real__ZN4absl7debian35Mutex7TryLockEv(mutex);
  __tsan_mutex_post_lock(mutex, __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed),
                         0);
  return locked;
}

WB_WRAP_(void, _ZN4absl7debian35Mutex6UnlockEv, Mutex* mutex) {
  __tsan_mutex_pre_unlock(mutex, 0);
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
  __tsan_mutex_post_unlock(mutex, 0);
}

WB_WRAP_(void, _ZN4absl7debian35MutexD1Ev, Mutex* mutex) {
  __tsan_mutex_destroy(mutex, 0);
  __real__ZN4absl7debian35MutexD1Ev(mutex);
}

WB_WRAP_(void, _ZN4absl7debian312Notification6NotifyEv, Notification* n) {
  __tsan_release(FlagOf(n));
  __real__ZN4absl7debian312Notification6NotifyEv(n);
}

WB_WRAP_(void, _ZNK4absl7debian312Notification19WaitForNotificationEv, const Notification* n) {
  __real__ZNK4absl7debian312Notification19WaitForNotificationEv(n);
  __tsan_acquire(FlagOf(n));
}

WB_WRAP_(bool, _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE,
         const Notification* n, Duration timeout) {
  const bool notified =
      __real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
          n, timeout);
  if (notified) __tsan_acquire(FlagOf(n));
  return notified;
}

}  // extern "C"
