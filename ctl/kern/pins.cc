// SPDX-License-Identifier: Apache-2.0
#include "ctl/kern/pins.h"

#include <bpf/libbpf.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::kern {
namespace {

using base::PosixError;

int LibbpfLog(enum libbpf_print_level level, const char* format, va_list args) {
  char line[4096];
  vsnprintf(line, sizeof(line), format, args);
  std::string_view text(line);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  // What the kernel says when the clsact qdisc is there already, or none is to detach from: no
  // news.
  for (const char* no_news : {"Exclusivity flag on", "Parent Qdisc doesn't exist"})
    if (text.find(no_news) != std::string_view::npos) return 0;
  if (level == LIBBPF_WARN) spdlog::warn("libbpf: {}", text);
  return 0;
}

// Directories of other layout versions below the instance's.
absl::Status CheckLayout(const std::string& dir, const std::string& version,
                         const std::string& remedy) {
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(dir, ec)) {
    const std::string name = entry.path().filename().string();
    if (name != version)
      return absl::FailedPreconditionError(absl::StrCat(
          dir, "/", name, " is pinned by another version of Webbooster (this one is ", version,
          "): ", remedy, ", or remove it with `rm -r` when nothing is attached"));
  }
  return absl::OkStatus();
}

absl::Status MakeDir(const std::string& dir) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return PosixError("make", dir);
  if (chmod(dir.c_str(), 0700) != 0) return PosixError("protect", dir);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> MakePinDir(const std::string& dir, const std::string& version,
                                       const std::string& remedy) {
  std::string pin_dir = absl::StrCat(dir, "/", version);
  WB_RETURN_IF_ERROR(MakeDir(dir));
  WB_RETURN_IF_ERROR(CheckLayout(dir, version, remedy));
  WB_RETURN_IF_ERROR(MakeDir(pin_dir));
  return pin_dir;
}

absl::Status SetPins(bpf_object* object, const std::string& dir,
                     absl::FunctionRef<bool(std::string_view)> whose) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const std::string name = bpf_map__name(map);
    if (!bpf_map__autocreate(map) || !whose(name)) continue;
    if (bpf_map__set_pin_path(map, absl::StrCat(dir, "/", name).c_str()) != 0)
      return PosixError("set the pin of", name);
  }
  return absl::OkStatus();
}

absl::Status ProtectPins(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const char* pin = bpf_map__pin_path(map);
    if (pin != nullptr && chmod(pin, 0600) != 0) return PosixError("protect", pin);
  }
  return absl::OkStatus();
}

absl::Status RemovePins(const std::string& pin_dir) {
  std::error_code ec;
  std::filesystem::remove_all(pin_dir, ec);
  std::filesystem::remove(std::filesystem::path(pin_dir).parent_path(), ec);
  if (ec && ec != std::errc::directory_not_empty && ec != std::errc::no_such_file_or_directory)
    return PosixError("remove", pin_dir, ec.value());
  return absl::OkStatus();
}

void LogLibbpf() { libbpf_set_print(LibbpfLog); }

}  // namespace wb::kern
