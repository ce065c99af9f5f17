// SPDX-License-Identifier: Apache-2.0
#include "booster/bulk/store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "booster/bulk/ones_sum.h"
#include "webbooster/base/check.h"
#include "webbooster/base/posix_error.h"

namespace wb::bulk {
namespace {

constexpr size_t kHugeBytes = size_t{2} << 20;

// Not folded; an odd tail is padded with zero.
uint64_t Add(std::span<const uint8_t> bytes) {
  uint64_t sum = 0;
  size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    uint32_t word;
    std::memcpy(&word, &bytes[i], sizeof(word));
    sum += word;
  }
  if (i < bytes.size()) {
    uint32_t word = 0;
    std::memcpy(&word, &bytes[i], bytes.size() - i);
    sum += word;
  }
  return sum;
}

}  // namespace

Object::~Object() { store_.Release(extents_); }

std::span<const uint8_t> Object::Piece(size_t offset, size_t most) const {
  auto it = std::upper_bound(extents_.begin(), extents_.end(), offset,
                             [](size_t at, const Extent& e) { return at < e.at; });
  const Extent& extent = *std::prev(it);
  const size_t within = offset - extent.at;
  const size_t left = std::min(extent.blocks * kBlockBytes - within, bytes_ - offset);
  return {store_.base() + extent.block * kBlockBytes + within, std::min(left, most)};
}

// Sums of prefixes end at multiples of kSumBytes, at even offsets; what lies between such an offset
// and an end of the range is looked at.
uint16_t Object::Sum(size_t offset, size_t bytes) const {
  const auto prefix = [this](size_t end) {
    const size_t whole = end / kSumBytes;
    uint64_t sum = sums_[whole];
    // Within one block, for a block holds a whole number of them.
    if (end % kSumBytes != 0) sum += Add(Piece(whole * kSumBytes, end % kSumBytes));
    return FoldSum(sum);
  };
  // The byte before an odd offset is the first of its word: without it the word is the other half.
  const uint64_t sum = uint64_t{prefix(offset + bytes)} + static_cast<uint16_t>(~prefix(offset));
  const uint16_t folded = FoldSum(sum);
  return offset % 2 == 0 ? folded : SwapSum(folded);
}

absl::StatusOr<std::unique_ptr<Store>> Store::Create(size_t bytes) {
  bytes = (std::max<size_t>(bytes, 1) + kHugeBytes - 1) / kHugeBytes * kHugeBytes;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags | MAP_HUGETLB, -1, 0);
  const bool huge = at != MAP_FAILED;
  if (!huge) {
    at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return base::PosixError("map", "the memory of bulk objects");
    (void)madvise(at, bytes, MADV_HUGEPAGE);  // where the kernel makes them by itself
  }
  return std::unique_ptr<Store>(new Store(static_cast<uint8_t*>(at), bytes / kBlockBytes, huge));
}

Store::Store(uint8_t* base, size_t blocks, bool huge) : base_(base), blocks_(blocks), huge_(huge) {
  absl::MutexLock lock(&mu_);
  AddFree(0, blocks);
}

Store::~Store() {
  WB_CHECK(used() == 0, "bulk objects outlive their memory");
  munmap(base_, capacity());
}

size_t Store::used() const {
  absl::MutexLock lock(&mu_);
  return (blocks_ - free_blocks_) * kBlockBytes;
}

void Store::AddFree(size_t block, size_t blocks) {
  free_blocks_ += blocks;
  auto next = free_.lower_bound(block);
  if (next != free_.end() && block + blocks == next->first) {
    blocks += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == block) {
      before->second += blocks;
      return;
    }
  }
  free_.emplace(block, blocks);
}

void Store::Release(const std::vector<Object::Extent>& extents) {
  absl::MutexLock lock(&mu_);
  for (const Object::Extent& e : extents) AddFree(e.block, e.blocks);
}

uint8_t* Store::Take(size_t blocks) {
  absl::MutexLock lock(&mu_);
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    if (it->second < blocks) continue;
    const auto [first, n] = *it;
    free_.erase(it);
    if (n > blocks) free_.emplace(first + blocks, n - blocks);
    free_blocks_ -= blocks;
    return base_ + first * kBlockBytes;
  }
  return nullptr;
}

void Store::Free(const uint8_t* first, size_t blocks) {
  absl::MutexLock lock(&mu_);
  AddFree(static_cast<size_t>(first - base_) / kBlockBytes, blocks);
}

std::shared_ptr<const Object> Store::Put(std::string_view body) {
  std::shared_ptr<Object> object(new Object(*this, body.size()));
  size_t wanted = (body.size() + kBlockBytes - 1) / kBlockBytes;
  {
    absl::MutexLock lock(&mu_);
    if (wanted > free_blocks_) return nullptr;
    // In a row if there is a gap for it, else out of gaps in their order.
    auto fit = std::find_if(free_.begin(), free_.end(),
                            [&](const auto& gap) { return gap.second >= wanted; });
    size_t at = 0;
    while (wanted > 0) {
      const auto gap = fit != free_.end() ? fit : free_.begin();
      const auto [first, n] = *gap;
      const size_t taken = std::min(n, wanted);
      free_.erase(gap);
      if (taken < n) free_.emplace(first + taken, n - taken);
      object->extents_.push_back({at, first, taken});
      at += taken * kBlockBytes;
      wanted -= taken;
      free_blocks_ -= taken;
      fit = free_.end();
    }
  }
  for (const Object::Extent& e : object->extents_) {
    const std::string_view part = body.substr(e.at, e.blocks * kBlockBytes);
    std::memcpy(base_ + e.block * kBlockBytes, part.data(), part.size());
  }
  object->sums_.reserve(body.size() / kSumBytes + 1);
  uint64_t sum = 0;
  for (size_t at = 0;; at += kSumBytes) {
    object->sums_.push_back(FoldSum(sum));
    if (at + kSumBytes > body.size()) break;
    sum = uint64_t{FoldSum(sum)} + Add(object->Piece(at, kSumBytes));
  }
  return object;
}

}  // namespace wb::bulk
