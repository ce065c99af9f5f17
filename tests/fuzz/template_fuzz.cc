// SPDX-License-Identifier: Apache-2.0
// Templates. Input: twelve bytes of segment sizes (0: those of a usual interface), two of the
// Date's offset, two of a second, then the response. What segments of each class say, put together,
// is the response with that second's Date, and each sum is that of its segment by another way of
// computing it.
#include <array>
#include <cstring>

#include "ctl/cache/template.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {
namespace {

constexpr std::array<uint16_t, WB_CLASSES> kUsual = {3458, 3446, 1460, 1448, 1428, 1220, 536};
constexpr size_t kHead = WB_CLASSES + 4;

using Sizes = std::array<uint16_t, WB_CLASSES>;

Sizes ReadSizes(const uint8_t* data) {
  if (data[0] == 0) return kUsual;
  Sizes sizes = {};
  uint32_t most = WB_SEG_MAX;
  for (size_t c = 0; c < WB_CLASSES; ++c) {  // even and falling, as kern::Programs makes them
    const uint32_t size = most * data[c] / 256 & ~1u;
    if (size < 2) continue;
    sizes[c] = static_cast<uint16_t>(size);
    most = size;
  }
  return sizes;
}

uint16_t Add(uint16_t a, uint16_t b) {
  const uint32_t sum = uint32_t{a} + b;
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

// In one's complement 0 and 0xffff are the same number.
bool Equal(uint16_t a, uint16_t b) { return a % 0xffff == b % 0xffff; }

struct Case {
  cache::TemplateSource source;
  Sizes sizes;
  std::string sent;  // with the Date in it
  wb_date date;
};

void CheckClass(const Case& c, size_t cls, const std::vector<uint8_t>& bank, const wb_part& part) {
  const size_t size = c.sizes[cls], n = part.nseg[cls];
  const bool dated = part.date_off != WB_NO_DATE;
  if (n == 0) {
    const bool fits = size != 0 && (!dated || part.date_off + size_t{WB_HTTP_DATE} <= size) &&
                      (part.len + size - 1) / size <= WB_FANOUT_MAX;
    FUZZ_CHECK(!fits || cls > 0, "class %zu is not served", cls);
    return;
  }
  FUZZ_CHECK(n == (part.len + size - 1) / size, "%zu segments", n);
  std::string all;
  for (size_t i = 0; i < n; ++i) {
    std::string segment(reinterpret_cast<const char*>(&bank[part.off + i * size]),
                        std::min(size, part.len - i * size));
    uint16_t sum;
    std::memcpy(&sum, &bank[part.off - 2 * part.sum_index[cls] + 2 * i], sizeof(sum));
    FUZZ_CHECK(Equal(sum, ReferenceSum(segment)), "sum of segment %zu of class %zu", i, cls);
    if (dated && i == 0) {
      segment.replace(part.date_off, WB_HTTP_DATE, reinterpret_cast<const char*>(c.date.text),
                      WB_HTTP_DATE);
      const uint16_t whole = Add(sum, part.date_off % 2 != 0 ? c.date.sum_odd : c.date.sum_even);
      FUZZ_CHECK(Equal(whole, ReferenceSum(segment)), "sum with the Date");
    }
    all += segment;
  }
  FUZZ_CHECK(all == c.sent, "class %zu sends something else", cls);
}

void One(const uint8_t* data, std::string_view response) {
  const uint32_t second = 1700000000u + data[WB_CLASSES + 2] * 86413u + data[WB_CLASSES + 3];
  const size_t at = data[WB_CLASSES] * size_t{256} + data[WB_CLASSES + 1];
  Case c = {{response}, ReadSizes(data), std::string(response), cache::DateText(second)};
  if (at + WB_HTTP_DATE <= response.size()) {
    c.source.date_off = static_cast<uint16_t>(at);
    c.sent.replace(at, WB_HTTP_DATE, reinterpret_cast<const char*>(c.date.text), WB_HTTP_DATE);
  }
  constexpr uint32_t kOff = 64;
  const size_t bytes = cache::TemplateBytes(c.source, c.sizes);
  std::vector<uint8_t> bank(kOff + bytes, 0xa5);
  const wb_part part = cache::WriteTemplate(bank, 3, kOff, c.source, c.sizes);
  FUZZ_CHECK(part.bank == 3 && part.off % 8 == 0 && part.len == response.size(), "part");
  for (size_t i = 0; i < kOff; ++i) FUZZ_CHECK(bank[i] == 0xa5, "writes before its range");
  for (size_t cls = 0; cls < WB_CLASSES; ++cls) CheckClass(c, cls, bank, part);
  FUZZ_CHECK(cache::SameTemplate(bank, part, c.source), "not its own");
  std::string other(response);
  other[second % other.size()] ^= 1;
  cache::TemplateSource changed = c.source;
  changed.bytes = other;
  const size_t place = second % other.size();
  const bool in_date = part.date_off != WB_NO_DATE && place >= part.date_off &&
                       place < part.date_off + size_t{WB_HTTP_DATE};
  FUZZ_CHECK(cache::SameTemplate(bank, part, changed) == in_date, "byte %zu changed", place);
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size <= wb::fuzz::kHead || size - wb::fuzz::kHead > WB_BODY_MAX) return 0;
  wb::fuzz::One(data, wb::fuzz::Text(data + wb::fuzz::kHead, size - wb::fuzz::kHead));
  return 0;
}
