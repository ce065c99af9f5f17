// SPDX-License-Identifier: Apache-2.0
// Following what the kernel owes: where its responses end (RFC 9112, 6.3), however they are cut
// into packets, and that no hit comes before (ARCHITECTURE.md, invariant 2).
#include "tests/bpf/splice_fixture.h"

namespace wb::bpf_test {
namespace {

using ResponseTest = SpliceFixture;

INSTANTIATE_TEST_SUITE_P(Starts, ResponseTest, testing::ValuesIn(kStarts));

TEST_P(ResponseTest, NoHitBeforeTheEndOfTheKernelsResponse) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, m, reply.substr(0, k - 1)).Leaves(0, m, {});
  t.In(m, k - 1).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(m, k - 1, hit).PassesUntouched({{"kernel_busy", 1}});
}

TEST_P(ResponseTest, ResponseInManyPacketsIsCountedToItsEnd) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  for (uint32_t at = 0; at < k; at += 400) t.Out(at, m, reply.substr(at, 400)).Leaves(at, m, {});
  t.Out(400, m, reply.substr(400, 400)).Leaves(400, m, {});  // sent again: not counted twice
  t.In(m, k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(m, k, hit).Answered(k, {o.get}, m, m + r);
}

TEST_P(ResponseTest, NoHitBetweenARequestToTheKernelAndItsResponse) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.In(m, 0, hit).PassesUntouched(
      {{"out_of_order", 1}});  // the kernel has not acknowledged the first
  t.Out(0, m + r).Leaves(0, m + r, {});
  t.Arm();
  t.In(m + r, 0, hit).PassesUntouched({{"kernel_busy", 1}});
}

TEST_P(ResponseTest, TwoResponsesOwedInOnePacketAreBothFollowed) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.In(m, 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, 2 * m, reply + reply).Leaves(0, 2 * m, {});
  t.In(2 * m, 2 * k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(2 * m, 2 * k, hit).Answered(2 * k, {o.get}, 2 * m, 2 * m + r);
}

TEST_P(ResponseTest, TwoRequestsInOnePacketLeaveTheConnectionToTheKernel) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, hit + hit).PassesUntouched({{"request_length", 1}});
  t.In(2 * r, 0, hit).PassesUntouched({{"unsynced", 1}});
}

TEST_P(ResponseTest, RetransmittedRequestOfTheKernelsIsNotAwaitedTwice) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.In(0, 0, miss).PassesUntouched({{"out_of_order", 1}});
  t.Out(0, m, reply).Leaves(0, m, {});
  t.In(m, k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(m, k, hit).Answered(k, {o.get}, m, m + r);
}

TEST_P(ResponseTest, RequestBehindAGapPassesAndTheConnectionIsLeftToTheKernel) {
  h.Publish("/a");
  Timeline t(h, Conn());
  t.In(r, 0, hit).PassesUntouched({{"out_of_order", 1}});
  t.In(2 * r, 0, hit).PassesUntouched({{"unsynced", 1}});
}

TEST_P(ResponseTest, ResponsesWithoutBodyEndWithTheirHeader) {
  const Object o = h.Publish("/a");
  const std::string head = Request("HEAD", "/not-there");
  const std::pair<std::string, std::string> cases[] = {
      {head, KernelResponse("200 OK", "Content-Length: 5000\r\n", 0)},
      {head, KernelResponse("404 Not Found", "Content-Length: 7\r\n", 0)},
      {miss, KernelResponse("304 Not Modified", "Content-Length: 77\r\n", 0)},
      {miss, KernelResponse("204 No Content", "", 0)},
      {miss, KernelResponse("200 OK", "Content-Length: 0\r\n", 0)}};
  for (const auto& [request, response] : cases) {
    SCOPED_TRACE(response);
    Timeline t(h, Conn());
    KernelServesFirst(t, request, response);
    t.Arm();
    t.In(Len(request), Len(response), hit)
        .Answered(Len(response), {o.get}, Len(request), Len(request) + r);
  }
}

TEST_P(ResponseTest, BodyFollowsTheHeaderOfGetBehindHead) {
  const Object o = h.Publish("/a");
  Timeline t(h, Conn());
  const std::string head = Request("HEAD", "/not-there"),
                    none = KernelResponse("200 OK", "Content-Length: 1000\r\n", 0);
  t.In(0, 0, head).PassesUntouched({{"miss", 1}});
  t.In(Len(head), 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, Len(head) + m, none).Leaves(0, Len(head) + m, {});
  t.Out(Len(none), Len(head) + m, reply).Leaves(Len(none), Len(head) + m, {});
  t.In(Len(head) + m, Len(none) + k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(Len(head) + m, Len(none) + k, hit)
      .Answered(Len(none) + k, {o.get}, Len(head) + m, Len(head) + m + r);
}

TEST_P(ResponseTest, ResponseOfUnknownEndEndsHitsForGood) {
  h.Publish("/a");
  for (const std::string& response :
       {KernelResponse("200 OK", "Transfer-Encoding: gzip, chunked\r\n", 0),
        KernelResponse("200 OK", "", 0),
        KernelResponse("200 OK", "Transfer-Encoding: chunked\r\n", 0) + "x\r\n",
        KernelResponse("200 OK", "Transfer-Encoding: chunked\r\n", 0) +
            "5;ext=1\r\nhello\r\n0\r\n\r\n",
        KernelResponse("200 OK", "Transfer-Encoding: chunked\r\n", 0) + "0\r\nTrailer: x\r\n\r\n",
        KernelResponse("200 OK", "Content-Length: 10\r\nContent-Length: 11\r\n", 10),
        KernelResponse("200 OK", "Content-Length: 10\r\nTransfer-Encoding: chunked\r\n", 10),
        KernelResponse("200 OK", "Content-Length: 1x\r\n", 10),
        KernelResponse("200 OK", "Content-Length : 10\r\n", 10),
        KernelResponse("200 OK", "Content-Length: 10\r\n 1\r\n", 10),
        KernelResponse("200 OK", "Connection: close\r\nContent-Length: 10\r\n", 10),
        KernelResponse("100 Continue", "", 0),
        KernelResponse("200 OK", "Content-Length: 10\r\n", 11),
        KernelResponse("200 OK", "X: " + std::string(1100, 'x') + "\r\nContent-Length: 0\r\n",
                       0)}) {
    SCOPED_TRACE(response);
    Timeline t(h, Conn());
    t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
    t.Out(0, m, response).Leaves(0, m, {{"out_unsynced", 1}});
    t.In(m, Len(response)).PassesUntouched({{"ack_passed", 1}});
    t.Arm();
    t.In(m, Len(response), hit).PassesUntouched({{"unsynced", 1}});
  }
}

TEST_P(ResponseTest, ResponseCutAnywhereIsFollowed) {
  const Object o = h.Publish("/a");
  const std::string chunked =
      KernelResponse("200 OK", "Transfer-Encoding: chunked\r\n", 0) + "5\r\nhello\r\n0\r\n\r\n";
  for (const std::string& response :
       {KernelResponse("200 OK", "Content-Length: 9\r\n", 9), chunked}) {
    const uint32_t all = Len(response);
    for (uint32_t cut = 1; cut < all; cut++) {
      SCOPED_TRACE(cut);
      const uint32_t more = std::min(cut + 1, all);  // the second packet has one byte
      Timeline t(h, Conn());
      t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
      t.Out(0, m, response.substr(0, cut)).Leaves(0, m, {});
      EXPECT_NE(t.state().resp_pending, 0u);
      t.Out(cut, m, response.substr(cut, more - cut)).Leaves(cut, m, {});
      if (more < all) t.Out(more, m, response.substr(more)).Leaves(more, m, {});
      t.In(m, all).PassesUntouched({{"ack_passed", 1}});
      t.Arm();
      t.In(m, all, hit).Answered(all, {o.get}, m, m + r);
    }
  }
}

TEST_P(ResponseTest, ManyResponsesInOnePacketAreFollowed) {
  constexpr uint32_t kResponses = 32;  // the most that are awaited
  const Object o = h.Publish("/a");
  std::string all;
  for (uint32_t i = 0; i < kResponses; i++)
    all += KernelResponse("200 OK", "Content-Length: 5\r\n", 5);
  Timeline t(h, Conn());
  for (uint32_t i = 0; i < kResponses; i++) {
    t.In(i * m, 0, miss);
  }
  h.TakeReasons();
  ASSERT_EQ(t.state().resp_pending, kResponses);
  t.Out(0, kResponses * m, all).Leaves(0, kResponses * m, {});
  EXPECT_EQ(t.state().resp_pending, 0u);
  t.In(kResponses * m, Len(all)).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(kResponses * m, Len(all), hit)
      .Answered(Len(all), {o.get}, kResponses * m, kResponses * m + r);
}

TEST_P(ResponseTest, HeaderOfAnyLengthIsFollowedAndOneTooLongIsNot) {
  constexpr uint32_t kMost = 1024;  // WB_CUT_BYTES
  const Object o = h.Publish("/a");
  const uint32_t least = Len(KernelResponse("200 OK", "X: \r\nContent-Length: 50\r\n", 0));
  for (uint32_t head = 370; head <= kMost + 20; head += head < 400 || head > kMost - 20 ? 1 : 37) {
    for (const uint32_t cut : {head + 50, head / 2, head + 1}) {
      SCOPED_TRACE(std::to_string(head) + " cut at " + std::to_string(cut));
      const std::string field = "X: " + std::string(head - least, 'x') + "\r\n";
      const std::string response = KernelResponse("200 OK", field + "Content-Length: 50\r\n", 50);
      ASSERT_EQ(Len(response), head + 50);
      Timeline t(h, Conn());
      t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
      const Reasons lost = head > kMost ? Reasons{{"out_unsynced", 1}} : Reasons{};
      const bool split = cut<head + 50, at_once = cut> head;
      t.Out(0, m, response.substr(0, cut)).Leaves(0, m, at_once ? lost : Reasons{});
      if (split) t.Out(cut, m, response.substr(cut)).Leaves(cut, m, at_once ? Reasons{} : lost);
      t.In(m, head + 50).PassesUntouched({{"ack_passed", 1}});
      t.Arm();
      if (head > kMost)
        t.In(m, head + 50, hit).PassesUntouched({{"unsynced", 1}});
      else
        t.In(m, head + 50, hit).Answered(head + 50, {o.get}, m, m + r);
    }
  }
}

TEST_P(ResponseTest, ChunkedResponseIsFollowedToItsLastChunk) {
  const Object o = h.Publish("/a");
  const std::string head = KernelResponse("200 OK", "Transfer-Encoding: chunked\r\n", 0);
  const std::string body = "5\r\nhello\r\n1A\r\n" + std::string(26, 'x') + "\r\n",
                    end = "0\r\n\r\n";
  const uint32_t before = Len(head + body), all = Len(head + body + end);
  Timeline t(h, Conn());
  t.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  t.Out(0, m, head + body.substr(0, 20)).Leaves(0, m, {});
  t.Out(Len(head) + 20, m, body.substr(20)).Leaves(Len(head) + 20, m, {});
  t.In(m, before).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(m, before, hit).PassesUntouched({{"kernel_busy", 1}});
  Timeline u(h, Conn());
  u.In(0, 0, miss).PassesUntouched({{"miss", 1}});
  u.Out(0, m, head + body + end).Leaves(0, m, {});
  u.In(m, all).PassesUntouched({{"ack_passed", 1}});
  u.Arm();
  u.In(m, all, hit).Answered(all, {o.get}, m, m + r);
}

TEST_P(ResponseTest, RequestBodyThatSpansPacketsIsFollowedToItsEnd) {
  const Object o = h.Publish("/a");
  const std::string post = Request("POST", "/a", "Content-Length: 12\r\n");
  const uint32_t p = Len(post);
  Timeline t(h, Conn());
  t.In(0, 0, post + "0123").PassesUntouched({{"request_method", 1}});
  t.In(p + 4, 0, "4567").PassesUntouched({{"kernel_busy", 1}});
  t.In(p + 8, 0, "89ab").PassesUntouched({{"kernel_busy", 1}});
  t.Out(0, p + 12, reply).Leaves(0, p + 12, {});
  t.In(p + 12, k).PassesUntouched({{"ack_passed", 1}});
  t.Arm();
  t.In(p + 12, k, hit).Answered(k, {o.get}, p + 12, p + 12 + r);
  Timeline u(h, Conn());  // what lies behind the body in its last packet is not looked at
  u.In(0, 0, post + "0123").PassesUntouched({{"request_method", 1}});
  u.In(p + 4, 0, "456789ab" + hit).PassesUntouched({{"kernel_busy", 1}});
  EXPECT_TRUE(u.state().flags & WB_CF_UNSYNCED);
  Timeline v(h, Conn());  // the web server answers before it has the whole body
  v.In(0, 0, post + "01234567").PassesUntouched({{"request_method", 1}});
  v.Out(0, p + 8, reply).Leaves(0, p + 8, {});
  v.In(p + 8, k).PassesUntouched({{"ack_passed", 1}});
  v.Arm();
  v.In(p + 8, k, hit).PassesUntouched({{"kernel_busy", 1}});
}

}  // namespace
}  // namespace wb::bpf_test
