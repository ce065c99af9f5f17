// SPDX-License-Identifier: Apache-2.0
#include "ctl/cache/proof.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstring>
#include <set>
#include <string>

namespace wb::cache {
namespace {

// What tells whether the web server may read it, beside the mode. A change of a file's own shows in
// its ctime; that of a directory also moves with the names in it, which are of no interest.
constexpr const char* kAccessNames[] = {"system.posix_acl_access", "security.selinux"};

void Put(std::string& to, const void* data, size_t bytes) {
  to.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
  to.append(static_cast<const char*>(data), bytes);
}

void PutPath(std::string& to, const std::string& path) { Put(to, path.data(), path.size()); }

void PutIdentity(std::string& to, const struct stat& s) {
  const uint64_t words[] = {s.st_dev, s.st_ino, s.st_mode, s.st_uid, s.st_gid};
  Put(to, words, sizeof(words));
}

void PutDirectory(std::string& to, const std::string& path) {
  PutPath(to, path);
  struct stat s;
  if (lstat(path.c_str(), &s) != 0) return Put(to, nullptr, 0);
  PutIdentity(to, s);
  for (const char* name : kAccessNames) {
    char value[1024];
    const ssize_t n = lgetxattr(path.c_str(), name, value, sizeof(value));
    Put(to, value, n > 0 ? static_cast<size_t>(n) : 0);
  }
}

// False: too young.
bool PutFile(std::string& to, const std::string& path, int64_t now_s) {
  PutPath(to, path);
  struct stat s;
  if (lstat(path.c_str(), &s) != 0) {
    Put(to, nullptr, 0);
    return true;
  }
  PutIdentity(to, s);
  const int64_t words[] = {static_cast<int64_t>(s.st_nlink),
                           s.st_size,
                           s.st_mtim.tv_sec,
                           s.st_mtim.tv_nsec,
                           s.st_ctim.tv_sec,
                           s.st_ctim.tv_nsec};
  Put(to, words, sizeof(words));
  return s.st_ctim.tv_sec + kProofAgeS <= now_s;
}

}  // namespace

std::optional<Proof> Prove(const Location& location, int64_t now_s) {
  std::set<std::string> files(location.paths.begin(), location.paths.end());
  files.insert(location.path);
  for (const std::string& path : std::set<std::string>(files))
    for (const std::string& suffix : EncodingSuffixes()) files.insert(path + suffix);
  std::string facts;
  for (const std::string& path : files)
    if (!PutFile(facts, path, now_s)) return std::nullopt;
  for (const WatchPath& watched : location.watch)
    if (!files.contains(watched.path)) PutDirectory(facts, watched.path);
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  if (EVP_Digest(facts.data(), facts.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    return std::nullopt;
  Proof proof;
  memcpy(proof.data(), digest.data(), sizeof(proof));
  proof[0] |= 1;
  return proof;
}

}  // namespace wb::cache
