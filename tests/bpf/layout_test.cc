// SPDX-License-Identifier: Apache-2.0
// What is pinned outlives the accelerd that pinned it, so its layout has a version
// (WB_LAYOUT_VERSION), and layout.txt knows the layout of every version. A map or a struct that
// changes without the version is noticed here: an accelerd that adopted it would read it wrongly.
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/bpf/harness.h"
#include "webbooster.skel.h"
#include "xdp_bounce.skel.h"

namespace wb::bpf_test {
namespace {

class LayoutTest : public BpfTest {};

// Sizes, names and places of everything in the type, pointers and functions aside.
void Describe(const btf* types, uint32_t id, std::string& text) {
  const int32_t resolved = btf__resolve_type(types, id);
  const btf_type* t = btf__type_by_id(types, static_cast<uint32_t>(resolved));
  if (t == nullptr) return;
  absl::StrAppend(&text, btf_kind(t), ":", btf__resolve_size(types, id));
  if (btf_is_array(t)) {
    absl::StrAppend(&text, "[", btf_array(t)->nelems, "]");
    Describe(types, btf_array(t)->type, text);
  }
  if (!btf_is_composite(t)) return;
  absl::StrAppend(&text, "{");
  const btf_member* members = btf_members(t);
  for (int i = 0; i < btf_vlen(t); i++) {
    absl::StrAppend(&text, btf__name_by_offset(types, members[i].name_off), "@",
                    btf_member_bit_offset(t, static_cast<uint32_t>(i)), " ");
    Describe(types, members[i].type, text);
    absl::StrAppend(&text, ";");
  }
  absl::StrAppend(&text, "}");
}

// FNV-1a, 64 bits: written down, so it must be the same everywhere.
std::string Checksum(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3u;
  return absl::StrCat(absl::Hex(hash, absl::kZeroPad16));
}

bool IsPinned(const bpf_map* map) { return bpf_map__pin_path(map) != nullptr; }

// Of the bounce, whose maps are pinned beside, where redirection is configured.
bool IsOfBounce(const bpf_map* map) {
  return std::string_view(bpf_map__name(map)).starts_with("wb_bounce_");
}

// Every map that is pinned: what libbpf compares when it is adopted, and what it does not, the
// fields. Entries are for the configuration to say, but for those of per-CPU and reason counters.
std::string PinnedLayout(bpf_object* object, const std::function<bool(const bpf_map*)>& pinned) {
  const btf* types = bpf_object__btf(object);
  std::map<std::string, std::string> maps;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!pinned(map)) continue;
    std::string& text = maps[bpf_map__name(map)];
    text = absl::StrCat(bpf_map__type(map), " ", bpf_map__key_size(map), " ",
                        bpf_map__value_size(map), " ", bpf_map__map_flags(map), " ");
    Describe(types, bpf_map__btf_key_type_id(map), text);
    Describe(types, bpf_map__btf_value_type_id(map), text);
  }
  std::string all;
  for (const auto& [name, text] : maps) absl::StrAppend(&all, name, " ", text, "\n");
  return all;
}

// `version`: the first word of the line in layout.txt.
void ExpectKnown(const std::string& version, const std::string& layout) {
  const std::string line = absl::StrCat(version, " ", Checksum(layout));
  std::ifstream file(WB_LAYOUT_FILE);
  std::vector<std::string> known;
  for (std::string one; std::getline(file, one);)
    if (one.starts_with(absl::StrCat(version, " "))) known.push_back(one);
  ASSERT_EQ(known.size(), 1u) << "write this line into tests/bpf/layout.txt: " << line;
  EXPECT_EQ(known[0], line)
      << "what is pinned has another layout: raise WB_LAYOUT_VERSION (include/webbooster/abi/"
         "limits.h) and add its lines to tests/bpf/layout.txt; only where no release had version "
      << WB_LAYOUT_VERSION << ", replace the line";
}

TEST_F(LayoutTest, IsThatOfItsVersion) {
  const std::string layout = PinnedLayout(h.programs().skeleton()->obj, IsPinned);
  ASSERT_NE(layout.find("wb_conn_states"), std::string::npos) << layout;
  ASSERT_NE(layout.find("k_rcv_nxt@"), std::string::npos) << "no fields: " << layout;
  ExpectKnown(absl::StrCat(WB_LAYOUT_VERSION), layout);
}

TEST_F(LayoutTest, OfTheBounceIsThatOfItsVersion) {
  xdp_bounce_bpf* skeleton = xdp_bounce_bpf__open();
  ASSERT_NE(skeleton, nullptr);
  const std::string layout = PinnedLayout(skeleton->obj, IsOfBounce);
  xdp_bounce_bpf__destroy(skeleton);
  ASSERT_NE(layout.find("lingers@"), std::string::npos) << "no fields: " << layout;
  ExpectKnown(absl::StrCat(WB_LAYOUT_VERSION, "-bounce"), layout);
}

}  // namespace
}  // namespace wb::bpf_test
