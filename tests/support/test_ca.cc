// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_ca.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "webbooster/base/check.h"

namespace wb::test {
namespace {

void Must(bool done) { WB_CHECK(done, "OpenSSL makes certificates"); }

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string Pem(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  Must(PEM_write_bio_X509(bio, certificate) == 1);
  return Text(bio);
}

void Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

X509* NewCertificate(const std::string& name, EVP_PKEY* key, const TestCa::Options& options) {
  X509* made = X509_new();
  X509_set_version(made, X509_VERSION_3);
  uint32_t serial;
  Must(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(made), serial);
  X509_gmtime_adj(X509_getm_notBefore(made), options.from.count());
  X509_gmtime_adj(X509_getm_notAfter(made), options.until.count());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  Must(X509_set_pubkey(made, key) == 1);
  return made;
}

}  // namespace

TestCa::TestCa() : key_(EVP_EC_gen("P-256")) {
  Must(key_ != nullptr);
  certificate_ = NewCertificate("Test CA", key_, {});
  Must(X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_)) == 1);
  Extend(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  Must(X509_sign(certificate_, key_, EVP_sha256()) > 0);
}

TestCa::~TestCa() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

std::string TestCa::pem() const { return Pem(certificate_); }

Issued TestCa::Issue(const std::vector<std::string>& names, const Options& options) const {
  EVP_PKEY* key = options.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(options.rsa_bits))
                                       : EVP_EC_gen("P-256");
  Must(key != nullptr);
  X509* leaf = NewCertificate(names.front(), key, options);
  Must(X509_set_issuer_name(leaf, X509_get_subject_name(certificate_)) == 1);
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "DNS:" : ",DNS:") + name;
  Extend(leaf, certificate_, NID_subject_alt_name, all);
  Must(X509_sign(leaf, key_, EVP_sha256()) > 0);
  Issued issued;
  issued.chain_pem = Pem(leaf) + pem();
  BIO* bio = BIO_new(BIO_s_mem());
  const bool locked = !options.passphrase.empty();
  Must(PEM_write_bio_PKCS8PrivateKey(bio, key, locked ? EVP_aes_128_cbc() : nullptr,
                                     locked ? options.passphrase.c_str() : nullptr,
                                     static_cast<int>(options.passphrase.size()), nullptr,
                                     nullptr) == 1);
  issued.key_pem = Text(bio);
  X509_free(leaf);
  EVP_PKEY_free(key);
  return issued;
}

}  // namespace wb::test
