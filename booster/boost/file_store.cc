// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/file_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "booster/boost/record_json.h"
#include "webbooster/base/posix_error.h"
#include "webbooster/base/unique_fd.h"

namespace wb::boost {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kVersion = 1;
constexpr size_t kMostBytes = 64 << 20;  // 10,000 domains: 2 MB

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  std::array<char, 65536> part;
  while (true) {
    const ssize_t n = read(fd, part.data(), part.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::PosixError("read", path);
    if (n == 0) return text;
    text.append(part.data(), static_cast<size_t>(n));
    if (text.size() > kMostBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(path, " is too large"));
    }
  }
}

absl::Status WriteAll(int fd, const std::string& text, const std::string& path) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::PosixError("write", path);
    done += static_cast<size_t>(n);
  }
  if (fsync(fd) != 0) return base::PosixError("fsync", path);
  return absl::OkStatus();
}

absl::Status SyncDirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory.assign(1, '.');
  const base::UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return base::PosixError("open", directory);
  if (fsync(fd.get()) != 0) return base::PosixError("fsync", directory);
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, Record>> Parse(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("no JSON");
  if (!json.is_object() || json.value("version", Json()) != Json(kVersion)) {
    return absl::InvalidArgumentError("not of version 1");
  }
  const auto list = json.find("domains");
  if (list == json.end() || !list->is_array()) return absl::InvalidArgumentError("no domains");
  std::map<std::string, Record> records;
  for (const Json& one : *list) {
    WB_ASSIGN_OR_RETURN(Record record, FromJson(one));
    records[record.domain] = std::move(record);
  }
  return records;
}

}  // namespace

absl::StatusOr<Store::Kept> FileStore::Load() {
  const std::lock_guard lock(mutex_);
  unlink((path_ + ".new").c_str());  // of a crash before the rename: never in force
  const base::UniqueFd fd(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT) return Kept{};
  if (!fd) return base::PosixError("open", path_);
  WB_ASSIGN_OR_RETURN(const std::string text, ReadAll(fd.get(), path_));
  Kept kept;
  absl::StatusOr<std::map<std::string, Record>> records = Parse(text);
  if (!records.ok()) {
    const std::string aside = path_ + ".broken";
    if (rename(path_.c_str(), aside.c_str()) != 0) return base::PosixError("rename", path_);
    kept.lost =
        absl::StrCat(path_, " is damaged (", records.status().message(), "), and kept as ", aside);
    return kept;
  }
  records_ = *std::move(records);
  for (const auto& [domain, record] : records_) kept.records.push_back(record);
  return kept;
}

absl::Status FileStore::Save(std::span<const Record> records) {
  const std::lock_guard lock(mutex_);
  bool changed = unwritten_ > 0;
  for (const Record& record : records) {
    const auto [at, is_new] = records_.try_emplace(record.domain, record);
    if (!is_new && !Newer(record, at->second)) continue;
    at->second = record;
    changed = true;
  }
  if (!changed) return absl::OkStatus();
  const absl::Status status = Write();
  const std::lock_guard health(health_mutex_);
  unwritten_ = status.ok() ? 0 : unwritten_ + records.size();
  error_ = status.ok() ? "" : std::string(status.message());
  return status;
}

absl::Status FileStore::Write() const {
  Json list = Json::array();
  for (const auto& [domain, record] : records_) list.push_back(ToJson(record));
  const Json json = {{"version", kVersion}, {"domains", std::move(list)}};
  const std::string fresh = path_ + ".new";
  base::UniqueFd fd(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return base::PosixError("open", fresh);
  WB_RETURN_IF_ERROR(
      WriteAll(fd.get(), json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n", fresh));
  fd.reset();
  if (rename(fresh.c_str(), path_.c_str()) != 0) return base::PosixError("rename", fresh);
  return SyncDirectoryOf(path_);
}

StoreHealth FileStore::health() const {
  const std::lock_guard lock(health_mutex_);
  return {error_.empty(), error_, unwritten_};
}

}  // namespace wb::boost
