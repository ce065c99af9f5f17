// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "ctl/config/reader.h"
#include "ctl/config/text.h"

namespace wb::config {
namespace {

constexpr mode_t kKeyFileMode = 0640;

// A regular file of at most `limit` bytes, and its status if asked for. Opened without blocking,
// for a FIFO would wait for a writer; the limit holds for what is read, since a file may grow.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t limit,
                                          struct stat* status) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return absl::ErrnoToStatus(errno, Cat("open ", path));
  const absl::Cleanup close_fd = [fd] { close(fd); };
  if (fstat(fd, status) != 0) return absl::ErrnoToStatus(errno, Cat("stat ", path));
  if (!S_ISREG(status->st_mode)) {
    return absl::InvalidArgumentError(Cat(path, ": not a regular file"));
  }
  std::string text(limit + 1, '\0');
  size_t used = 0;
  while (used < text.size()) {
    const ssize_t n = read(fd, text.data() + used, text.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, Cat("read ", path));
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  text.resize(used);
  if (used > limit) {
    return absl::InvalidArgumentError(Cat(path, ": larger than ", limit, " bytes"));
  }
  return text;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Endpoint::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? Cat("[", host, "]:", port) : Cat(host, ":", port);
}

std::string FormatFinding(std::string_view file, const Finding& finding) {
  return Cat(file, ":", finding.line, ":", finding.column, ": ", finding.path, ": ",
             finding.message);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  struct stat status {};
  return ReadSmallFile(path, max_bytes, &status);
}

absl::Status Report(const std::string& path, const Findings& findings,
                    std::vector<std::string>* warnings) {
  if (warnings != nullptr) {
    for (const Finding& warning : findings.warnings)
      warnings->push_back(FormatFinding(path, warning));
  }
  if (findings.errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrJoin(findings.errors, "\n", [&](std::string* out, const Finding& error) {
        absl::StrAppend(out, FormatFinding(path, error));
      }));
}

absl::StatusOr<Config> Load(const std::string& path, std::vector<std::string>* warnings,
                            std::string* text) {
  return LoadFile(path, kMaxFileBytes, Parse, warnings, text);
}

absl::StatusOr<std::array<uint8_t, kBoosterKeyBytes>> ReadBoosterKey(const std::string& path) {
  constexpr size_t kDigits = 2 * kBoosterKeyBytes;
  struct stat status {};
  absl::StatusOr<std::string> text = ReadSmallFile(path, kDigits + 2, &status);
  if (!text.ok()) return text.status();
  const absl::Cleanup wipe = [&] { explicit_bzero(text->data(), text->size()); };
  if ((status.st_mode & 07777 & ~kKeyFileMode) != 0) {
    return absl::PermissionDeniedError(Cat(
        path, ": mode ", absl::Hex((status.st_mode >> 6) & 7), absl::Hex((status.st_mode >> 3) & 7),
        absl::Hex(status.st_mode & 7), " is too open; chmod 0640 ", path));
  }
  if (status.st_uid != 0 && status.st_uid != geteuid()) {
    return absl::PermissionDeniedError(Cat(path, ": belongs to another user; chown root ", path));
  }
  std::string_view digits = *text;
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  if (digits.ends_with('\r')) digits.remove_suffix(1);
  if (digits.size() != kDigits ||
      std::any_of(digits.begin(), digits.end(), [](char c) { return HexDigit(c) < 0; })) {
    return absl::InvalidArgumentError(Cat(path, ": not ", kDigits, " hexadecimal digits"));
  }
  std::array<uint8_t, kBoosterKeyBytes> key{};
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<uint8_t>(HexDigit(digits[2 * i]) << 4 | HexDigit(digits[2 * i + 1]));
  }
  return key;
}

}  // namespace wb::config
