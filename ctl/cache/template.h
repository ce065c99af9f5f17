// SPDX-License-Identifier: Apache-2.0
// From a raw response to the bytes that the BPF programs send (abi/object.h: wb_part): the response
// with the 29 bytes of its Date zeroed, and right before its first byte one 16-bit sum per segment
// and size class. Also the Date texts that are patched in. Sums are one's complement sums of 16-bit
// loads in memory order (RFC 1071: byte order does not matter as long as it is the same
// everywhere), folded, not inverted, an odd tail padded with zero. Thread-safe.
#ifndef CTL_CACHE_TEMPLATE_H_
#define CTL_CACHE_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "webbooster/abi/control.h"
#include "webbooster/abi/limits.h"
#include "webbooster/abi/object.h"

namespace wb::cache {

// wb_settings.seg_size: payload bytes, even, falling; 0 is unused.
using SegmentSizes = std::span<const uint16_t, WB_CLASSES>;

struct TemplateSource {
  std::string_view bytes;  // header and body, at most WB_BODY_MAX
  uint16_t header_len = 0;
  uint16_t date_off = WB_NO_DATE;  // of the Date value
};

// Sum of `bytes` as if they began at an even offset.
uint16_t OnesSum(std::span<const uint8_t> bytes);

// Bytes that a template takes from the start of its range, sums included; a multiple of 8.
size_t TemplateBytes(const TemplateSource& source, SegmentSizes sizes);

// Writes the template into `bank` from `off` (a multiple of 8) on and describes it; part.off is
// behind the sums. A class that cannot be served has nseg 0: unused, more than WB_FANOUT_MAX
// segments, the Date not within its first segment, or (the smallest ones) no room left in the 8
// bits of sum_index.
wb_part WriteTemplate(std::span<uint8_t> bank, uint32_t bank_index, uint32_t off,
                      const TemplateSource& source, SegmentSizes sizes);

// Whether a template that was written is that of `source`, whatever its Date.
bool SameTemplate(std::span<const uint8_t> bank, const wb_part& part, const TemplateSource& source);

// The Date of a second, with the sums that it adds at an even and at an odd offset of the payload.
wb_date DateText(uint32_t unix_second);

}  // namespace wb::cache

#endif  // CTL_CACHE_TEMPLATE_H_
