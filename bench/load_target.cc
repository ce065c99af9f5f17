// SPDX-License-Identifier: Apache-2.0
#include "bench/load_target.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zlib.h>

#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "webbooster/abi/key_field.h"

namespace wb::bench {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int lower = std::tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string FileOf(const std::string& docroot, const std::string& path) {
  std::string name;
  for (size_t i = 0; i < path.size() && path[i] != '?'; ++i) {
    if (path[i] == '%' && i + 2 < path.size() && HexDigit(path[i + 1]) >= 0) {
      name += static_cast<char>(HexDigit(path[i + 1]) * 16 + HexDigit(path[i + 2]));
      i += 2;
    } else {
      name += path[i];
    }
  }
  return docroot + name + (name.ends_with('/') ? "index.html" : "");
}

// abi/key_field.h: the compact form with the object's key.
std::string KeyedRequest(const TargetOptions& options, const std::string& path) {
  std::string text = options.domain;
  text += '\0';
  text += path;
  text += '\0';
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int digest_bytes = 0;
  if (HMAC(EVP_sha256(), options.secret.data(), static_cast<int>(options.secret.size()),
           reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest,
           &digest_bytes) == nullptr) {
    return "";
  }
  const std::string front = "GET " + path + " HTTP/1.1\r\nHost: " + options.domain + "\r\n";
  char field[WB_KEY_TAIL_BYTES + 1];
  int at =
      std::snprintf(field, sizeof(field), WB_KEY_PREFIX "%04zx", front.size() + WB_KEY_TAIL_BYTES);
  for (int i = 0; i < WB_KEY_HEX / 2; ++i) {
    at += std::snprintf(field + at, sizeof(field) - at, "%02x", digest[i]);
  }
  std::snprintf(field + at, sizeof(field) - at, "\r\n\r\n");
  return front + field;
}

}  // namespace

std::vector<uint8_t> ReadSecret(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  file >> text;
  std::vector<uint8_t> secret;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    if (high < 0 || low < 0) return {};
    secret.push_back(static_cast<uint8_t>(high * 16 + low));
  }
  return secret;
}

std::string MakeTarget(const TargetOptions& options, const std::string& path, Target* target) {
  target->path = path;
  if (!options.docroot.empty()) {
    std::ifstream file(FileOf(options.docroot, path), std::ios::binary);
    if (file) {
      const std::string body{std::istreambuf_iterator<char>(file), {}};
      target->length = body.size();
      target->crc = crc32_z(0, reinterpret_cast<const uint8_t*>(body.data()), body.size());
    }
  }
  if (options.mode == Mode::kKeyed) {
    target->request = KeyedRequest(options, path);
    return target->request.empty() ? "cannot compute a key" : "";
  }
  target->request = "GET " + path + " HTTP/1.1\r\nHost: " + options.domain + "\r\n";
  if (options.mode == Mode::kClose) target->request += "Connection: close\r\n";
  target->request += "\r\n";
  return "";
}

}  // namespace wb::bench
