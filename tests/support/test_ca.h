// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made as they run: a CA of its own with keys on P-256.
#ifndef TESTS_SUPPORT_TEST_CA_H_
#define TESTS_SUPPORT_TEST_CA_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace wb::test {

struct Issued {
  std::string chain_pem;  // the certificate, and the CA's
  std::string key_pem;
};

class TestCa {
 public:
  TestCa();
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  struct Options {
    int rsa_bits = 0;  // 0: P-256
    std::chrono::seconds from{-3600};
    std::chrono::seconds until{3600};  // of now
    std::string passphrase = {};       // of the key
  };
  // For DNS names, wildcards included.
  Issued Issue(const std::vector<std::string>& names, const Options& options) const;
  Issued Issue(const std::vector<std::string>& names) const { return Issue(names, Options{}); }

  X509* certificate() const { return certificate_; }
  std::string pem() const;

 private:
  EVP_PKEY* key_;
  X509* certificate_;
};

}  // namespace wb::test

#endif  // TESTS_SUPPORT_TEST_CA_H_
