// SPDX-License-Identifier: Apache-2.0
// Takes the place of libbpf's function for a test program, so that it loads another object than the
// one that was compiled in where the environment's WB_BPF_OBJECT names one (mutate.py).
#include <bpf/libbpf.h>
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "webbooster/base/check.h"

extern "C" int bpf_object__open_skeleton(bpf_object_skeleton* s, const bpf_object_open_opts* opts) {
  static std::string object;
  // The object of that name: webbooster.bpf.o is what the skeleton calls webbooster_bpf.
  const char* path = getenv("WB_BPF_OBJECT");
  if (path != nullptr && std::filesystem::path(path).stem().stem().string() + "_bpf" == s->name) {
    std::ifstream file(path, std::ios::binary);
    object.assign(std::istreambuf_iterator<char>(file), {});
    s->data = object.data();
    s->data_sz = object.size();
  }
  using Open = int (*)(bpf_object_skeleton*, const bpf_object_open_opts*);
  static const auto real = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "bpf_object__open_skeleton"));
  WB_CHECK(real != nullptr, "libbpf is linked dynamically");
  return real(s, opts);
}
