// SPDX-License-Identifier: Apache-2.0
// Writes records to the store in a thread of its own: a slow disk does not hold up decisions.
// Thread-safe.
#ifndef BOOSTER_BOOST_SAVER_H_
#define BOOSTER_BOOST_SAVER_H_

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "booster/boost/store.h"

namespace wb::boost {

class Saver {
 public:
  explicit Saver(Store& store) : store_(store), thread_([this] { Run(); }) {}
  // Writes what waits, once, before it returns.
  ~Saver();

  // What the store refuses is tried again each second.
  void Add(Record record);

 private:
  void Run();
  bool Write(std::unique_lock<std::mutex>& lock);

  Store& store_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::map<std::string, Record> waiting_;  // by domain: the newest
  std::thread thread_;
};

}  // namespace wb::boost

#endif  // BOOSTER_BOOST_SAVER_H_
