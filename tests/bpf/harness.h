// SPDX-License-Identifier: Apache-2.0
// The real programs, loaded fresh for each test through wb::kern::Programs, and run one packet at a
// time with BPF_PROG_TEST_RUN. Needs root and a mounted bpffs. Nothing is attached to an interface;
// packets pretend to come by the loopback device.
#ifndef WEBBOOSTER_TESTS_BPF_HARNESS_H_
#define WEBBOOSTER_TESTS_BPF_HARNESS_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/cache/arena.h"
#include "ctl/kern/object_store.h"
#include "ctl/kern/programs.h"
#include "tests/support/packet.h"

struct bpf_map;
struct bpf_program;

namespace wb::bpf_test {

using support::Address;
using support::Bytes;

inline constexpr uint32_t kLoopback = 1;         // interface index, every namespace has it
inline constexpr uint32_t kSecond = 1764547200;  // what the clock says, kept still
inline constexpr uint32_t kDomain = 1;
inline constexpr char kHost[] = "site.test";
inline constexpr uint16_t kPort = 80;
inline constexpr uint64_t kMs = 1000000;

struct Ran {
  uint32_t verdict = 0;
  Bytes frame;
  Bytes metadata;  // that the program put before the frame
};

// One cached object: its three responses as they must arrive.
struct Object {
  uint32_t slot = 0;
  std::string get, head, not_modified;
};

struct ObjectOptions {
  size_t body = 100;
  uint32_t domain = kDomain;
  std::string etag = "\"5f-1a2b\"";
  std::string last_modified = "Tue, 04 Nov 2025 10:20:30 GMT";
  std::string server = "test";  // its length moves the Date
  bool with_date = true;
  bool own_freshness = false;
  uint64_t expires_ns = 0;
  std::vector<uint32_t> generations = {};
  std::string key = {};   // of a booster, 32 digits
  uint32_t encoding = 0;  // class of Accept-Encoding that it is entered for
};

using Reasons = std::map<std::string, uint64_t>;

class Harness {
 public:
  Harness();
  ~Harness();

  kern::Programs& programs() { return *programs_; }
  kern::ObjectStore& store() { return *store_; }
  wb_control& control() { return programs_->control[0]; }

  // Publishes an object under a target of kHost (or of options.domain).
  Object Publish(const std::string& target, const ObjectOptions& options = {});
  // Enters a connection and returns its state, filled but for key, id and slot.
  wb_conn_state& Enter(const wb_conn_key& key, const wb_conn_state& state);

  Ran Ingress(const Bytes& frame, uint32_t ifindex = kLoopback);
  Ran Egress(const Bytes& frame);
  Ran Timer(const wb_order& order);
  // The segments that the clones of a redirected frame become, and checks that the last clone is
  // spare.
  std::vector<Bytes> Segments(const Bytes& marked);
  Ran Prove(const Bytes& marked);

  // Counters of wb_reasons that changed since the last call, by label.
  Reasons TakeReasons();
  wb_domain_stats DomainStats(uint32_t domain);
  // The reports of misses since the last call: "domain encoding target".
  std::vector<std::string> TakeMisses();
  bpf_map* Map(const char* name);
  bpf_program* Program(const char* name);
  // Which fan-outs exist; all do at first.
  void SetFanout(uint32_t if_slot, uint32_t segments, bool exists);

 private:
  Ran Run(const char* program, const Bytes& frame, uint32_t ifindex);
  std::string pin_dir_;
  std::unique_ptr<kern::Programs> programs_;
  std::unique_ptr<kern::ObjectStore> store_;
  std::unique_ptr<cache::Arena> arena_;
  std::vector<uint64_t> reasons_;
  uint32_t next_slot_ = 1;
  uint32_t next_conn_ = 0;
  std::map<std::pair<uint32_t, std::string>, std::array<uint32_t, WB_ENCODINGS>> paths_;
};

class BpfTest : public testing::Test {
 protected:
  Harness h;
};

// What a plain GET of the target looks like.
std::string Get(const std::string& target, const std::string& more_fields = "");
std::string Request(const std::string& method, const std::string& target,
                    const std::string& more_fields = "");

}  // namespace wb::bpf_test

#endif  // WEBBOOSTER_TESTS_BPF_HARNESS_H_
