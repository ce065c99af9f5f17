// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/template.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "ctl/cache/http_date.h"
#include "webbooster/base/check.h"

namespace wb::cache {
namespace {

constexpr uint32_t kMaxSums = 254;  // sum_index is 8 bits wide

struct Layout {
  wb_part part = {};
  uint32_t sums = 0;
  uint32_t sum_bytes = 0;  // padded, so that the response is 8-aligned
};

// The largest classes come first and nseg grows from class to class, so what does not fit is the
// smallest ones.
Layout Plan(const TemplateSource& source, SegmentSizes sizes) {
  Layout layout;
  const auto len = static_cast<uint32_t>(source.bytes.size());
  for (size_t c = 0; c < WB_CLASSES; ++c) {
    const uint32_t size = sizes[c];
    if (size == 0) continue;
    const uint32_t nseg = (len + size - 1) / size;
    if (nseg > WB_FANOUT_MAX || layout.sums + nseg > kMaxSums) continue;
    if (source.date_off != WB_NO_DATE && source.date_off + WB_HTTP_DATE > size) continue;
    layout.part.nseg[c] = static_cast<uint8_t>(nseg);
    layout.sums += nseg;
  }
  uint32_t before = 0;
  for (size_t c = 0; c < WB_CLASSES; ++c) {
    if (layout.part.nseg[c] == 0) continue;
    layout.part.sum_index[c] = static_cast<uint8_t>(layout.sums - before);
    before += layout.part.nseg[c];
  }
  layout.sum_bytes = (layout.sums * 2 + 7) / 8 * 8;
  return layout;
}

}  // namespace

uint16_t OnesSum(std::span<const uint8_t> bytes) {
  uint64_t sum = 0;
  size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) {
    uint16_t word;
    std::memcpy(&word, &bytes[i], sizeof(word));
    sum += word;
  }
  if (i < bytes.size()) {
    uint16_t word = 0;
    std::memcpy(&word, &bytes[i], 1);
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

size_t TemplateBytes(const TemplateSource& source, SegmentSizes sizes) {
  return Plan(source, sizes).sum_bytes + (source.bytes.size() + 7) / 8 * 8;
}

wb_part WriteTemplate(std::span<uint8_t> bank, uint32_t bank_index, uint32_t off,
                      const TemplateSource& source, SegmentSizes sizes) {
  Layout layout = Plan(source, sizes);
  wb_part part = layout.part;
  part.bank = bank_index;
  part.off = off + layout.sum_bytes;
  part.len = static_cast<uint32_t>(source.bytes.size());
  part.date_off = source.date_off;
  part.header_len = source.header_len;
  WB_CHECK(off % 8 == 0 && part.len > 0 && part.len <= WB_BODY_MAX, "template");
  WB_CHECK(size_t{part.off} + part.len <= bank.size(), "template beyond its bank");

  const std::span<uint8_t> bytes = bank.subspan(part.off, part.len);
  std::memcpy(bytes.data(), source.bytes.data(), bytes.size());
  if (part.date_off != WB_NO_DATE) {
    WB_CHECK(part.date_off + WB_HTTP_DATE <= part.len, "Date beyond the response");
    std::ranges::fill(bytes.subspan(part.date_off, WB_HTTP_DATE), uint8_t{0});
  }
  for (size_t c = 0; c < WB_CLASSES; ++c) {
    uint8_t* at = bank.data() + part.off - 2 * part.sum_index[c];
    for (size_t i = 0; i < part.nseg[c]; ++i) {
      const size_t start = i * sizes[c];
      const uint16_t sum =
          OnesSum(bytes.subspan(start, std::min<size_t>(sizes[c], bytes.size() - start)));
      std::memcpy(at + 2 * i, &sum, sizeof(sum));
    }
  }
  return part;
}

bool SameTemplate(std::span<const uint8_t> bank, const wb_part& part,
                  const TemplateSource& source) {
  if (part.len != source.bytes.size() || part.header_len != source.header_len ||
      part.date_off != source.date_off) {
    return false;
  }
  const auto* bytes = reinterpret_cast<const char*>(&bank[part.off]);
  const std::string_view written(bytes, part.len);
  if (part.date_off == WB_NO_DATE) return written == source.bytes;
  const size_t after = part.date_off + WB_HTTP_DATE;
  return written.substr(0, part.date_off) == source.bytes.substr(0, part.date_off) &&
         written.substr(after) == source.bytes.substr(after);
}

wb_date DateText(uint32_t unix_second) {
  wb_date date = {};
  date.second = unix_second;
  const std::string text = FormatHttpDate(unix_second);
  WB_CHECK(text.size() == WB_HTTP_DATE, "Date text");
  std::memcpy(date.text, text.data(), text.size());
  // At an odd offset the text's first byte is the second one of a pair.
  uint8_t shifted[1 + WB_HTTP_DATE] = {};
  std::memcpy(shifted + 1, text.data(), text.size());
  date.sum_even = OnesSum(std::span<const uint8_t>(date.text, WB_HTTP_DATE));
  date.sum_odd = OnesSum(shifted);
  return date;
}

}  // namespace wb::cache
