// SPDX-License-Identifier: Apache-2.0
// The memory of bulk objects: one region of 4 KiB blocks, which a device may be given as its UMEM
// (XDP_UMEM_REG: chunks of the same size, so that no descriptor straddles two), in huge pages when
// there are any. An object is immutable and lies in extents of whole blocks; whoever sends it holds
// it, so that what was evicted or replaced stays until the last retransmission is over. With it lie
// one's complement sums of its prefixes, one per 128 bytes, from which the sum of any range follows
// by subtraction and at most 254 bytes of looking (RFC 1071, 2(B); RFC 1624). Thread-safe. Units:
// bytes.
#ifndef BOOSTER_BULK_STORE_H_
#define BOOSTER_BULK_STORE_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace wb::bulk {

inline constexpr size_t kBlockBytes = 4096;
inline constexpr size_t kSumBytes = 128;  // between two sums of prefixes

class Store;

class Object {
 public:
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object();

  size_t bytes() const { return bytes_; }
  // The contiguous piece that begins at `offset` and has at most `most` bytes; not empty while
  // offset < bytes().
  std::span<const uint8_t> Piece(size_t offset, size_t most) const;
  // Of [offset, offset + bytes), as if it began at an even offset of what is summed: 16-bit words
  // as they lie in memory, folded, not inverted.
  uint16_t Sum(size_t offset, size_t bytes) const;

 private:
  friend class Store;
  struct Extent {
    size_t at;     // of its first byte in the object
    size_t block;  // first
    size_t blocks;
  };
  Object(Store& store, size_t bytes) : store_(store), bytes_(bytes) {}

  Store& store_;
  const size_t bytes_;
  std::vector<Extent> extents_;
  std::vector<uint16_t> sums_;  // of [0, i * kSumBytes)
};

class Store {
 public:
  // At least `bytes`, rounded up to 2 MiB. Errors: the kernel's.
  static absl::StatusOr<std::unique_ptr<Store>> Create(size_t bytes);
  // No object may be left.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // nullptr: not so many blocks are free. `body` is not empty.
  std::shared_ptr<const Object> Put(std::string_view body);
  // Raw blocks in a row for a device's own frames; nullptr: there are not so many in a row. They
  // are given back with Free().
  uint8_t* Take(size_t blocks);
  void Free(const uint8_t* first, size_t blocks);

  uint8_t* base() const { return base_; }
  size_t capacity() const { return blocks_ * kBlockBytes; }
  size_t used() const;
  bool huge_pages() const { return huge_; }

 private:
  friend class Object;
  Store(uint8_t* base, size_t blocks, bool huge);
  void Release(const std::vector<Object::Extent>& extents);
  void AddFree(size_t block, size_t blocks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  uint8_t* const base_;
  const size_t blocks_;
  const bool huge_;
  mutable absl::Mutex mu_;
  std::map<size_t, size_t> free_ ABSL_GUARDED_BY(mu_);  // first -> number; neighbours never touch
  size_t free_blocks_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_STORE_H_
