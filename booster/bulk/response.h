// SPDX-License-Identifier: Apache-2.0
// One reply as its connection carries it: a header, Date filled in, and the whole or a part of an
// object. Offsets count from the header's first byte. Units: bytes.
#ifndef BOOSTER_BULK_RESPONSE_H_
#define BOOSTER_BULK_RESPONSE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "booster/bulk/store.h"

namespace wb::bulk {

class Response {
 public:
  // Body bytes [first, first + bytes) of `object`.
  Response(std::string header, std::shared_ptr<const Object> object, size_t first, size_t bytes)
      : header_(std::move(header)), object_(std::move(object)), first_(first), bytes_(bytes) {}

  size_t bytes() const { return header_.size() + bytes_; }
  const Object* object() const { return object_.get(); }
  const std::shared_ptr<const Object>& shared_object() const { return object_; }

  // The contiguous piece that begins at `offset` and has at most `most` bytes; not empty while
  // offset < bytes().
  std::span<const uint8_t> Piece(size_t offset, size_t most) const {
    if (offset >= header_.size())
      return object_->Piece(first_ + offset - header_.size(),
                            std::min(most, header_.size() + bytes_ - offset));
    return {reinterpret_cast<const uint8_t*>(header_.data()) + offset,
            std::min(header_.size() - offset, most)};
  }
  // Whether what begins at `offset` lies in the header, not in the object's memory.
  bool InHeader(size_t offset) const { return offset < header_.size(); }

  // As Object::Sum(), of [offset, offset + bytes).
  uint16_t Sum(size_t offset, size_t bytes) const;

 private:
  std::string header_;
  std::shared_ptr<const Object> object_;
  size_t first_;
  size_t bytes_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_RESPONSE_H_
