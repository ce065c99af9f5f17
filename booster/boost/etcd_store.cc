// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/etcd_store.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "booster/boost/record_json.h"
#include "spdlog/spdlog.h"
#include "webbooster/base/posix_error.h"

namespace wb::boost {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr int kLeaseSeconds = 2;
constexpr milliseconds kRenewEvery{500};
constexpr milliseconds kAgain{100};
constexpr milliseconds kIdle{5000};  // of a watch, which is then begun again where it was
constexpr int kMostTurns = 8;        // of a compare and swap against others

// etcd's JSON writes 64-bit numbers as strings, and leaves out zeros.
int64_t NumberIn(const Json& json, const char* member) {
  const auto at = json.find(member);
  int64_t number = 0;
  if (at == json.end() || !at->is_string() ||
      !absl::SimpleAtoi(at->get_ref<const std::string&>(), &number)) {
    return 0;
  }
  return number;
}

std::string BytesIn(const Json& json, const char* member) {
  const auto at = json.find(member);
  return at != json.end() && at->is_string() ? FromBase64(at->get_ref<const std::string&>()) : "";
}

int64_t RevisionOf(const Json& answer) {
  const auto header = answer.find("header");
  return header == answer.end() ? 0 : NumberIn(*header, "revision");
}

absl::StatusOr<Record> RecordIn(const Json& pair) {
  return FromJson(Json::parse(BytesIn(pair, "value"), nullptr, false));
}

}  // namespace

EtcdStore::EtcdStore(Options options)
    : options_(std::move(options)),
      domains_(options_.prefix + "/domains/"),
      boosters_(options_.prefix + "/boosters/"),
      file_(options_.file),
      writer_(options_.access),
      watcher_(options_.access) {}

absl::StatusOr<Store::Kept> EtcdStore::Load() {
  WB_ASSIGN_OR_RETURN(Kept kept, file_.Load());
  for (const Record& record : kept.records) known_[record.domain] = {.record = record};
  const absl::Status status = Read();
  Note(status);
  if (!status.ok())
    spdlog::error("boost: {}; modes are those of {}", status.ToString(), options_.file);
  const std::lock_guard lock(mutex_);
  kept.records.clear();
  for (const auto& [name, known] : known_) kept.records.push_back(known.record);
  // What the file has lost, etcd has.
  if (status.ok()) kept.lost.clear();
  running_ = 2;
  worker_ = std::thread([this] { Work(); });
  looker_ = std::thread([this] { Look(); });
  return kept;
}

void EtcdStore::Stop() {
  std::unique_lock lock(mutex_);
  stop_ = true;
  wake_.notify_all();
  // A call that begins just now is not there to be aborted yet.
  while (running_ > 0) {
    lock.unlock();
    writer_.Abort();
    watcher_.Abort();
    lock.lock();
    wake_.wait_for(lock, milliseconds(10), [this] { return running_ == 0; });
  }
  lock.unlock();
  if (worker_.joinable()) worker_.join();
  if (looker_.joinable()) looker_.join();
}

absl::Status EtcdStore::Save(std::span<const Record> records) {
  {
    const std::lock_guard lock(mutex_);
    for (const Record& record : records) {
      Known& known = known_[record.domain];
      if (!known.record.domain.empty() && !Newer(record, known.record)) continue;
      known.record = record;
      waiting_.insert(record.domain);
    }
  }
  wake_.notify_all();
  return file_.Save(records);
}

StoreHealth EtcdStore::health() const {
  const StoreHealth file = file_.health();
  const std::lock_guard lock(mutex_);
  StoreHealth health{error_.empty() && watching_, error_, 0};
  if (health.error.empty() && !watching_) health.error = "etcd is not watched yet";
  if (!file.healthy) absl::StrAppend(&health.error, health.error.empty() ? "" : "; ", file.error);
  health.unwritten = waiting_.size();
  return health;
}

std::vector<Member> EtcdStore::Members() const {
  const std::lock_guard lock(mutex_);
  std::vector<Member> members;
  for (const auto& [id, member] : members_) {
    if (id != options_.id) members.push_back(member);
  }
  return members;
}

void EtcdStore::Note(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  const std::string error = status.ok() ? "" : std::string(status.message());
  if (error.empty() != error_.empty()) {
    if (error.empty()) spdlog::info("boost: etcd answers");
    if (!error.empty() && !stop_) spdlog::error("boost: {}; the last state stays", error);
  }
  error_ = error;
}

void EtcdStore::Sleep(milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] { return stop_; });
}

// The lease, and what is to be written.
void EtcdStore::Work() {
  auto renewed = std::chrono::steady_clock::time_point();
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    absl::Status status;
    if (std::chrono::steady_clock::now() - renewed >= kRenewEvery) {
      status = Renew();
      if (status.ok()) renewed = std::chrono::steady_clock::now();
    }
    if (status.ok()) status = Flush();
    Note(status);
    if (!status.ok()) {
      watcher_.Abort();  // it may hang where nobody answers
      Sleep(kAgain);
    }
    lock.lock();
    if (!status.ok()) continue;
    wake_.wait_until(lock, renewed + kRenewEvery, [this] { return stop_ || !waiting_.empty(); });
  }
  --running_;
  wake_.notify_all();
}

absl::Status EtcdStore::Renew() {
  if (!lease_.empty()) {
    WB_ASSIGN_OR_RETURN(const Json answer, writer_.Call("/v3/lease/keepalive", {{"ID", lease_}}));
    const auto result = answer.find("result");
    if (result != answer.end() && NumberIn(*result, "TTL") > 0) return absl::OkStatus();
    lease_.clear();  // it ran out
  }
  WB_ASSIGN_OR_RETURN(const Json answer, writer_.Call("/v3/lease/grant", {{"TTL", kLeaseSeconds}}));
  const auto id = answer.find("ID");
  if (id == answer.end() || !id->is_string()) return absl::DataLossError("etcd gives no lease");
  const std::string lease = id->get<std::string>();
  const Json member = {{"address", options_.address}};
  WB_RETURN_IF_ERROR(writer_
                         .Call("/v3/kv/put", {{"key", ToBase64(boosters_ + options_.id)},
                                              {"value", ToBase64(member.dump())},
                                              {"lease", lease}})
                         .status());
  lease_ = lease;
  return absl::OkStatus();
}

absl::Status EtcdStore::Flush() {
  std::set<std::string> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = waiting_;
  }
  for (const std::string& name : waiting) WB_RETURN_IF_ERROR(Put(name));
  return absl::OkStatus();
}

// Compare and swap. Each turn writes what is known then: another's record may come by the watch
// meanwhile.
absl::Status EtcdStore::Put(const std::string& name) {
  const std::string key = ToBase64(domains_ + name);
  for (int turn = 0; turn < kMostTurns; ++turn) {
    Known written;
    {
      const std::lock_guard lock(mutex_);
      if (!waiting_.contains(name)) return absl::OkStatus();  // theirs is newer
      written = known_[name];
    }
    const std::string value = ToBase64(ToJson(written.record).dump());
    const Json body = {{"compare",
                        {{{"key", key},
                          {"target", "MOD"},
                          {"result", "EQUAL"},
                          {"mod_revision", std::to_string(written.revision)}}}},
                       {"success", {{{"requestPut", {{"key", key}, {"value", value}}}}}},
                       {"failure", {{{"requestRange", {{"key", key}}}}}}};
    WB_ASSIGN_OR_RETURN(const Json answer, writer_.Call("/v3/kv/txn", body));
    std::vector<Record> changed;
    {
      const std::lock_guard lock(mutex_);
      Known& known = known_[name];
      if (answer.value("succeeded", false)) {
        known.revision = std::max(known.revision, RevisionOf(answer));
        if (known.record == written.record) waiting_.erase(name);
        return absl::OkStatus();
      }
      const Json pairs =
          answer.value("/responses/0/response_range/kvs"_json_pointer, Json::array());
      known.revision = pairs.empty() ? 0 : NumberIn(pairs[0], "mod_revision");
      if (!pairs.empty()) TakePair(pairs[0], false, &changed);
    }
    Tell(changed);
  }
  return absl::AbortedError(absl::StrCat("etcd: ", name, " is changed all the time"));
}

void EtcdStore::Tell(const std::vector<Record>& changed) {
  if (changed.empty()) return;
  // The file follows; that it fails is told by health().
  file_.Save(changed).IgnoreError();
  if (!changed_) return;
  for (const Record& record : changed) changed_(record);
}

// With the mutex. A record that is deleted in etcd by hand is written again when it changes.
void EtcdStore::TakePair(const Json& pair, bool deleted, std::vector<Record>* changed) {
  const std::string key = BytesIn(pair, "key");
  if (absl::StartsWith(key, boosters_))
    return TakeMember(key.substr(boosters_.size()), pair, deleted);
  if (!absl::StartsWith(key, domains_)) return;
  const std::string name = key.substr(domains_.size());
  const int64_t revision = deleted ? 0 : NumberIn(pair, "mod_revision");
  if (deleted) {
    if (const auto at = known_.find(name); at != known_.end()) at->second.revision = 0;
    return;
  }
  absl::StatusOr<Record> record = RecordIn(pair);
  if (!record.ok() || record->domain != name) {
    spdlog::warn("boost: etcd has no record at {}", key);
    if (const auto at = known_.find(name); at != known_.end()) {
      at->second.revision = revision;
      waiting_.insert(name);
    }
    return;
  }
  Known& known = known_[name];
  known.revision = std::max(known.revision, revision);
  if (!known.record.domain.empty() && Newer(known.record, *record)) {
    waiting_.insert(name);
    return;
  }
  waiting_.erase(name);
  if (known.record == *record) return;
  known.record = *record;
  changed->push_back(*std::move(record));
}

void EtcdStore::TakeMember(const std::string& id, const Json& pair, bool deleted) {
  if (deleted) {
    members_.erase(id);
    return;
  }
  const Json member = Json::parse(BytesIn(pair, "value"), nullptr, false);
  if (!member.is_object() || !member.contains("address") || !member["address"].is_string()) return;
  members_[id] = {id, member["address"].get<std::string>()};
}

// All that is there.
absl::Status EtcdStore::Read() {
  const std::string prefix = options_.prefix + "/";
  WB_ASSIGN_OR_RETURN(const Json answer,
                      watcher_.Call("/v3/kv/range", {{"key", ToBase64(prefix)},
                                                     {"range_end", ToBase64(EndOf(prefix))}}));
  std::vector<Record> changed;
  {
    const std::lock_guard lock(mutex_);
    members_.clear();
    for (auto& [name, known] : known_) {
      known.revision = 0;
      waiting_.insert(name);  // unless it is there
    }
    for (const Json& pair : answer.value("kvs", Json::array())) TakePair(pair, false, &changed);
    seen_ = RevisionOf(answer);
  }
  wake_.notify_all();
  Tell(changed);
  return absl::OkStatus();
}

bool EtcdStore::TakeMessage(const Json& message) {
  std::vector<Record> changed;
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return false;
    if (message.value("canceled", false)) {  // what it should begin with is compacted away
      seen_ = 0;
      return false;
    }
    watching_ = true;
    for (const Json& event : message.value("events", Json::array())) {
      if (event.contains("kv")) {
        TakePair(event["kv"], event.value("type", "") == "DELETE", &changed);
        seen_ = std::max(seen_, NumberIn(event["kv"], "mod_revision"));
      }
    }
  }
  wake_.notify_all();
  Tell(changed);
  return true;
}

void EtcdStore::Look() {
  const std::string prefix = options_.prefix + "/";
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const int64_t seen = seen_;
    lock.unlock();
    absl::Status status;
    if (seen == 0) {
      status = Read();
    } else {
      const Json create = {{"key", ToBase64(prefix)},
                           {"range_end", ToBase64(EndOf(prefix))},
                           {"start_revision", std::to_string(seen + 1)}};
      status = watcher_.Stream("/v3/watch", {{"create_request", create}}, kIdle,
                               [this](const Json& message) { return TakeMessage(message); });
    }
    lock.lock();
    if (status.ok()) continue;
    watching_ = false;
    seen_ = 0;
    wake_.wait_for(lock, kAgain, [this] { return stop_; });
  }
  --running_;
  wake_.notify_all();
}

}  // namespace wb::boost
