// SPDX-License-Identifier: Apache-2.0
// What Certificates::Load says of files. Errors are collected; no message has a file's contents.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "booster/tls/certificates.h"
#include "gmock/gmock.h"
#include "tests/unit/tls_fixture.h"

namespace wb::tls {
namespace {

using std::chrono::hours;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class TlsCertificatesTest : public TlsTest {
 protected:
  std::string ErrorOf(const std::vector<Site>& sites, std::string_view default_name = "") {
    warnings_.clear();
    const auto loaded = Certificates::Load(sites, default_name, nullptr, &warnings_);
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(loaded.status().message());
  }
  std::vector<std::string> WarningsOf(const std::vector<Site>& sites) {
    warnings_.clear();
    EXPECT_TRUE(Certificates::Load(sites, "", nullptr, &warnings_).ok());
    return warnings_;
  }
  std::vector<std::string> warnings_;
};

TEST_F(TlsCertificatesTest, NamesAreFoundInLowerCaseAndFilesReadOnce) {
  Site again = www_;
  again.names = {"a.img.example.com"};
  EXPECT_THAT(WarningsOf({www_, shop_, again}), IsEmpty());
  const auto loaded = Load({www_, shop_, again});
  ASSERT_NE(loaded->Find("example.com"), nullptr);
  EXPECT_EQ(loaded->Find("example.com"), loaded->Find("a.img.example.com"));
  EXPECT_NE(loaded->Find("example.com"), loaded->Find("shop.test"));
  EXPECT_EQ(loaded->Find("Example.com"), nullptr);
  EXPECT_EQ(sk_X509_num(loaded->Find("shop.test")->chain.get()), 1);
}

TEST_F(TlsCertificatesTest, KeyOfAnotherCertificate) {
  Site mixed = www_;
  mixed.key_file = shop_.key_file;
  EXPECT_EQ(ErrorOf({mixed}),
            shop_.key_file + ": is not the key of the certificate in " + www_.chain_file);
}

TEST_F(TlsCertificatesTest, KeyThatOthersMayRead) {
  for (const mode_t mode : {0644, 0604, 0660, 0700, 01600}) {
    chmod(www_.key_file.c_str(), mode);
    EXPECT_THAT(ErrorOf({www_}), HasSubstr("is too open; chmod 0640 " + www_.key_file));
  }
  chmod(www_.key_file.c_str(), 0640);
  EXPECT_THAT(WarningsOf({www_}), IsEmpty());
}

TEST_F(TlsCertificatesTest, KeyOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  ASSERT_EQ(chown(www_.key_file.c_str(), 12345, 0), 0);
  EXPECT_THAT(ErrorOf({www_}), HasSubstr("belongs to another user"));
}

TEST_F(TlsCertificatesTest, KeyWithAPassphraseIsNotAskedFor) {
  const Site site =
      Write("locked", {"www.example.com"}, ca_.Issue({"www.example.com"}, {.passphrase = "hush"}));
  EXPECT_THAT(ErrorOf({site}), HasSubstr("the key has a passphrase"));
}

TEST_F(TlsCertificatesTest, UnreadableFilesAreNamedAndNotQuoted) {
  const std::string chain = ca_.Issue({"www.example.com"}).chain_pem;
  for (const auto& [content, what] : std::vector<std::pair<std::string, std::string>>{
           {"", "holds no certificate in PEM"},
           {"swordfish", "holds no certificate in PEM"},
           {chain.substr(0, 200), "certificate 1 is unreadable: "},
           {"-----BEGIN CERTIFICATE-----\nc3dvcmRmaXNo\n-----END CERTIFICATE-----\n",
            "certificate 1 is unreadable: "},
           {chain.substr(0, chain.rfind("-----END")), "certificate 2 is unreadable: "},
           {std::string((1 << 20) + 1, '\n'), "is larger than 1 MiB"}}) {
    Site site = www_;
    site.chain_file = dir_.Write("chain.pem", content);
    EXPECT_THAT(ErrorOf({site}), testing::StartsWith(site.chain_file + ": " + what));
    EXPECT_THAT(ErrorOf({site}), Not(HasSubstr("swordfish")));
  }
  for (const char* content :
       {"", "swordfish",
        "-----BEGIN PRIVATE KEY-----\nc3dvcmRmaXNo\n-----END PRIVATE KEY-----\n"}) {
    Site site = www_;
    site.key_file = dir_.Write("bad.key", content);
    chmod(site.key_file.c_str(), 0600);
    EXPECT_THAT(ErrorOf({site}), testing::StartsWith(site.key_file + ": holds no readable key"));
    EXPECT_THAT(ErrorOf({site}), Not(HasSubstr("swordfish")));
    EXPECT_THAT(ErrorOf({site}), Not(HasSubstr("c3dv")));
  }
}

TEST_F(TlsCertificatesTest, FilesThatAreNone) {
  Site site = www_;
  site.chain_file = dir_ / "absent.pem";
  EXPECT_THAT(ErrorOf({site}), HasSubstr("cannot open " + site.chain_file));
  site.chain_file = dir_.path();
  EXPECT_THAT(ErrorOf({site}), HasSubstr("is not a regular file"));
  site.chain_file = dir_ / "fifo";
  ASSERT_EQ(mkfifo(site.chain_file.c_str(), 0600), 0);
  EXPECT_THAT(ErrorOf({site}), HasSubstr("is not a regular file"));
}

TEST_F(TlsCertificatesTest, WeakKeyIsRefusedBeforeAClientMeetsIt) {
  const Site site =
      Write("weak", {"www.example.com"}, ca_.Issue({"www.example.com"}, {.rsa_bits = 1024}));
  EXPECT_THAT(ErrorOf({site}), HasSubstr("cannot be used: ee key too small"));
}

TEST_F(TlsCertificatesTest, DoubtsAreWarnings) {
  const std::vector<std::string> name = {"www.example.com"};
  const auto only = [&](const test::Issued& issued) {
    const Site site = Write("doubt", name, issued);
    std::vector<std::string> all = WarningsOf({site});
    for (std::string& one : all) one.erase(0, site.chain_file.size() + 2);
    return all;
  };
  EXPECT_THAT(only(ca_.Issue(name, {.from = -hours(2), .until = -hours(1)})),
              ElementsAre("the certificate has expired"));
  EXPECT_THAT(only(ca_.Issue(name, {.from = hours(1), .until = hours(2)})),
              ElementsAre("the certificate is not yet valid"));
  EXPECT_THAT(only(ca_.Issue({"shop.test"})),
              ElementsAre("the certificate does not cover www.example.com"));
  test::Issued issued = ca_.Issue(name);
  issued.chain_pem += ca_.Issue({"other.test"}).chain_pem;
  EXPECT_THAT(only(issued), ElementsAre("certificate 3 did not issue the one before it"));
}

TEST_F(TlsCertificatesTest, ReloadReadsAnewWhatHasChanged) {
  const Site old = Write("old", {"old.test"}, ca_.Issue({"old.test"}, {.until = -hours(1)}));
  const auto before = Load({www_, shop_, old});
  Write("shop", shop_.names, ca_.Issue({"shop.test"}));
  const auto after =
      Certificates::Load(std::vector{www_, shop_, old}, "", before.get(), &warnings_);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)->Find("example.com"), before->Find("example.com"));
  EXPECT_NE((*after)->Find("shop.test")->fingerprint, before->Find("shop.test")->fingerprint);
  EXPECT_THAT(warnings_, ElementsAre(old.chain_file + ": the certificate has expired"));
  // A file that is as it was can still be readable by others now.
  chmod(www_.key_file.c_str(), 0644);
  EXPECT_FALSE(Certificates::Load(std::vector{www_}, "", before.get(), &warnings_).ok());
}

TEST_F(TlsCertificatesTest, AllErrorsAtOnce) {
  Site bad = shop_;
  bad.chain_file = dir_ / "absent.pem";
  Site twice = www_;
  twice.names = {"EXAMPLE.com"};
  EXPECT_EQ(ErrorOf({www_, bad, twice}, "none.test"),
            "cannot open " + bad.chain_file +
                ": No such file or directory\nthe name EXAMPLE.com has two certificates");
  EXPECT_EQ(ErrorOf({www_}, "none.test"), "the default certificate is of no site");
}

}  // namespace
}  // namespace wb::tls
