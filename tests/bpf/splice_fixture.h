// SPDX-License-Identifier: Apache-2.0
// Timelines in which both XDP and the kernel answer: one cached object's request, one miss and its
// response.
#ifndef WEBBOOSTER_TESTS_BPF_SPLICE_FIXTURE_H_
#define WEBBOOSTER_TESTS_BPF_SPLICE_FIXTURE_H_

#include <string>

#include "tests/bpf/timeline.h"

namespace wb::bpf_test {

class SpliceFixture : public TimelineTest {
 protected:
  const std::string hit = Get("/a"), miss = Get("/not-there");
  const uint32_t r = Len(hit), m = Len(miss);
  const std::string reply = KernelResponse("200 OK", "Content-Length: 1000\r\n", 1000);
  const uint32_t k = Len(reply);

  // A miss is answered by the kernel, and the kernel sees all of its response acknowledged.
  void KernelServesFirst(Timeline& t, const std::string& request, const std::string& response) {
    t.In(0, 0, request).PassesUntouched({{"miss", 1}});
    t.Out(0, Len(request), response).Leaves(0, Len(request), {});
    t.In(Len(request), Len(response)).PassesUntouched({{"ack_passed", 1}});
  }
};

}  // namespace wb::bpf_test

#endif  // WEBBOOSTER_TESTS_BPF_SPLICE_FIXTURE_H_
