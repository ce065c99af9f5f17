// SPDX-License-Identifier: Apache-2.0
// What the channel carries of the redirection: load reports and bounce tables, their bytes, and
// both ends with good and bad peers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "booster/link/channel_client.h"
#include "booster/link/channel_server.h"
#include "tests/unit/booster_link_peers.h"

namespace wb::link {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ChannelServer::Address kLoopback = {0, 0, 0xffff0000, 0x0100007f};

Frame FrameOf(std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  return {static_cast<FrameType>(data[0] << 8 | data[1]),
          std::span(data, bytes.size()).subspan(kFrameHeader)};
}

LoadReport SomeLoad() {
  LoadReport load{.cpu = 0x0102, .softirq = 0x0101, .listen_queue = 0x0203};
  load.listen_overflows = 0x0102030405060708;
  load.domains["a.test"] = {0x1112131415161718, 0x21222324};
  return load;
}

std::string Bounce(uint64_t serial, const std::vector<BounceEntry>& entries) {
  std::string out;
  EXPECT_TRUE(AppendBounce(serial, entries, &out).ok());
  return out;
}

TEST(RedirectFramesTest, BytesAreAsDocumented) {
  std::string out;
  AppendLoad(SomeLoad(), &out);
  EXPECT_EQ(out, std::string("\0\x20\0\x23\1\2\1\1\2\3\0\0\1\2\3\4\5\6\7\x08\6", 21) + "a.test" +
                     "\x11\x12\x13\x14\x15\x16\x17\x18\x21\x22\x23\x24");
  out.clear();
  AppendBounced(0x0102030405060708, &out);
  EXPECT_EQ(out, std::string("\0\x21\0\x08\1\2\3\4\5\6\7\x08", 12));
  EXPECT_EQ(Bounce(7, {{"a.test", BounceMode::kBoosted}, {"b", BounceMode::kDrained}}),
            std::string("\0\x30\0\x13\0\0\0\0\0\0\0\7\6", 13) + "a.test" + "\1\1b\2");
}

TEST(RedirectFramesTest, WhatIsWrittenIsRead) {
  std::string out;
  AppendLoad(SomeLoad(), &out);
  const auto load = ReadLoad(FrameOf(out));
  ASSERT_TRUE(load.ok()) << load.status();
  EXPECT_EQ(load->cpu, 0x0102);
  EXPECT_EQ(load->softirq, 0x0101);
  EXPECT_EQ(load->listen_queue, 0x0203);
  EXPECT_EQ(load->listen_overflows, 0x0102030405060708u);
  EXPECT_EQ(load->domains, SomeLoad().domains);
  const std::vector<BounceEntry> entries = {{"a.test", BounceMode::kBoosted},
                                            {"b.test", BounceMode::kCalm}};
  const std::string bytes = Bounce(9, entries);
  const auto table = ReadBounce(FrameOf(bytes));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->serial, 9u);
  EXPECT_EQ(table->entries, entries);
  const std::string none = Bounce(1, {});
  EXPECT_THAT(ReadBounce(FrameOf(none))->entries, IsEmpty());
}

TEST(RedirectFramesTest, AFrameIsNotOverfilled) {
  LoadReport load;
  std::vector<BounceEntry> entries;
  for (int i = 0; i < 256; i++) {
    const std::string name = absl::StrCat(100 + i, std::string(60, 'n'));
    load.domains[name] = {};
    entries.push_back({name, BounceMode::kBoosted});
  }
  std::string out;
  AppendLoad(load, &out);
  EXPECT_LE(out.size(), kFrameHeader + kMaxPayload);
  EXPECT_EQ(ReadLoad(FrameOf(out))->domains.size(), 215u);
  out.clear();
  EXPECT_THAT(AppendBounce(1, entries, &out).message(), HasSubstr("too many"));
  entries.resize(250);
  EXPECT_TRUE(AppendBounce(1, entries, &out).ok());
}

TEST(RedirectFramesTest, OnlyNamesAreNames) {
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a\n"),
                                  std::string("\xc3\xa4"), std::string(256, 'a')}) {
    std::string out;
    EXPECT_FALSE(AppendBounce(1, std::vector<BounceEntry>{{name, BounceMode::kCalm}}, &out).ok());
    EXPECT_THAT(out, IsEmpty());
  }
  std::string twice;
  EXPECT_FALSE(AppendBounce(1, std::vector<BounceEntry>{{"a", {}}, {"a", {}}}, &twice).ok());
  std::string bytes = Bounce(1, {{"aa", BounceMode::kCalm}, {"ab", BounceMode::kCalm}});
  bytes[bytes.size() - 2] = 'a';
  EXPECT_THAT(ReadBounce(FrameOf(bytes)).status().message(), HasSubstr("twice"));
  bytes[bytes.size() - 2] = '\n';
  EXPECT_THAT(ReadBounce(FrameOf(bytes)).status().message(), HasSubstr("no name"));
}

TEST(RedirectFramesTest, NumbersAreBounded) {
  std::string good;
  AppendLoad(SomeLoad(), &good);
  const auto with = [&](size_t at, uint16_t number) {
    std::string bytes = good;
    bytes[kFrameHeader + at] = static_cast<char>(number >> 8);
    bytes[kFrameHeader + at + 1] = static_cast<char>(number);
    return ReadLoad(FrameOf(bytes)).ok();
  };
  EXPECT_TRUE(with(0, 1000));
  EXPECT_FALSE(with(0, 1001));
  EXPECT_FALSE(with(0, 256)) << "less than its part, softirq";
  EXPECT_TRUE(with(4, 1000));
  EXPECT_FALSE(with(4, 1001));
  EXPECT_FALSE(with(6, 1));
  std::string bounce = Bounce(1, {{"a", BounceMode::kDrained}});
  EXPECT_TRUE(ReadBounce(FrameOf(bounce)).ok());
  bounce.back() = 3;
  EXPECT_FALSE(ReadBounce(FrameOf(bounce)).ok());
}

TEST(RedirectFramesTest, CutFramesAreRefused) {
  std::string load, bounced;
  AppendLoad(SomeLoad(), &load);
  AppendBounced(1, &bounced);
  const std::string bounce = Bounce(1, {{"a.test", BounceMode::kCalm}});
  // A copy of exactly that size: nothing behind it may be looked at.
  const auto cut = [](const std::string& bytes, size_t size, const auto& read) {
    const std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<long>(size));
    return read(FrameOf({part.data(), part.size()})).ok();
  };
  for (size_t n = kFrameHeader; n < load.size(); n++)
    EXPECT_EQ(cut(load, n, ReadLoad), n == kFrameHeader + 16) << n;
  for (size_t n = kFrameHeader; n < bounced.size(); n++) EXPECT_FALSE(cut(bounced, n, ReadBounced));
  for (size_t n = kFrameHeader; n < bounce.size(); n++)
    EXPECT_EQ(cut(bounce, n, ReadBounce), n == kFrameHeader + 8) << n;
  EXPECT_FALSE(ReadBounced(FrameOf(bounced + "x")).ok());
}

// Whatever is read means the same when it is written again.
TEST(RedirectFramesTest, RandomChangesAreRefusedOrMeanSomething) {
  std::mt19937 random(7);
  int read = 0, refused = 0;
  for (int round = 0; round < 20000; round++) {
    std::string bytes;
    const bool load = round % 2 == 0;
    if (load)
      AppendLoad(SomeLoad(), &bytes);
    else
      bytes = Bounce(random(), {{"a.test", BounceMode::kBoosted}, {"b", BounceMode::kCalm}});
    for (uint32_t n = 1 + random() % 3; n > 0; n--)
      bytes[kFrameHeader + random() % (bytes.size() - kFrameHeader)] =
          static_cast<char>(random() % 2 == 0 ? random() % 8 : random());
    std::string again;
    if (load) {
      const auto report = ReadLoad(FrameOf(bytes));
      if (report.ok()) AppendLoad(*report, &again);
    } else {
      const auto table = ReadBounce(FrameOf(bytes));
      if (table.ok()) again = Bounce(table->serial, table->entries);
    }
    if (again.empty()) {
      refused++;
      continue;
    }
    read++;
    ASSERT_EQ(again, bytes);
  }
  EXPECT_GT(read, 1000);
  EXPECT_GT(refused, 1000);
}

// Both real ends, and what accelerd was told.
class RedirectTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    server_.ReportLoad([this] {
      LoadReport load = SomeLoad();
      load.listen_overflows = ++sampled_;
      return load;
    });
    server_.AcceptBounces([this](std::span<const BounceEntry> entries) {
      std::lock_guard lock(mu_);
      if (refuse_) return absl::NotFoundError("no such domain");
      taken_.assign(entries.begin(), entries.end());
      times_++;
      return absl::OkStatus();
    });
    ASSERT_TRUE(server_.Start("127.0.0.1", 0).ok());
    ASSERT_TRUE(server_.SetPeers({kLoopback}, SecretOf(1)).ok());
    clients_ = *ChannelClients::Start();
  }
  ChannelClients::Id Add() {
    return *clients_->Add({"127.0.0.1", server_.port(), SecretOf(1)}, catalogue_);
  }
  std::vector<BounceEntry> Taken() {
    std::lock_guard lock(mu_);
    return taken_;
  }
  int Times() {
    std::lock_guard lock(mu_);
    return times_;
  }

  std::mutex mu_;
  std::vector<BounceEntry> taken_;  // all with mu_
  int times_ = 0;
  bool refuse_ = false;
  std::atomic<uint64_t> sampled_ = 0;
  Catalogue catalogue_{10};
  ChannelServer server_{[](uint32_t) { return UINT64_MAX; }};
  std::unique_ptr<ChannelClients> clients_;
};

TEST_F(RedirectTest, TheLoadIsToldAgainAndAgain) {
  const auto id = Add();
  ASSERT_TRUE(WaitFor([&] { return clients_->load(id).has_value(); }));
  const LoadReport first = *clients_->load(id);
  EXPECT_EQ(first.cpu, SomeLoad().cpu);
  EXPECT_EQ(first.domains, SomeLoad().domains);
  EXPECT_LE(first.at, ChannelClock::now());
  ASSERT_TRUE(
      WaitFor([&] { return clients_->load(id)->listen_overflows >= first.listen_overflows + 3; }));
  EXPECT_GE(clients_->load(id)->at, first.at + 2 * kLoadPeriod);
  server_.Stop();
  ASSERT_TRUE(WaitFor([&] { return !clients_->state(id).open; }));
  EXPECT_TRUE(clients_->load(id).has_value()) << "its age is told, not that it is gone";
}

TEST_F(RedirectTest, WithoutABoosterNothingIsSampled) {
  const auto end = ChannelClock::now() + 3 * kLoadPeriod;
  while (ChannelClock::now() < end) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(sampled_, 0u);
}

TEST_F(RedirectTest, ABounceTableIsAnsweredWhenItIsInForce) {
  const auto id = Add();
  const std::vector<BounceEntry> boosted = {{"a.test", BounceMode::kBoosted}};
  const auto serial = clients_->SetBounce(id, boosted);
  ASSERT_TRUE(serial.ok()) << serial.status();
  ASSERT_TRUE(clients_->AwaitBounced(id, *serial, milliseconds(20000)).ok());
  EXPECT_EQ(Taken(), boosted);
  EXPECT_EQ(clients_->SetBounce(id, boosted).value(), *serial) << "the same table";
  const auto next = clients_->SetBounce(id, {{"a.test", BounceMode::kCalm}});
  EXPECT_GT(*next, *serial);
  ASSERT_TRUE(clients_->AwaitBounced(id, *next, milliseconds(20000)).ok());
  EXPECT_THAT(Taken(), ElementsAre(BounceEntry{"a.test", BounceMode::kCalm}));
  EXPECT_EQ(clients_->state(id).bounced, *next);
}

TEST_F(RedirectTest, TheTableIsTheHeartbeat) {
  const auto id = Add();
  EXPECT_TRUE(WaitFor([&] { return clients_->state(id).open; }));
  EXPECT_EQ(Times(), 0) << "nothing was set";
  const auto begin = ChannelClock::now();
  const auto serial = clients_->SetBounce(id, {});
  EXPECT_TRUE(clients_->AwaitBounced(id, *serial, milliseconds(20000)).ok());
  EXPECT_TRUE(WaitFor([&] { return Times() >= 4; }));
  EXPECT_GE(ChannelClock::now(), begin + 2 * kBouncePeriod);
  EXPECT_GE(server_.stats().bounces, 3u);
}

TEST_F(RedirectTest, WhatIsRefusedIsNotInForce) {
  const auto id = Add();
  {
    std::lock_guard lock(mu_);
    refuse_ = true;
  }
  const auto serial = clients_->SetBounce(id, {{"b.test", BounceMode::kBoosted}});
  EXPECT_TRUE(WaitFor([&] { return server_.stats().bounces_refused >= 2; }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(clients_->AwaitBounced(id, *serial, milliseconds(1))));
  EXPECT_TRUE(clients_->state(id).open);
  {
    std::lock_guard lock(mu_);
    refuse_ = false;
  }
  EXPECT_TRUE(clients_->AwaitBounced(id, *serial, milliseconds(20000)).ok());
}

TEST_F(RedirectTest, TheLastConnectionIsBelieved) {
  const auto old = Add();
  const auto first = clients_->SetBounce(old, {{"a.test", BounceMode::kBoosted}});
  ASSERT_TRUE(clients_->AwaitBounced(old, *first, milliseconds(20000)).ok());
  const auto successor = Add();
  const auto second = clients_->SetBounce(successor, {{"b.test", BounceMode::kBoosted}});
  ASSERT_TRUE(clients_->AwaitBounced(successor, *second, milliseconds(20000)).ok());
  const auto ignored = clients_->SetBounce(old, {{"c.test", BounceMode::kBoosted}});
  EXPECT_TRUE(absl::IsDeadlineExceeded(clients_->AwaitBounced(old, *ignored, 3 * kBouncePeriod)));
  EXPECT_THAT(Taken(), ElementsAre(BounceEntry{"b.test", BounceMode::kBoosted}));
  clients_->Remove(successor);
  EXPECT_TRUE(absl::IsNotFound(clients_->AwaitBounced(successor, 1, milliseconds(1))));
  EXPECT_TRUE(clients_->AwaitBounced(old, *ignored, milliseconds(20000)).ok());
  EXPECT_THAT(Taken(), ElementsAre(BounceEntry{"c.test", BounceMode::kBoosted}));
}

TEST_F(RedirectTest, TheTableIsToldAnewToANewConnection) {
  const auto id = Add();
  const auto serial = clients_->SetBounce(id, {{"a.test", BounceMode::kBoosted}});
  ASSERT_TRUE(clients_->AwaitBounced(id, *serial, milliseconds(20000)).ok());
  ASSERT_TRUE(server_.SetPeers({}, std::nullopt).ok());
  ASSERT_TRUE(WaitFor([&] { return !clients_->state(id).open; }));
  EXPECT_EQ(clients_->state(id).bounced, 0u) << "nobody knows";
  ASSERT_TRUE(server_.SetPeers({kLoopback}, SecretOf(1)).ok());
  EXPECT_TRUE(clients_->AwaitBounced(id, *serial, milliseconds(20000)).ok());
}

TEST_F(RedirectTest, SetsOnlyWhatCanBeTold) {
  const auto id = Add();
  EXPECT_TRUE(absl::IsInvalidArgument(clients_->SetBounce(id, {{"", {}}}).status()));
  EXPECT_TRUE(absl::IsNotFound(clients_->SetBounce(id + 1, {}).status()));
}

TEST_F(RedirectTest, ABoosterThatBreaksTheProtocolIsCutOff) {
  for (const std::string& bad :
       {std::string("\0\x30\0\0", 4), std::string("\0\x30\0\x0b\0\0\0\0\0\0\0\1\1a\3", 15),
        std::string("\0\x30\0\x09\0\0\0\0\0\0\0\1\xff", 13)}) {
    Peer booster(End::kBoosterd, SecretOf(1), ConnectTo(server_.port()));
    ASSERT_TRUE(booster.Open());
    booster.Send(bad);
    EXPECT_TRUE(booster.Ends());
  }
  EXPECT_EQ(Times(), 0);
}

// One that asks and asks and reads nothing: its answers are one, not one each.
TEST_F(RedirectTest, AnswersDoNotHeapUp) {
  Peer booster(End::kBoosterd, SecretOf(1), ConnectTo(server_.port()));
  ASSERT_TRUE(booster.Open());
  std::string flood;
  for (uint64_t i = 1; i <= 20000; i++) flood += Bounce(i, {});
  const uint64_t before = server_.stats().sent_bytes;
  booster.Send(flood);
  const auto taken = [&] { return server_.stats().bounces == 20000; };
  EXPECT_TRUE(booster.Pump(taken)) << booster.status;
  EXPECT_LT(server_.stats().sent_bytes - before, 20000 * 12 / 2);
}

class HostileAccelerdTest : public testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    id_ = *clients_->Add({"127.0.0.1", listener_.port(), SecretOf(1)}, catalogue_);
  }
  Listener listener_;
  Catalogue catalogue_{10};
  std::unique_ptr<ChannelClients> clients_ = *ChannelClients::Start();
  ChannelClients::Id id_ = 0;
};

TEST_F(HostileAccelerdTest, IsLeft) {
  std::string load, early;
  AppendLoad(SomeLoad(), &load);
  load[kFrameHeader + 6] = 1;
  AppendBounced(1, &early);
  uint64_t n = 0;
  for (const auto& [bytes, error] :
       std::vector<std::pair<std::string, std::string>>{{load, "beyond the whole"},
                                                        {early, "in force that is none"},
                                                        {{"\0\x21\0\0", 4}, "type 33 with 0"},
                                                        {{"\0\x20\0\1x", 5}, "type 32 with 1"}}) {
    Peer accelerd(End::kAccelerd, SecretOf(1), listener_.Accept());
    ASSERT_TRUE(accelerd.Open()) << accelerd.status;
    accelerd.Send(bytes);
    n++;
    EXPECT_TRUE(WaitFor([&] { return clients_->state(id_).failed >= n; }));
    EXPECT_THAT(clients_->state(id_).last_error, HasSubstr(error));
  }
  EXPECT_FALSE(clients_->load(id_).has_value());
}

}  // namespace
}  // namespace wb::link
