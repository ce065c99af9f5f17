// SPDX-License-Identifier: Apache-2.0
// wbctl booster against a boosterd that is not there.
#include "ctl/api/booster_routes.h"
#include "tests/unit/api_booster_fake.h"
#include "tests/unit/wbctl_fixture.h"

namespace wb::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class WbctlBooster : public Wbctl {
 protected:
  void SetUp() override {
    Wbctl::SetUp();
    accelerd_ = socket_;
    socket_ = base_ + "/run/boosterd.sock";
    BoosterService& service = booster_;
    auto server = Server::Start(HandlerOf(service), {.socket_path = socket_});
    ASSERT_TRUE(server.ok()) << server.status();
    booster_server_ = *std::move(server);
  }

  std::string accelerd_;
  FakeBooster booster_;
  std::unique_ptr<Server> booster_server_;
};

TEST_F(WbctlBooster, ShowsStatusAndDomains) {
  const Outcome status = Run("booster status");
  EXPECT_EQ(status.code, 0);
  for (const char* text :
       {"9.8.7, pid 4711, up 1h 2m", "1 234/s, 3.0 MiB/s sent", "31 of 0 open", "client 41",
        "51 lines, 52 not written, 53 lost", "25.0 % of a CPU, 3 connections",
        "0.0.0.0:443, TLS, PROXY protocol", "site.test?[31m", "192.0.2.1:80", "down"})
    EXPECT_THAT(status.text, HasSubstr(text));
  EXPECT_THAT(status.text, Not(HasSubstr("limit 0")));
  const Outcome domains = Run("booster domains");
  EXPECT_THAT(domains.text, HasSubstr("boosted"));
  EXPECT_THAT(domains.text, Not(HasSubstr("pid")));
  ExpectRun("booster status --json", 0, "\"instance\":\"left\"");
  ExpectRun("--json booster domains", 0, "{\"domains\":[{\"name\":\"site.test");
}

TEST_F(WbctlBooster, BoostsAndSaysHowThatWent) {
  ExpectRun("boost on site.test", 0,
            "site.test: on, boosted, in force after 0.4 ms, 12 connections stay where they are, 3 "
            "resets seen\n");
  EXPECT_EQ(booster_.asked.mode, "on");
  EXPECT_FALSE(booster_.asked.for_s);
  ExpectRun("boost auto site.test --at 70 --for 10m", 0, "site.test: auto, boosted");
  EXPECT_EQ(booster_.asked.at_percent, 70u);
  EXPECT_EQ(booster_.asked.for_s, 600u);
  ExpectRun("boost off site.test --json", 0, "\"connections_kept\":12");
  ExpectRun("boost on other.test", 1, "wbctl: boost on other.test: ");
  for (const char* wrong :
       {"boost on", "boost on site.test --at 70", "boost auto site.test --at 0",
        "boost on site.test --for 5", "boost on site.test --for 100ms", "boost"})
    EXPECT_EQ(Run(wrong).code, 2) << wrong;
}

TEST_F(WbctlBooster, ShowsWhoIsBoostedAndWhy) {
  const Outcome status = Run("boost status");
  EXPECT_EQ(status.code, 0);
  for (const char* text : {"on eth7", "etcd, not well: not there?", "192.0.2.9, not heard of",
                           "auto for 1m 30s", "91.2 %", "12.5 %", "above_raise"})
    EXPECT_THAT(status.text, HasSubstr(text));
  ExpectRun("boost status --json", 0, "\"cpu_percent\":91.25");
  const Outcome why = Run("boost explain site.test");
  EXPECT_EQ(why.code, 0);
  for (const char* text : {"Because.", "manual", "calm"}) EXPECT_THAT(why.text, HasSubstr(text));
  ExpectRun("boost explain other.test", 1, "wbctl: boost explain other.test: ");
}

TEST_F(WbctlBooster, ReloadsOrSaysWhatIsWrong) {
  ExpectRun("booster reload", 0,
            "warning: b.yaml:9: has no effect\ntakes a restart: listeners\nreloaded: 2 domains\n");
  booster_.wrong = true;
  ExpectRun("booster reload", 1,
            "b.yaml:3: no such key\nwbctl: booster reload: b.yaml:7: is too large\n");
}

TEST_F(WbctlBooster, UpgradesOrSaysWhyNot) {
  ExpectRun("booster upgrade", 0, "upgraded: 9.8.7 (pid 812) to 9.8.8 (pid 913)\n");
  ExpectRun("booster upgrade --json", 0, "\"new_pid\":913");
  booster_.wrong = true;
  ExpectRun("booster upgrade", 1, "wbctl: booster upgrade: b.yaml:3: no such key\n");
}

TEST_F(WbctlBooster, FindsItsSocketAndNoOther) {
  const std::string run = std::string(WBCTL_PATH) + " booster status";
  EXPECT_EQ(Shell("WB_SOCKET=" + accelerd_ + " WB_BOOSTER_SOCKET=" + socket_ + " " + run).code, 0);
  const Outcome none = Shell("WB_BOOSTER_SOCKET=" + base_ + "/none " + run);
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.text, HasSubstr("boosterd cannot be reached"));
  const Outcome other = Shell(run + " --socket " + accelerd_);
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.text, HasSubstr("not understood"));
  EXPECT_EQ(Run("booster").code, 2);
}

}  // namespace
}  // namespace wb::api
