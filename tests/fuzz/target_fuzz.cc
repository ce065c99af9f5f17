// SPDX-License-Identifier: Apache-2.0
// Names of objects: from a request target to a file's path, and to the key of the booster link.
// Input: a target, then, behind a NUL, an Accept-Encoding. A path stays below its root by a plain
// second decoding; no two objects share a text that is signed; URLs are what check.h says.
#include "booster/link/link_key.h"
#include "ctl/api/check.h"
#include "ctl/cache/docroot.h"
#include "tests/fuzz/fuzz.h"

namespace wb::fuzz {
namespace {

// RFC 3986 2.1; nothing when malformed.
std::optional<std::string> Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const std::string hex(text.substr(i + 1, 2));
    if (hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return std::nullopt;
    decoded += static_cast<char>(std::stoi(hex, nullptr, 16));
    i += 2;
  }
  return decoded;
}

void CheckPath(std::string_view target) {
  const auto path = cache::TargetPath(target);
  if (!path.ok()) return;
  FUZZ_CHECK(path->starts_with('/') && path->find('\0') == std::string::npos, "%s", path->c_str());
  for (const char* bad : {"/./", "/../"})
    FUZZ_CHECK((*path + "/").find(bad) == std::string::npos, "%s", path->c_str());
  FUZZ_CHECK(path->find("//") == std::string::npos, "%s", path->c_str());
  auto plain = Decode(target.substr(0, target.find('?')));
  if (plain && plain->ends_with('/')) *plain += "index.html";
  FUZZ_CHECK(plain == *path, "%s", path->c_str());
}

void CheckKey(const std::string& target, const std::string& encoding) {
  static const link::KeyMaker maker({1, 2, 3});
  link::Key key, again;
  const bool made = maker.Make("site.test", target, encoding, &key);
  const bool nul = (target + encoding).find('\0') != std::string::npos;
  FUZZ_CHECK(made != nul, "NUL");
  if (!made) return;
  const std::string hex = link::HexOf(key);
  FUZZ_CHECK(
      hex.size() == WB_KEY_HEX && hex.find_first_not_of("0123456789abcdef") == std::string::npos,
      "%s", hex.c_str());
  FUZZ_CHECK(link::KeyOf(hex) == key, "%s", hex.c_str());
  FUZZ_CHECK(maker.Make("site.test", target, encoding, &again) && key == again,
             "not the same twice");
  if (!encoding.empty()) {
    FUZZ_CHECK(
        maker.Make("site.test", target + encoding[0], encoding.substr(1), &again) && again != key,
        "two objects, one key");
  }
}

void CheckUrl(std::string_view url) {
  if (!api::CheckUrl(url).ok()) return;
  const size_t scheme = url.find("://");
  FUZZ_CHECK(scheme == 4 || scheme == 5, "scheme");
  FUZZ_CHECK(url.size() > scheme + 3 && url.size() <= api::kMaxUrlChars, "length");
  for (const char c : url) FUZZ_CHECK(c > 0x20 && c < 0x7f, "character %02x", c);
}

}  // namespace
}  // namespace wb::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = wb::fuzz::Text(data, size);
  const size_t nul = std::min(text.find('\0'), text.size());
  wb::fuzz::CheckPath(text.substr(0, nul));
  wb::fuzz::CheckPath(text);
  wb::fuzz::CheckUrl(text.substr(0, nul));
  wb::fuzz::CheckKey(std::string(text.substr(0, nul)),
                     std::string(text.substr(std::min(nul + 1, text.size()))));
  return 0;
}
