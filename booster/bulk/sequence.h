// SPDX-License-Identifier: Apache-2.0
// The one place where 32-bit sequence numbers (RFC 9293, 3.4) and offsets in the object meet. An
// offset counts bytes from the first one of the reply and does not wrap; below it lie replies sent
// before on the same connection, at negative offsets.
#ifndef BOOSTER_BULK_SEQUENCE_H_
#define BOOSTER_BULK_SEQUENCE_H_

#include <cstdint>

namespace wb::bulk {

class SequenceSpace {
 public:
  explicit SequenceSpace(uint32_t start) : start_(start) {}

  uint32_t Wire(int64_t offset) const { return start_ + static_cast<uint32_t>(offset); }
  // The offset nearest to `near` that has this number.
  int64_t Offset(uint32_t wire, int64_t near) const {
    return near + static_cast<int32_t>(wire - Wire(near));
  }

 private:
  uint32_t start_;
};

}  // namespace wb::bulk

#endif  // BOOSTER_BULK_SEQUENCE_H_
