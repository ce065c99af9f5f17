// SPDX-License-Identifier: Apache-2.0
// The interfaces that the data path is on: attach, detach with drain, adoption, and the thread that
// drives the retransmission timer and looks after the connection table. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_INTERFACES_H_
#define WEBBOOSTER_CTL_ACCELERD_INTERFACES_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "ctl/accelerd/content.h"
#include "ctl/api/service.h"
#include "ctl/kern/conn_table.h"
#include "ctl/kern/interface.h"

namespace wb::accelerd {

class Interfaces {
 public:
  Interfaces(kern::Programs& programs, Content& content);
  ~Interfaces();

  absl::StatusOr<kern::Attachment> Attach(const std::string& name, kern::AttachMode mode);
  // Stops answering on the interface, goes on translating until no spliced connection is left, then
  // takes the programs off. DeadlineExceeded: connections are left, the programs stay and translate
  // on.
  absl::StatusOr<api::DetachResult> Detach(const api::DetachRequest& request,
                                           const absl::Notification& stop);
  // Names of the interfaces that an earlier process of this instance left attached.
  std::vector<std::string> Adoptable() const;
  // Starts the timer thread.
  void Start();
  // Before the process ends: interfaces without spliced connections are detached, the others go on
  // translating without us. True: nothing is left attached.
  bool Leave();

  std::vector<api::InterfaceInfo> List() const;
  kern::ConnCounts Count() const;

 private:
  struct Entry {
    kern::Attachment attachment;
    std::string since;
  };
  void Run();
  absl::Status TakeOff(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t Spliced(uint32_t ifindex) const;

  kern::Programs& programs_;
  Content& content_;
  mutable absl::Mutex mu_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  mutable absl::Mutex table_mu_ ABSL_ACQUIRED_AFTER(mu_);
  kern::ConnTable table_ ABSL_GUARDED_BY(table_mu_);
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_INTERFACES_H_
