// SPDX-License-Identifier: Apache-2.0
// Records in etcd, shared by all boosters, and in a file beside it for the time when etcd is away:
// then what was last known stays in force, Save() writes to the file, and the records go to etcd
// when it is back. A record in etcd is replaced only by one that is Newer (compare and swap of its
// revision there), so after a partition all come to the same.
//
// Keys: <prefix>/domains/<name>: a record (record_json.h); <prefix>/boosters/<id>: {"address": ...}
// under a lease that this booster renews. etcd's least lease is 2 s (measured with 3.4: TTL 1 is
// granted as 2), too long for a failover: PeerHealth tells who lives within 300 ms, Members() tells
// who there is.
#ifndef BOOSTER_BOOST_ETCD_STORE_H_
#define BOOSTER_BOOST_ETCD_STORE_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "booster/boost/etcd_client.h"
#include "booster/boost/file_store.h"
#include "booster/boost/store.h"

namespace wb::boost {

class EtcdStore final : public Store {
 public:
  struct Options {
    EtcdAccess access;
    std::string prefix = "/webbooster";
    std::string id;       // of this booster
    std::string address;  // of this booster, for the others
    std::string file;     // the FileStore's
  };
  explicit EtcdStore(Options options);
  ~EtcdStore() override { Stop(); }

  // Of the file and, if it answers in time, of etcd. Begins to watch. Errors: the file's.
  absl::StatusOr<Kept> Load() override;
  // Errors: the file's; etcd gets the records all the same.
  absl::Status Save(std::span<const Record> records) override;
  StoreHealth health() const override;
  std::string kind() const override { return "etcd"; }
  void Watch(std::function<void(const Record&)> changed) override { changed_ = std::move(changed); }
  void Stop() override;
  std::vector<Member> Members() const override;

 private:
  struct Known {
    Record record;         // the newest
    int64_t revision = 0;  // of the key in etcd; 0: it is not there
  };

  void Work();
  void Look();
  absl::Status Renew();
  absl::Status Flush();
  absl::Status Put(const std::string& name);
  absl::Status Read();
  void TakePair(const nlohmann::json& pair, bool deleted, std::vector<Record>* changed);
  void TakeMember(const std::string& id, const nlohmann::json& pair, bool deleted);
  void Tell(const std::vector<Record>& changed);
  bool TakeMessage(const nlohmann::json& message);
  void Note(const absl::Status& status);
  void Sleep(std::chrono::milliseconds time);

  const Options options_;
  const std::string domains_, boosters_;  // prefixes of keys
  FileStore file_;
  std::function<void(const Record&)> changed_;

  mutable std::mutex mutex_;  // of all below, but for the clients
  std::condition_variable wake_;
  bool stop_ = false;
  std::map<std::string, Known> known_;  // by domain
  std::set<std::string> waiting_;       // domains to be written
  std::map<std::string, Member> members_;
  std::string error_ = "not connected yet";
  bool watching_ = false;
  int64_t seen_ = 0;  // revision of etcd up to which all is known; 0: nothing
  int running_ = 0;   // threads

  EtcdClient writer_;   // of worker_
  EtcdClient watcher_;  // of looker_
  std::string lease_;   // of worker_; empty: none
  std::thread worker_, looker_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_ETCD_STORE_H_
