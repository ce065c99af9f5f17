// SPDX-License-Identifier: Apache-2.0
// Records in one JSON file of mode 0600, of this booster alone. Each change writes the whole file
// beside it, fsync(2)s, renames, and fsyncs the directory: after a crash there is the old file or
// the new one. Only domains that an operator or a peak has changed are in it.
#ifndef BOOSTER_BOOST_FILE_STORE_H_
#define BOOSTER_BOOST_FILE_STORE_H_

#include <map>
#include <mutex>
#include <string>

#include "booster/boost/store.h"

namespace wb::boost {

class FileStore final : public Store {
 public:
  explicit FileStore(std::string path) : path_(std::move(path)) {}

  // No file: nothing was kept. One that cannot be understood is kept aside as <path>.broken (an
  // older one there is replaced), and told in Kept::lost. Errors: those of open(2) and read(2).
  absl::StatusOr<Kept> Load() override;
  // Errors: the file cannot be written; the records are written with the next that can.
  absl::Status Save(std::span<const Record> records) override;
  StoreHealth health() const override;
  std::string kind() const override { return "file"; }

 private:
  absl::Status Write() const;

  const std::string path_;
  std::mutex mutex_;
  std::map<std::string, Record> records_;
  mutable std::mutex health_mutex_;  // of what health() tells, which waits for no disk
  uint64_t unwritten_ = 0;
  std::string error_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_FILE_STORE_H_
