// SPDX-License-Identifier: Apache-2.0
// A real etcd over TLS, with certificates of a CA made here: who is believed, and what is said of
// who is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>

#include "boost_etcd_server.h"
#include "boost_fakes.h"
#include "booster/boost/etcd_store.h"

namespace wb::boost {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const nlohmann::json kBody = {{"key", ToBase64("x")}};

// ca.pem vouches for server.pem (127.0.0.1) and elsewhere.pem (another name) directly, and for
// client.pem by an intermediate CA, whose certificate is in the chain; other.pem is another CA.
class EtcdTlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    signal(SIGPIPE, SIG_IGN);  // as boosterd does
    dir_ = new cache::TempDir();
    Authority("ca");
    Authority("other");
    Issue("server", "ca", "subjectAltName=IP:127.0.0.1");
    Issue("elsewhere", "ca", "subjectAltName=DNS:elsewhere.test");
    Issue("between", "ca", "basicConstraints=critical,CA:true");
    Issue("leaf", "between", "extendedKeyUsage=clientAuth");
    Issue("stranger", "other", "extendedKeyUsage=clientAuth");
    Run("cat leaf.pem between.pem > client.pem");
    std::ofstream(Path("damaged.pem")) << "no PEM";
  }
  static void TearDownTestSuite() {
    delete dir_;
    dir_ = nullptr;
  }
  static std::string Path(const std::string& name) { return *dir_ / name; }
  static void Run(const std::string& command) {
    const std::string line = "cd " + Path("") + " && ( " + command + " ) >log 2>&1";
    ASSERT_EQ(std::system(line.c_str()), 0) << command;
  }
  static void Authority(const std::string& name) {
    Run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
        name + " -keyout " + name + ".key -out " + name + ".pem");
  }
  static void Issue(const std::string& name, const std::string& ca, const std::string& extension) {
    Run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
        " -keyout " + name + ".key -out csr && echo " + extension + " >ext && " +
        "openssl x509 -req -in csr -days 2 -CAcreateserial -extfile ext -CA " + ca +
        ".pem -CAkey " + ca + ".key -out " + name + ".pem");
  }
  static EtcdServer::Tls Serving(const std::string& name, const std::string& client_ca = "") {
    return {Path(name + ".pem"), Path(name + ".key"), client_ca.empty() ? "" : Path(client_ca)};
  }
  // Empty: a call fails and says so, at once or when the server is there and has the time; else
  // what it says.
  static std::string Says(const std::string& text, EtcdAccess access, const std::string& url) {
    access.endpoints = {url};
    std::string said;
    for (int i = 0; i < 100; ++i) {
      said = EtcdClient(access).Call("/v3/kv/range", kBody).status().ToString();
      if (said.find(text) != std::string::npos) return "";
      std::this_thread::sleep_for(milliseconds(50));
    }
    return said;
  }
  static EtcdAccess Trusting(const std::string& ca) {
    return {.endpoints = {}, .ca_file = Path(ca)};
  }
  static EtcdAccess Known() {
    EtcdAccess access = Trusting("ca.pem");
    access.chain_file = Path("client.pem");
    access.key_file = Path("leaf.key");
    return access;
  }

  static cache::TempDir* dir_;
};

cache::TempDir* EtcdTlsTest::dir_ = nullptr;

TEST_F(EtcdTlsTest, TwoBoostersShareRecordsByCertificatesOfBothSides) {
  EtcdServer server(Serving("server", "ca.pem"));
  ASSERT_TRUE(server.Start(Known()));
  EtcdAccess access = Known();
  access.endpoints = {server.url()};
  const auto store = [&](const std::string& id) {
    return std::make_unique<EtcdStore>(EtcdStore::Options{
        .access = access, .id = id, .address = "198.18.0.1", .file = *dir_ / id});
  };
  const auto writer = store("b1"), reader = store("b2");
  std::mutex mutex;
  std::condition_variable wake;
  Record told;
  reader->Watch([&](const Record& record) {
    const std::lock_guard lock(mutex);
    told = record;
    wake.notify_all();
  });
  ASSERT_TRUE(writer->Load().ok());
  ASSERT_TRUE(reader->Load().ok());
  const Record record{
      .domain = "a.test", .mode = Mode::kOn, .mode_revision = 1, .revision = 1, .writer = "b1"};
  ASSERT_TRUE(writer->Save({&record, 1}).ok());
  std::unique_lock lock(mutex);
  EXPECT_TRUE(wake.wait_for(lock, seconds(20), [&] { return told == record; }));
  lock.unlock();
  EXPECT_EQ(reader->health().error, "");
  writer->Stop();
  reader->Stop();
}

TEST_F(EtcdTlsTest, AServerOfAnotherCaIsRefused) {
  EtcdServer server(Serving("server"));
  ASSERT_TRUE(server.Start(Trusting("ca.pem")));
  EXPECT_EQ(Says("its certificate is not accepted: unable to get local issuer certificate",
                 Trusting("other.pem"), server.url()),
            "");
  // Nor does the system vouch for it.
  EXPECT_EQ(Says("its certificate is not accepted", {}, server.url()), "");
}

TEST_F(EtcdTlsTest, AServerOfAnotherNameIsRefused) {
  EtcdServer server(Serving("elsewhere"));
  EXPECT_FALSE(server.Start(Trusting("ca.pem"), 1));
  EXPECT_EQ(
      Says("its certificate is for another name or address", Trusting("ca.pem"), server.url()), "");
}

TEST_F(EtcdTlsTest, AClientThatIsNotKnownIsToldSo) {
  EtcdServer server(Serving("server", "ca.pem"));
  ASSERT_TRUE(server.Start(Known()));
  EXPECT_EQ(Says("as where a client certificate is wanted", Trusting("ca.pem"), server.url()), "");
  EtcdAccess stranger = Trusting("ca.pem");
  stranger.chain_file = Path("stranger.pem");
  stranger.key_file = Path("stranger.key");
  EXPECT_EQ(Says("as where a client certificate is not accepted", stranger, server.url()), "");
}

TEST_F(EtcdTlsTest, WhatCannotBeUsedIsNamed) {
  const auto refusal = [&](const EtcdAccess& access) {
    EtcdAccess at = access;
    at.endpoints = {"https://127.0.0.1:1"};
    const absl::Status status = EtcdClient(at).Call("/v3/kv/range", kBody).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return status.ToString();
  };
  EXPECT_THAT(refusal(Trusting("none.pem")),
              AllOf(HasSubstr("none.pem"), HasSubstr("No such file or directory")));
  EXPECT_THAT(refusal(Trusting("damaged.pem")), HasSubstr("damaged.pem"));
  EtcdAccess access = Known();
  access.chain_file = Path("damaged.pem");
  EXPECT_THAT(refusal(access), AllOf(HasSubstr("damaged.pem"), HasSubstr("no start line")));
  access = Known();
  access.key_file = Path("stranger.key");
  EXPECT_THAT(refusal(access), AllOf(HasSubstr("stranger.key"), HasSubstr("key values mismatch")));
}

TEST_F(EtcdTlsTest, AServerWithoutTlsIsToldSo) {
  EtcdServer server;
  ASSERT_TRUE(server.Start());
  std::string url = server.url();
  url.replace(0, 4, "https");
  EXPECT_EQ(Says("it does not speak TLS", Trusting("ca.pem"), url), "");
}

}  // namespace
}  // namespace wb::boost
