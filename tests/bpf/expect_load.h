// SPDX-License-Identifier: Apache-2.0
// What a test expects of loaded programs as such: the verifier's effort, names, and structs that
// lie the same in both languages.
#ifndef WEBBOOSTER_TESTS_BPF_EXPECT_LOAD_H_
#define WEBBOOSTER_TESTS_BPF_EXPECT_LOAD_H_

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace wb::bpf_test {

// Returns how many programs the object has.
inline size_t ExpectBelow(bpf_object* object, const std::map<std::string, uint32_t>& ceilings) {
  size_t programs = 0;
  bpf_program* p = nullptr;
  bpf_object__for_each_program(p, object) {
    const std::string name = bpf_program__name(p);
    SCOPED_TRACE(name);
    ++programs;
    EXPECT_TRUE(ceilings.contains(name)) << "a new program needs a ceiling";
    if (!ceilings.contains(name)) continue;
    bpf_prog_info info = {};
    uint32_t len = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
    testing::Test::RecordProperty(name, static_cast<int>(info.verified_insns));
    EXPECT_GT(info.verified_insns, 0u);
    EXPECT_LT(info.verified_insns, ceilings.at(name));
    EXPECT_EQ(name, info.name) << "truncated by the kernel";
  }
  return programs;
}

struct Member {
  const char* name;
  size_t offset, size;
};

inline void ExpectLayout(const btf* types, const char* name, size_t size,
                         const std::vector<Member>& members) {
  SCOPED_TRACE(name);
  const int id = btf__find_by_name_kind(types, name, BTF_KIND_STRUCT);
  ASSERT_GT(id, 0);
  const btf_type* type = btf__type_by_id(types, static_cast<uint32_t>(id));
  EXPECT_EQ(type->size, size);
  ASSERT_EQ(btf_vlen(type), members.size()) << "every member is compared";
  const btf_member* m = btf_members(type);
  for (size_t i = 0; i < members.size(); ++i) {
    EXPECT_STREQ(btf__name_by_offset(types, m[i].name_off), members[i].name);
    EXPECT_EQ(btf_member_bit_offset(type, static_cast<uint32_t>(i)), members[i].offset * 8)
        << members[i].name;
    EXPECT_EQ(btf__resolve_size(types, m[i].type), static_cast<int64_t>(members[i].size))
        << members[i].name;
  }
}

#define WB_M(s, m) \
  ::wb::bpf_test::Member { #m, offsetof(s, m), sizeof(s::m) }

}  // namespace wb::bpf_test

#endif  // WEBBOOSTER_TESTS_BPF_EXPECT_LOAD_H_
