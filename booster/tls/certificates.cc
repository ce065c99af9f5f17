// SPDX-License-Identifier: Apache-2.0
#include "booster/tls/certificates.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "booster/tls/context.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::tls {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr mode_t kKeyFileMode = 0640;

absl::Status Invalid(std::string_view path, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(absl::string_view(path.data(), path.size()), ": ",
                                                 absl::string_view(what.data(), what.size())));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, struct stat* info) {
  // Nonblocking: of a FIFO, open() would wait for a writer.
  const base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return base::PosixError("open", path);
  if (fstat(fd.get(), info) != 0) return base::PosixError("stat", path);
  if (!S_ISREG(info->st_mode)) return Invalid(path, "is not a regular file");
  std::string text(kMaxFileBytes + 1, '\0');  // never grown: a key is not left behind in a copy
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(fd.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::PosixError("read", path);
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size > kMaxFileBytes) return Invalid(path, "is larger than 1 MiB");
  text.resize(size);
  return text;
}

Owned<BIO> Memory(const std::string& text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::Status ParseChain(const std::string& path, const std::string& text, Certificate& to) {
  const Owned<BIO> bio = Memory(text);
  to.chain.reset(sk_X509_new_null());
  ERR_clear_error();
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    if (to.leaf == nullptr) {
      to.leaf.reset(one);
    } else {
      sk_X509_push(to.chain.get(), one);
    }
  }
  const unsigned long end = ERR_peek_last_error();
  const std::string why = TakeError();
  if (ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE) {
    const int number = to.leaf == nullptr ? 1 : 2 + sk_X509_num(to.chain.get());
    return Invalid(path, absl::StrCat("certificate ", number, " is unreadable: ", why));
  }
  if (to.leaf == nullptr) return Invalid(path, "holds no certificate in PEM");
  unsigned bytes = 0;
  if (X509_digest(to.leaf.get(), EVP_sha256(), to.fingerprint.data(), &bytes) != 1) {
    return Invalid(path, TakeError());
  }
  return absl::OkStatus();
}

absl::Status CheckMode(const std::string& path, const struct stat& info) {
  if ((info.st_mode & 07777 & ~kKeyFileMode) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat("%s: mode %04o is too open; chmod 0640 %s",
                                                       path, info.st_mode & 07777, path));
  }
  if (info.st_uid != 0 && info.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat(path, ": belongs to another user; chown root ", path));
  }
  return absl::OkStatus();
}

absl::Status ParseKey(const std::string& path, const std::string& text, Certificate& to) {
  ERR_clear_error();
  to.key.reset(PEM_read_bio_PrivateKey(Memory(text).get(), nullptr, NoPassphrase, nullptr));
  const std::string why = TakeError();
  if (to.key != nullptr) return absl::OkStatus();
  const bool encrypted = text.find("ENCRYPTED") != std::string::npos;
  return Invalid(path, encrypted ? "the key has a passphrase; store it without one"
                                 : "holds no readable key in PEM: " + why);
}

// Whether OpenSSL will have it, asked as each handshake asks.
absl::Status Try(const Site& site, const Certificate& certificate, SSL_CTX* context) {
  if (X509_check_private_key(certificate.leaf.get(), certificate.key.get()) != 1) {
    ERR_clear_error();
    return Invalid(site.key_file,
                   absl::StrCat("is not the key of the certificate in ", site.chain_file));
  }
  const Owned<SSL> ssl(SSL_new(context));
  ERR_clear_error();
  if (ssl == nullptr || !Use(certificate, ssl.get())) {
    return Invalid(site.chain_file, absl::StrCat("cannot be used: ", TakeError()));
  }
  return absl::OkStatus();
}

void Warn(const Site& site, const Certificate& certificate, std::vector<std::string>* warnings) {
  const auto warn = [&](std::string_view what) {
    warnings->push_back(
        absl::StrCat(site.chain_file, ": ", absl::string_view(what.data(), what.size())));
  };
  X509* const leaf = certificate.leaf.get();
  if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0) warn("the certificate has expired");
  if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
    warn("the certificate is not yet valid");
  X509* below = leaf;
  for (int i = 0; i < sk_X509_num(certificate.chain.get()); ++i) {
    X509* const above = sk_X509_value(certificate.chain.get(), i);
    if (X509_check_issued(above, below) != X509_V_OK) {
      warn(absl::StrCat("certificate ", i + 2, " did not issue the one before it"));
    }
    below = above;
  }
  ERR_clear_error();
}

bool Digest(const std::string& text, std::array<uint8_t, 32>& to) {
  return EVP_Digest(text.data(), text.size(), to.data(), nullptr, EVP_sha256(), nullptr) == 1;
}

using Known = absl::flat_hash_map<Certificate::Digests, std::shared_ptr<const Certificate>>;

absl::StatusOr<std::shared_ptr<const Certificate>> ReadOne(const Site& site, const Known& known,
                                                           SSL_CTX* context) {
  struct stat info {};
  WB_ASSIGN_OR_RETURN(const std::string chain, ReadFile(site.chain_file, &info));
  WB_ASSIGN_OR_RETURN(std::string key, ReadFile(site.key_file, &info));
  const absl::Cleanup wipe = [&] { OPENSSL_cleanse(key.data(), key.size()); };
  WB_RETURN_IF_ERROR(CheckMode(site.key_file, info));
  auto made = std::make_shared<Certificate>();
  if (!Digest(chain, made->files[0]) || !Digest(key, made->files[1])) {
    return Invalid(site.chain_file, TakeError());
  }
  if (const auto same = known.find(made->files); same != known.end()) return same->second;
  WB_RETURN_IF_ERROR(ParseChain(site.chain_file, chain, *made));
  WB_RETURN_IF_ERROR(ParseKey(site.key_file, key, *made));
  WB_RETURN_IF_ERROR(Try(site, *made, context));
  return made;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Certificates>> Certificates::Load(
    std::span<const Site> sites, std::string_view default_name, const Certificates* previous,
    std::vector<std::string>* warnings) {
  WB_ASSIGN_OR_RETURN(const Owned<SSL_CTX> context, MakeServerContext());
  std::shared_ptr<Certificates> made(new Certificates);
  absl::flat_hash_map<std::pair<std::string, std::string>, std::shared_ptr<const Certificate>> read;
  Known known;
  if (previous != nullptr) {
    for (const auto& [name, certificate] : previous->by_name_) {
      known.try_emplace(certificate->files, certificate);
    }
  }
  std::vector<std::string> errors;
  for (const Site& site : sites) {
    auto& certificate = read[{site.chain_file, site.key_file}];
    if (certificate == nullptr) {
      auto one = ReadOne(site, known, context.get());
      if (!one.ok()) {
        errors.emplace_back(one.status().message());
        continue;
      }
      certificate = *std::move(one);
      Warn(site, *certificate, warnings);
    }
    for (const std::string& name : site.names) {
      if (!made->by_name_.try_emplace(absl::AsciiStrToLower(name), certificate).second) {
        errors.push_back(absl::StrCat("the name ", name, " has two certificates"));
      }
      if (!Covers(certificate->leaf.get(), name)) {
        warnings->push_back(
            absl::StrCat(site.chain_file, ": the certificate does not cover ", name));
      }
    }
  }
  if (!default_name.empty()) {
    made->default_ = made->Find(
        absl::AsciiStrToLower(absl::string_view(default_name.data(), default_name.size())));
    if (made->default_ == nullptr && errors.empty()) {
      errors.emplace_back("the default certificate is of no site");
    }
  }
  if (!errors.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  return made;
}

const Certificate* Certificates::Find(std::string_view name) const {
  const auto found = by_name_.find(absl::string_view(name.data(), name.size()));
  return found != by_name_.end() ? found->second.get() : nullptr;
}

bool Covers(X509* leaf, std::string_view host) {
  // OpenSSL takes a length of 0 for "as long as strlen says", and a dot in front for any subdomain.
  if (host.empty() || host.front() == '.') return false;
  return X509_check_host(leaf, host.data(), host.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
                         nullptr) == 1;
}

}  // namespace wb::tls
