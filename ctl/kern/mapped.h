// SPDX-License-Identifier: Apache-2.0
// A BPF array map (BPF_F_MMAPABLE) in this process's memory. The kernel's programs read and write
// it at the same time: fields shared with them are accessed with std::atomic_ref or by the protocol
// that the abi header of the struct gives.
#ifndef WEBBOOSTER_CTL_KERN_MAPPED_H_
#define WEBBOOSTER_CTL_KERN_MAPPED_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "webbooster/base/posix_error.h"

namespace wb::kern {

template <typename T>
class Mapped {
  static_assert(sizeof(T) % 8 == 0, "the kernel rounds array elements up to eight bytes");

 public:
  static absl::StatusOr<Mapped> Create(int map_fd, size_t entries, const char* name) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = (entries * sizeof(T) + page - 1) / page * page;
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (p == MAP_FAILED) return base::PosixError("map", name);
    return Mapped(static_cast<T*>(p), entries, bytes);
  }
  Mapped() = default;
  Mapped(Mapped&& o) noexcept { *this = std::move(o); }
  Mapped& operator=(Mapped&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(entries_, o.entries_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  ~Mapped() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }

  T& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return entries_; }
  absl::Span<T> span() const { return absl::MakeSpan(data_, entries_); }

 private:
  Mapped(T* data, size_t entries, size_t bytes) : data_(data), entries_(entries), bytes_(bytes) {}
  T* data_ = nullptr;
  size_t entries_ = 0;
  size_t bytes_ = 0;
};

}  // namespace wb::kern

#endif  // WEBBOOSTER_CTL_KERN_MAPPED_H_
