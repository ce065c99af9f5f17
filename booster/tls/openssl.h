// SPDX-License-Identifier: Apache-2.0
// Owners of OpenSSL's objects, and its errors as words. Safe from any thread.
#ifndef BOOSTER_TLS_OPENSSL_H_
#define BOOSTER_TLS_OPENSSL_H_

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace wb::tls {

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(STACK_OF(X509) * p) const { sk_X509_pop_free(p, X509_free); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

// Why the last call of this thread failed, in OpenSSL's fixed words: never bytes of a peer or of a
// file. Empties the thread's queue of errors.
inline std::string TakeError() {
  const unsigned long first = ERR_get_error();  // the oldest: the cause
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(first);
  return reason != nullptr ? reason : "unknown error";
}

}  // namespace wb::tls

#endif  // BOOSTER_TLS_OPENSSL_H_
