// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/saver.h"

#include <chrono>
#include <utility>
#include <vector>

#include "spdlog/spdlog.h"

namespace wb::boost {
namespace {

constexpr std::chrono::seconds kAgain{1};

}  // namespace

Saver::~Saver() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Saver::Add(Record record) {
  {
    const std::lock_guard lock(mutex_);
    Record& slot = waiting_[record.domain];
    if (slot.domain.empty() || Newer(record, slot)) slot = std::move(record);
  }
  wake_.notify_one();
}

void Saver::Run() {
  std::unique_lock lock(mutex_);
  bool well = true;
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const bool written = Write(lock);
    if (!written && well) spdlog::error("boost: modes are not kept: {}", store_.health().error);
    if (written && !well) spdlog::info("boost: modes are kept again");
    well = written;
    if (stop_ && !written) return;
    if (!written) wake_.wait_for(lock, kAgain, [this] { return stop_; });
  }
}

bool Saver::Write(std::unique_lock<std::mutex>& lock) {
  std::vector<Record> records;
  for (auto& [domain, record] : waiting_) records.push_back(std::move(record));
  waiting_.clear();
  lock.unlock();
  const absl::Status status = store_.Save(records);
  lock.lock();
  if (status.ok()) return true;
  for (Record& record : records) {
    Record& slot = waiting_[record.domain];
    if (slot.domain.empty() || Newer(record, slot)) slot = std::move(record);
  }
  return false;
}

}  // namespace wb::boost
