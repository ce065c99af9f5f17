// SPDX-License-Identifier: Apache-2.0
// Admission by proof: whatever is wrong with a template in the arena or with its description is
// found before anybody is answered with it.
#include "ctl/accelerd/prover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "tests/bpf/harness.h"

namespace wb::bpf_test {
namespace {

using Sources = std::array<std::optional<cache::TemplateSource>, WB_PART_KINDS>;

class ProverTest : public BpfTest {
 protected:
  static cache::TemplateSource Source(const std::string& response) {
    cache::TemplateSource source;
    source.bytes = response;
    source.header_len = static_cast<uint16_t>(response.find("\r\n\r\n") + 4);
    const size_t date = response.find("Date: ");
    if (date != std::string::npos) source.date_off = static_cast<uint16_t>(date + 6);
    return source;
  }
  static Sources Of(const Object& o) {
    return {Source(o.get), Source(o.head), Source(o.not_modified)};
  }
  absl::Status Prove(const Object& o) {
    return accelerd::Prover(h.programs()).Prove(o.slot, Of(o));
  }
  wb_part& Get(const Object& o) { return h.programs().variants[o.slot].part[WB_PART_GET]; }
  uint8_t* At(const Object& o, size_t offset) {
    return &h.programs().arena[Get(o).bank].bytes[Get(o).off + offset];
  }
};

TEST_F(ProverTest, ProvesWhatIsRight) {
  for (size_t body : {0, 1, 2, 511, 1000, 1447, 1448, 3001, 8192, 16000})
    for (const char* server : {"even", "odd"})
      for (bool dated : {true, false}) {
        const Object o = h.Publish("/" + std::to_string(body),
                                   {.body = body, .server = server, .with_date = dated});
        EXPECT_TRUE(Prove(o).ok()) << body << " " << Prove(o);
      }
}

// Printed for docs/DESIGN.md. Bounded, for a worker spends it on every fill.
TEST_F(ProverTest, TakesLittleTime) {
  for (size_t body : {100, 1000, 11200, 16000}) {
    const Object o = h.Publish("/" + std::to_string(body), {.body = body});
    double least = 1;
    for (int i = 0; i < 20; i++) {
      const auto begun = std::chrono::steady_clock::now();
      ASSERT_TRUE(Prove(o).ok());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
      least = std::min(least, took.count());
    }
    printf("proof of a body of %zu bytes: %.0f us\n", body, least * 1e6);
    EXPECT_LT(least, 0.05);
  }
}

TEST_F(ProverTest, FindsWhatIsWrong) {
  const Object o = h.Publish("/a", {.body = 6001});
  struct Fault {
    const char* what;
    std::function<void()> make;
  };
  wb_variant& v = h.programs().variants[o.slot];
  wb_part& get = Get(o);
  const Fault faults[] = {
      {"a byte of the header", [&] { *At(o, 20) ^= 1; }},
      {"a byte of the body", [&] { *At(o, get.len - 1u) ^= 1; }},
      // Checksums cannot tell them apart.
      {"two words exchanged", [&] { std::swap_ranges(At(o, 3000), At(o, 3002), At(o, 3002)); }},
      {"a sum", [&] { *(At(o, 0) - 2) ^= 1; }},
      {"the sums of the smallest class", [&] { *(At(o, 0) - 2 * get.sum_index[11]) ^= 1; }},
      {"a segment less", [&] { get.nseg[2]--; }},
      {"a segment more", [&] { get.nseg[2]++; }},
      {"the length", [&] { get.len--; }},
      {"the place of the sums", [&] { get.sum_index[5]++; }},
      {"the place of the Date", [&] { get.date_off++; }},
      {"no Date", [&] { get.date_off = WB_NO_DATE; }},
      {"the place", [&] { get.off += 8; }},
      {"the bank", [&] { get.bank = 1000000; }},
      {"HEAD for GET", [&] { get = v.part[WB_PART_HEAD]; }},
      {"GET for 304", [&] { v.part[WB_PART_NOT_MODIFIED] = get; }},
  };
  const wb_variant right = v;
  const std::vector<uint8_t> bytes(At(o, 0) - 512, At(o, 0) + get.len);
  for (const Fault& fault : faults) {
    ASSERT_TRUE(Prove(o).ok());
    fault.make();
    const absl::Status status = Prove(o);
    EXPECT_TRUE(absl::IsDataLoss(status)) << fault.what << ": " << status;
    v = right;
    std::copy(bytes.begin(), bytes.end(), At(o, 0) - 512);
  }
}

// The code that serves and the code that proves are one: what is proved is what is sent.
TEST_F(ProverTest, IsBlindToNothingThatTheServerAnswered) {
  const Object o = h.Publish("/a", {.body = 3000});
  Sources other = Of(o);
  std::string changed(other[WB_PART_GET]->bytes);
  changed.back() ^= 1;
  other[WB_PART_GET]->bytes = changed;
  EXPECT_TRUE(absl::IsDataLoss(accelerd::Prover(h.programs()).Prove(o.slot, other)));
}

}  // namespace
}  // namespace wb::bpf_test
