// SPDX-License-Identifier: Apache-2.0
// Single ranges of bulk objects (RFC 9110, 14): which are taken, what the sender is told of them,
// and which the web server answers as ever.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "ctl/observe/hit_line.h"
#include "tests/bpf/splice_fixture.h"
#include "webbooster/abi/bulk.h"

namespace wb::bpf_test {
namespace {

constexpr uint32_t kSize = 1000000;  // of the body
constexpr uint16_t kHeader = 200, kFixed = 280;
constexpr char kBig[] = "/big";

std::string Ranged(const std::string& value, const std::string& more = "") {
  return Get(kBig, absl::StrCat("Range: ", value, "\r\n", more));
}

class BulkRangeTest : public SpliceFixture {
 protected:
  void SetUp() override {
    slot_ = h.Publish(kBig).slot;
    variant().part[WB_PART_GET] = {};
    variant().part[WB_PART_GET].bank = WB_BULK_BANK;
    variant().part[WB_PART_GET].len = kHeader + kSize;
    variant().part[WB_PART_GET].header_len = kHeader;
    variant().range_header_len = kFixed;
    h.control().bulk[0] = 1;
    h.control().bulk_heartbeat_ns = h.control().heartbeat_ns;
  }
  wb_variant& variant() { return h.programs().variants[slot_]; }

  static uint32_t LengthOf(uint32_t first, uint32_t bytes) {
    return kFixed + Len(absl::StrCat(first, first + bytes - 1, bytes)) + bytes;
  }

  void Takes(const std::string& request, uint32_t first, uint32_t bytes) {
    SCOPED_TRACE(request);
    const wb_domain_stats before = h.DomainStats(kDomain);
    Timeline t(h, Conn());
    t.In(0, 0, request).Dropped({{"bulk_range", 1}});
    const wb_conn_state& s = t.state();
    EXPECT_TRUE(s.flags & WB_CF_BULK);
    EXPECT_EQ(s.bulk.first, first);
    EXPECT_EQ(s.bulk.bytes, bytes);
    EXPECT_EQ(s.bulk.start, t.options().us0);
    EXPECT_EQ(s.bulk.end - s.bulk.start, LengthOf(first, bytes));
    EXPECT_EQ(s.d_out, LengthOf(first, bytes));
    EXPECT_EQ(s.d_in, Len(request));
    const wb_domain_stats after = h.DomainStats(kDomain);
    EXPECT_EQ(after.hits - before.hits, 1u);
    EXPECT_EQ(after.bytes - before.bytes, LengthOf(first, bytes));
  }

  // As ever, followed by the kernel's response; or the connection is left for good.
  void Passes(const std::string& request, const char* reason, bool follows = true) {
    SCOPED_TRACE(request);
    Timeline t(h, Conn());
    t.In(0, 0, request).PassesUntouched({{reason, 1}});
    EXPECT_FALSE(t.state().flags & WB_CF_BULK);
    EXPECT_EQ(t.state().d_out, 0u);
    EXPECT_EQ(!(t.state().flags & WB_CF_UNSYNCED), follows);
    EXPECT_EQ(t.state().resp_pending, follows ? 1 : 0);
  }

 private:
  uint32_t slot_ = 0;
};

TEST_P(BulkRangeTest, RangesAreTaken) {
  const uint32_t last = kSize - 1;
  Takes(Ranged("bytes=0-0"), 0, 1);
  Takes(Ranged("bytes=0-9"), 0, 10);
  Takes(Ranged("bytes=9-9"), 9, 1);
  Takes(Ranged("bytes=10-99"), 10, 90);
  Takes(Ranged("bytes=99999-100000"), 99999, 2);
  Takes(Ranged("bytes=999999-999999"), last, 1);
  Takes(Ranged("bytes=0-999998"), 0, last);
  Takes(Ranged("bytes=0-999999"), 0, kSize);
  Takes(Ranged("bytes=0-1000000"), 0, kSize);
  Takes(Ranged("bytes=5-999999999"), 5, kSize - 5);
  Takes(Ranged("bytes=999999-1000000"), last, 1);
  Takes(Ranged("bytes=0-"), 0, kSize);
  Takes(Ranged("bytes=1-"), 1, last);
  Takes(Ranged("bytes=999999-"), last, 1);
  Takes(Ranged("bytes=-1"), last, 1);
  Takes(Ranged("bytes=-999999"), 1, last);
  Takes(Ranged("bytes=-1000000"), 0, kSize);
  Takes(Ranged("bytes=-1000001"), 0, kSize);
  Takes(Ranged("bytes=-999999999"), 0, kSize);
  Takes(Ranged("bytes=007-0009"), 7, 3);
  Takes(Ranged("bytes=000000000-000000000"), 0, 1);
  Takes(Ranged("bytes=-000000001"), last, 1);
  Takes(Get(kBig, "RANGE: bytes=7-9\r\nAccept: x\r\nConnection: keep-alive\r\n"), 7, 3);
}

TEST_P(BulkRangeTest, RangesThatAreNotToBeHadAreTheWebServers) {
  for (const char* value : {"bytes=1000000-", "bytes=1000000-1000001", "bytes=999999999-",
                            "bytes=5-3", "bytes=1-0", "bytes=-0", "bytes=-000", "bytes=999999-0"})
    Passes(Ranged(value), "request_range");
}

TEST_P(BulkRangeTest, OddRangesAreTheWebServers) {
  for (const char* value : {"bytes=",
                            "bytes=-",
                            "bytes=0",
                            "bytes=12",
                            "bytes",
                            "b",
                            "bytes=a-b",
                            "bytes=0-a",
                            "bytes=a-",
                            "bytes=0-0,2-3",
                            "bytes=0-0,",
                            "bytes=,0-0",
                            "bytes=0-,-1",
                            "bytes= 0-0",
                            "bytes=0 -0",
                            "bytes=0- 0",
                            "bytes =0-0",
                            "bytes=0-0;",
                            "BYTES=7-9",
                            "bytEs=7-9",
                            "bytes=+0-1",
                            "bytes=0-+1",
                            "bytes=--1",
                            "bytes=0--1",
                            "bytes=1-2-3",
                            "bytes=1--",
                            "bytes=0x1-2",
                            "bytes=1.0-2",
                            "bytes=\"0-0\"",
                            "bytes=0000000000-1",
                            "bytes=0-0000000001",
                            "bytes=-0000000001",
                            "bytes=4294967296-",
                            "bytes=4294967296-4294967297",
                            "bytes=18446744073709551616-",
                            "bytes=1234567890-",
                            "items=0-0",
                            "byte=0-0",
                            "bytes:0-0",
                            "bytes0-0",
                            "bytess=0-0",
                            "xbytes=0-0",
                            "=0-0",
                            "0-0",
                            "none",
                            "bytes\x1d"
                            "0-0",
                            "bytes=0-0 ",
                            "bytes=0- ",
                            " bytes=0-0"}) {
    if (strchr(value, '\x1d') != nullptr)
      Passes(Ranged(value), "request_field", false);
    else
      Passes(Ranged(value), "request_range");
  }
  Passes(Ranged("bytes=0-" + std::string(300, '0')), "request_range");
  Passes(Get(kBig, "Range:bytes=0-0\r\n"), "request_range");
  Passes(Get(kBig, "Range: \r\n"), "request_range");
  Passes(Get(kBig, "Range:\r\n"), "request_range");
}

// What is not certainly one request ends acceleration of the connection, with a Range or without.
TEST_P(BulkRangeTest, OddFieldLinesAreLeftToTheKernelForGood) {
  for (const char* line :
       {"Range:\tbytes=0-0\r\n", "Range: bytes=0-0\t\r\n", "Range: bytes=0-\r\n 0\r\n",
        "Range: bytes=0-\r\n\t0\r\n", "Range : bytes=0-0\r\n", "Range: bytes=0-0\n",
        "Range: bytes=0-0\rX: y\r\n",
        "\x12"
        "ange: bytes=0-0\r\n"})
    Passes(Get(kBig, line), "request_field", false);
  Passes(Ranged("bytes=0-0") + Get(kBig), "request_length", false);
  Passes(Ranged("bytes=0-0") + Ranged("bytes=1-1"), "request_length", false);
}

TEST_P(BulkRangeTest, FieldTwiceIsTheWebServers) {
  Passes(Ranged("bytes=0-0", "Range:bytes=1-1\r\n"), "request_range");
  for (const char* other : {"bytes=0-0", "bytes=1-1", "bytes=0-0,1-1", "items=0-0", ""})
    for (const char* name : {"Range", "RANGE"}) {
      Passes(Ranged("bytes=0-0", absl::StrCat(name, ": ", other, "\r\n")), "request_range");
      Passes(Get(kBig, absl::StrCat(name, ": ", other, "\r\nRange: bytes=0-0\r\n")),
             "request_range");
    }
}

TEST_P(BulkRangeTest, ConditionsMethodsAndOtherFieldsAreTheWebServers) {
  Passes(Ranged("bytes=0-0", "If-Range: \"5f-1a2b\"\r\n"), "request_field");
  Passes(Get(kBig, "If-Range: \"5f-1a2b\"\r\nRange: bytes=0-0\r\n"), "request_field");
  Passes(Ranged("bytes=0-0", "If-Match: \"5f-1a2b\"\r\n"), "request_field");
  Passes(Ranged("bytes=0-0", "If-Unmodified-Since: Tue, 04 Nov 2025 10:20:30 GMT\r\n"),
         "request_field");
  Passes(Ranged("bytes=0-0", "If-None-Match: \"5f-1a2b\"\r\n"), "request_range");
  Passes(Ranged("bytes=0-0", "If-None-Match: \"other\"\r\n"), "request_range");
  Passes(Ranged("bytes=0-0", "If-Modified-Since: Tue, 04 Nov 2025 10:20:30 GMT\r\n"),
         "request_range");
  Passes(Ranged("bytes=0-0", "Authorization: Basic eA==\r\n"), "request_field");
  Passes(Ranged("bytes=0-0", "Content-Length: 0\r\n"), "request_field");
  Passes(Ranged("bytes=0-0", "Cookie: a=b\r\n"), "request_cookie");
  Passes(Request("HEAD", kBig, "Range: bytes=0-0\r\n"), "request_range");
  Passes(Request("POST", kBig, "Range: bytes=0-0\r\n"), "request_method");
  Passes(Get("/a?x", "Range: bytes=0-0\r\n"), "request_query");
}

TEST_P(BulkRangeTest, RequestThatSpansPacketsIsTheWebServers) {
  const std::string whole = Ranged("bytes=10-20");
  for (size_t n = 1; n < whole.size(); ++n) {
    Timeline t(h, Conn());
    t.In(0, 0, whole.substr(0, n));
    t.In(static_cast<uint32_t>(n), 0, whole.substr(n));
    EXPECT_FALSE(t.state().flags & WB_CF_BULK) << n;
    EXPECT_EQ(t.state().d_out, 0u) << n;
  }
}

TEST_P(BulkRangeTest, SmallObjectsAndThoseWithoutATemplateAreTheWebServers) {
  h.Publish("/a", {.body = 3000});
  Passes(Get("/a", "Range: bytes=0-0\r\n"), "request_range");
  Passes(Get("/none", "Range: bytes=0-0\r\n"), "miss");
  variant().range_header_len = 0;
  Passes(Ranged("bytes=0-0"), "request_range");
  variant().range_header_len = kFixed;
  h.control().bulk[0] = 0;
  Passes(Ranged("bytes=0-0"), "bulk_off");
  h.control().bulk[0] = 1;
  h.control().shadow[0] = 1;
  Passes(Ranged("bytes=0-9"), "shadow");
  EXPECT_EQ(h.DomainStats(kDomain).shadow_bytes, LengthOf(0, 10));
}

// Whole, range, whole: nothing of one is left in the next.
TEST_P(BulkRangeTest, RepliesFollowEachOtherOnAConnection) {
  Timeline t(h, Conn());
  uint32_t in = 0, out = 0;
  const auto ask = [&](const std::string& request, uint32_t bytes, const char* reason) {
    t.In(in, out, request).Dropped({{reason, 1}});
    wb_conn_state& s = t.state();
    EXPECT_EQ(s.bulk.end - s.bulk.start, bytes);
    s.bulk_sent = static_cast<__u64>(s.bulk.serial) << 32 | s.bulk.end;
    in += Len(request);
    out += bytes;
    t.In(in, out).Dropped({{"bulk_heard", 1}});
    EXPECT_FALSE(s.flags & WB_CF_BULK);
  };
  ask(Get(kBig), kHeader + kSize, "bulk");
  EXPECT_EQ(t.state().bulk.bytes, 0u);
  ask(Ranged("bytes=500-999"), LengthOf(500, 500), "bulk_range");
  ask(Ranged("bytes=0-0"), LengthOf(0, 1), "bulk_range");
  ask(Get(kBig), kHeader + kSize, "bulk");
  EXPECT_EQ(t.state().bulk.first, 0u);
  EXPECT_EQ(t.state().bulk.bytes, 0u);
  const Object a = h.Publish("/a");
  t.In(in, out, hit).Answered(out, {a.get}, in, in + r);
}

TEST_P(BulkRangeTest, LogSays206AndTheRangesBytes) {
  h.control().log_sample = 1;
  Timeline t(h, Conn());
  t.In(0, 0, Ranged("bytes=-1500")).Dropped({{"bulk_range", 1}});
  std::string lines;
  const auto take = [](void* to, void* data, size_t size) {
    observe::AppendHitLines(data, size, config::LogFormat::kJson, static_cast<std::string*>(to));
    return 0;
  };
  ring_buffer* ring = ring_buffer__new(bpf_map__fd(h.Map("wb_hits")), take, &lines, nullptr);
  EXPECT_GE(ring_buffer__consume(ring), 0);
  ring_buffer__free(ring);
  const std::string wanted = absl::StrCat(
      "\"status\":206,\"bytes_sent\":", LengthOf(kSize - 1500, 1500), ",\"body_bytes_sent\":1500,");
  EXPECT_NE(lines.find(wanted), std::string::npos) << lines;
}

INSTANTIATE_TEST_SUITE_P(Starts, BulkRangeTest, testing::ValuesIn(kStarts));

}  // namespace
}  // namespace wb::bpf_test
