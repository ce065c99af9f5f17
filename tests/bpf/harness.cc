// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/harness.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <span>

#include "ctl/cache/template.h"
#include "webbooster.skel.h"
#include "webbooster/abi/reasons.h"
#include "webbooster/base/check.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bpf_test {
namespace {

constexpr uint32_t kConnections = 1024;
constexpr const char* kLabels[] = {
#define WB_X(name, label, hook, text) label,
    WB_REASONS(WB_X)
#undef WB_X
};

// Jobs are per CPU: what ingress prepares, wb_xdp_prove must find.
void PinToThisCpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(sched_getcpu()), &set);
  WB_CHECK(sched_setaffinity(0, sizeof(set), &set) == 0, "cannot pin to a CPU");
}

std::string PinDir() {
  static int n = 0;
  return "/sys/fs/bpf/wb-test-" + std::to_string(getpid()) + "-" + std::to_string(n++);
}

template <typename T>
std::vector<T> ReadPerCpu(bpf_map* map, uint32_t key) {
  std::vector<T> values(static_cast<size_t>(libbpf_num_possible_cpus()));
  WB_CHECK(bpf_map_lookup_elem(bpf_map__fd(map), &key, values.data()) == 0, "per-CPU counter");
  return values;
}

}  // namespace

Harness::Harness() : pin_dir_(PinDir()), reasons_(WB_R_COUNT) {
  PinToThisCpu();
  auto programs = kern::Programs::Load({.pin_dir = pin_dir_,
                                        .connections = kConnections,
                                        .variants = 512,
                                        .arena_bytes = WB_BANK_BYTES,
                                        .lease_ns = 500 * kMs,
                                        .keepalive_refresh_ns = 30000 * kMs});
  if (!programs.ok()) {
    fprintf(stderr, "%s\n", programs.status().ToString().c_str());
    std::exit(2);
  }
  programs_ = *std::move(programs);
  store_ = std::make_unique<kern::ObjectStore>(*programs_);
  arena_ = std::make_unique<cache::Arena>(
      std::vector<std::span<uint8_t>>{{programs_->arena[0].bytes, WB_BANK_BYTES}});
  WB_CHECK(store_->SetPort(kPort, WB_PORT_FOLLOWED).ok(), "port");
  WB_CHECK(store_->SetHost(kHost, kPort, kDomain).ok(), "host");
  store_->SetDomain(kDomain, WB_DF_ENABLED);
  const uint64_t later = kern::MonotonicNs() + 3600000 * kMs;
  control().heartbeat_ns = later;
  control().second_start_ns = later;
  control().second = kSecond;
  for (uint32_t s = kSecond - 4; s < kSecond + 4; ++s)
    programs_->dates[s % WB_DATES] = cache::DateText(s);
  for (uint32_t n = 1; n <= WB_FANOUT_MAX; ++n) SetFanout(0, n, true);
}

Harness::~Harness() {
  store_.reset();
  EXPECT_TRUE(programs_->Unpin().ok());
}

bpf_map* Harness::Map(const char* name) {
  bpf_map* map = bpf_object__find_map_by_name(programs_->skeleton()->obj, name);
  WB_CHECK(map != nullptr, name);
  return map;
}

bpf_program* Harness::Program(const char* name) {
  bpf_program* program = bpf_object__find_program_by_name(programs_->skeleton()->obj, name);
  WB_CHECK(program != nullptr, name);
  return program;
}

// A test run never flushes the redirect, so an empty table does.
void Harness::SetFanout(uint32_t if_slot, uint32_t segments, bool exists) {
  static base::UniqueFd table(bpf_map_create(BPF_MAP_TYPE_DEVMAP, "wb_fan", sizeof(uint32_t),
                                             sizeof(bpf_devmap_val), 2, nullptr));
  const uint32_t index = WB_FANOUT_INDEX(if_slot, segments);
  const int outer = bpf_map__fd(Map("wb_fanout")), inner = table.get();
  const int error = exists ? bpf_map_update_elem(outer, &index, &inner, BPF_ANY)
                           : bpf_map_delete_elem(outer, &index);
  WB_CHECK(error == 0, "fan-out table");
}

Object Harness::Publish(const std::string& target, const ObjectOptions& o) {
  Object object;
  object.slot = next_slot_++;
  const wb_date date = cache::DateText(kSecond);
  const std::string text(reinterpret_cast<const char*>(date.text), WB_HTTP_DATE);
  std::string body(o.body, '\0');
  for (size_t i = 0; i < body.size(); ++i)
    body[i] = static_cast<char>('!' + (i * 7 + i / 91 + object.slot * 13) % 90);
  const std::string fields = "Server: " + o.server + "\r\n" +
                             (o.with_date ? "Date: " + text + "\r\n" : "") +
                             "Last-Modified: " + o.last_modified + "\r\nETag: " + o.etag + "\r\n";
  const std::string length =
      "Content-Type: text/html\r\nContent-Length: " + std::to_string(o.body) + "\r\n\r\n";
  object.head = "HTTP/1.1 200 OK\r\n" + fields + length;
  object.get = object.head + body;
  object.not_modified = "HTTP/1.1 304 Not Modified\r\n" + fields + "\r\n";

  kern::VariantContent content;
  content.domain = o.domain;
  content.expires_ns = o.expires_ns;
  content.generations = o.generations;
  content.etag = o.etag;
  content.last_modified = o.last_modified;
  const std::string* bytes[WB_PART_KINDS] = {&object.get, &object.head, &object.not_modified};
  for (size_t kind = 0; kind < WB_PART_KINDS; ++kind) {
    cache::TemplateSource source;
    source.bytes = *bytes[kind];
    source.header_len = static_cast<uint16_t>(bytes[kind]->find("\r\n\r\n") + 4);
    source.date_off =
        o.with_date ? static_cast<uint16_t>(bytes[kind]->find("Date: ") + 6) : WB_NO_DATE;
    const auto range = arena_->Allocate(cache::TemplateBytes(source, kern::kSegmentSizes));
    WB_CHECK(range.has_value(), "the arena is full");
    content.part[kind] = cache::WriteTemplate(arena_->bank(range->bank), range->bank, range->off,
                                              source, kern::kSegmentSizes);
  }
  store_->Write(object.slot, content);
  store_->Publish(object.slot, o.own_freshness);
  auto& classes = paths_[{o.domain, target}];
  classes[o.encoding] = object.slot;
  WB_CHECK(store_->SetPath(static_cast<uint16_t>(o.domain), target, classes).ok(), "path");
  if (!o.key.empty()) WB_CHECK(store_->SetKey(o.key, object.slot).ok(), "key");
  return object;
}

wb_conn_state& Harness::Enter(const wb_conn_key& key, const wb_conn_state& state) {
  struct {
    uint32_t lock, slot;
    uint64_t id;
  } entry = {0, next_conn_++, 0x5000 + next_conn_};
  WB_CHECK(entry.slot < kConnections, "too many connections");
  wb_conn_state& s = programs_->states[entry.slot];
  s = state;
  s.id = entry.id;
  s.key = key;
  WB_CHECK(bpf_map__value_size(Map("wb_conns")) == sizeof(entry), "struct wb_conn");
  WB_CHECK(bpf_map_update_elem(bpf_map__fd(Map("wb_conns")), &key, &entry, BPF_ANY) == 0,
           "wb_conns");
  return s;
}

Ran Harness::Run(const char* program, const Bytes& frame, uint32_t ifindex) {
  xdp_md context = {};
  context.data_end = static_cast<uint32_t>(frame.size());
  context.ingress_ifindex = ifindex;
  Ran ran;
  ran.frame.resize(8192);
  DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data(),
                      .data_out = ran.frame.data(),
                      .data_size_in = static_cast<uint32_t>(frame.size()),
                      .data_size_out = static_cast<uint32_t>(ran.frame.size()), .repeat = 1);
  if (ifindex != 0) {
    opts.ctx_in = opts.ctx_out = &context;
    opts.ctx_size_in = opts.ctx_size_out = sizeof(context);
  }
  const int error = bpf_prog_test_run_opts(bpf_program__fd(Program(program)), &opts);
  EXPECT_EQ(error, 0) << program << ": " << strerror(errno);
  ran.verdict = opts.retval;
  ran.frame.resize(opts.data_size_out);
  const auto metadata = ran.frame.begin() + static_cast<long>(ifindex != 0 ? context.data : 0);
  ran.metadata.assign(ran.frame.begin(), metadata);
  ran.frame.erase(ran.frame.begin(), metadata);
  return ran;
}

Ran Harness::Ingress(const Bytes& frame, uint32_t ifindex) {
  return Run("wb_xdp_ingress", frame, ifindex);
}
Ran Harness::Egress(const Bytes& frame) { return Run("wb_tc_egress", frame, 0); }
Ran Harness::Prove(const Bytes& marked) { return Run("wb_xdp_prove", marked, kLoopback); }

Ran Harness::Timer(const wb_order& order) {
  Bytes frame(14 + sizeof(order));
  memcpy(frame.data() + 14, &order, sizeof(order));
  return Run("wb_xdp_timer", frame, kLoopback);
}

std::vector<Bytes> Harness::Segments(const Bytes& marked) {
  std::vector<Bytes> segments;
  while (segments.size() <= WB_FANOUT_MAX) {
    Ran ran = Prove(marked);
    if (ran.verdict != XDP_PASS) {
      EXPECT_EQ(ran.verdict, static_cast<uint32_t>(XDP_DROP));
      break;
    }
    segments.push_back(std::move(ran.frame));
  }
  return segments;
}

Reasons Harness::TakeReasons() {
  Reasons changes;
  for (uint32_t r = 0; r < WB_R_COUNT; ++r) {
    uint64_t sum = 0;
    for (uint64_t n : ReadPerCpu<uint64_t>(Map("wb_reasons"), r)) sum += n;
    if (sum != reasons_[r]) changes[kLabels[r]] = sum - reasons_[r];
    reasons_[r] = sum;
  }
  return changes;
}

wb_domain_stats Harness::DomainStats(uint32_t domain) {
  wb_domain_stats sum = {};
  for (const wb_domain_stats& s : ReadPerCpu<wb_domain_stats>(Map("wb_domain_stats"), domain)) {
    sum.hits += s.hits;
    sum.hits_keyed += s.hits_keyed;
    sum.hits_not_modified += s.hits_not_modified;
    sum.hits_head += s.hits_head;
    sum.bytes += s.bytes;
    sum.segments += s.segments;
    sum.misses += s.misses;
    sum.shadow_hits += s.shadow_hits;
    sum.shadow_bytes += s.shadow_bytes;
    sum.shadow_segments += s.shadow_segments;
  }
  return sum;
}

std::vector<std::string> Harness::TakeMisses() {
  std::vector<std::string> misses;
  const auto take = [](void* to, void* data, size_t size) {
    EXPECT_EQ(size, sizeof(wb_miss));
    const auto& m = *static_cast<wb_miss*>(data);
    static_cast<std::vector<std::string>*>(to)->push_back(
        std::to_string(m.domain) + " " + std::to_string(m.encoding) + " " +
        std::string(reinterpret_cast<const char*>(m.target), m.target_len));
    return 0;
  };
  ring_buffer* ring = ring_buffer__new(bpf_map__fd(Map("wb_misses")), take, &misses, nullptr);
  WB_CHECK(ring != nullptr, "wb_misses");
  EXPECT_GE(ring_buffer__consume(ring), 0);
  ring_buffer__free(ring);
  return misses;
}

std::string Request(const std::string& method, const std::string& target,
                    const std::string& more_fields) {
  return method + " " + target + " HTTP/1.1\r\nHost: " + kHost + "\r\n" + more_fields + "\r\n";
}

std::string Get(const std::string& target, const std::string& more_fields) {
  return Request("GET", target, more_fields);
}

}  // namespace wb::bpf_test
