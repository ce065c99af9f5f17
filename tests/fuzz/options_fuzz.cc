// SPDX-License-Identifier: Apache-2.0
// The data path's walk over TCP options. Input: the options' bytes, 40 at most. A plain reader (RFC
// 9293 3.1, 7323, 2018) finds the same timestamps and SACK blocks, and the same doubt.
#include "tests/fuzz/datapath.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {
namespace {

uint32_t Big(std::string_view bytes, size_t at) {
  uint32_t n = 0;
  for (size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<uint8_t>(bytes[at + i]);
  return n;
}

dp_options Read(std::string_view options) {
  dp_options r = {};
  size_t at = 0;
  while (at < options.size() && options[at] != 0) {
    if (options[at] == 1) {
      ++at;
      continue;
    }
    const size_t size = at + 1 < options.size() ? static_cast<uint8_t>(options[at + 1]) : 0;
    if (size < 2 || size > options.size() - at) {
      r.odd = 1;
      break;
    }
    if (options[at] == 8 && size == 10) {
      r.has_ts = 1;
      r.ts_val = Big(options, at + 2);
    } else if (options[at] == 5 && (size == 10 || size == 18 || size == 26 || size == 34)) {
      r.sacks = static_cast<uint32_t>(size - 2) / 8;
      for (size_t i = 0; i < r.sacks; ++i) {
        r.sack[i][0] = Big(options, at + 2 + 8 * i);
        r.sack[i][1] = Big(options, at + 6 + 8 * i);
      }
    } else {
      r.odd = 1;
    }
    at += size;
  }
  return r;
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 40) return 0;
  const auto length = static_cast<uint32_t>(size & ~size_t{3});
  const dp_options have = dp_walk_options(data, length);
  const dp_options want = wb::fuzz::Read(wb::fuzz::Text(data, length));
  FUZZ_CHECK(have.odd == want.odd, "odd: %d", have.odd);
  FUZZ_CHECK(have.has_ts == want.has_ts && have.ts_val == want.ts_val, "timestamps");
  FUZZ_CHECK(have.sacks == want.sacks, "%u SACK blocks, not %u", have.sacks, want.sacks);
  for (uint32_t i = 0; i < want.sacks; ++i)
    FUZZ_CHECK(have.sack[i][0] == want.sack[i][0] && have.sack[i][1] == want.sack[i][1],
               "SACK block %u", i);
  return 0;
}
