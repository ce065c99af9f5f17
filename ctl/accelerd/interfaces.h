// SPDX-License-Identifier: Apache-2.0
// The interfaces that the data path is on: attach, detach with drain, adoption, and the thread that
// drives the retransmission timer and looks after the connection table. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_INTERFACES_H_
#define WEBBOOSTER_CTL_ACCELERD_INTERFACES_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "ctl/accelerd/bulk_path.h"
#include "ctl/accelerd/content.h"
#include "ctl/api/service.h"
#include "ctl/kern/conn_table.h"
#include "ctl/kern/interface.h"

namespace wb::accelerd {

class Interfaces {
 public:
  // `bulk`: null where objects are not sent in bulk.
  Interfaces(kern::Programs& programs, Content& content, BulkPath* bulk);
  ~Interfaces();

  // Attaches; attaching again puts back what was lost, ends a drain, and is refused when another
  // mode than the one in force is asked for.
  // `shadow`: whether it judges and counts only, from now on; that of an interface that is attached
  // already changes at once.
  absl::StatusOr<kern::Attachment> Attach(const std::string& name, kern::AttachMode mode,
                                          bool shadow = false);
  // At the start: takes over what an earlier process of this instance left attached, then attaches
  // what is configured. What cannot be attached is logged and listed, and the rest goes on; an
  // error when that leaves nothing.
  absl::Status AttachAll(const std::vector<config::Interface>& configured);
  // After a change of the configuration: attaches what is configured and not attached. What cannot
  // be, and what is attached and not configured any more, is told, a line each; it changes nothing.
  std::vector<std::string> Follow(const std::vector<config::Interface>& before,
                                  const std::vector<config::Interface>& now);
  // Stops answering on the interface, goes on translating until no spliced connection is left, then
  // takes the programs off. DeadlineExceeded: connections are left, the programs stay and translate
  // on. The request must have a deadline.
  absl::StatusOr<api::DetachResult> Detach(const api::DetachRequest& request,
                                           const absl::Notification& stop);
  // Starts the timer thread.
  void Start();
  // Before the process ends: everything stays as it is, for the next one. True: nothing is
  // attached, so that there is nothing to keep.
  bool Remain();
  // Before the process ends: interfaces without spliced connections are detached, the others go on
  // translating without us. True: nothing is left attached, by an earlier process neither.
  bool Leave();

  std::vector<api::InterfaceInfo> List() const;
  kern::ConnCounts Count() const;
  // Of each of our ports, at most some seconds old; without waiting.
  std::map<uint16_t, uint32_t> EstablishedByPort() const;

 private:
  struct Entry {
    kern::Attachment attachment;
    std::string since;
    bool draining = false;
  };
  struct Missing {
    kern::AttachMode mode;
    std::string why;
  };
  void Run();
  absl::StatusOr<uint32_t> ChooseSlot(const std::string& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // `shadow` none: that of the earlier process.
  absl::StatusOr<kern::Attachment> AttachLocked(const std::string& name, kern::AttachMode mode,
                                                std::optional<bool> shadow)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendBulk(const kern::Attachment& attachment, config::BulkPath path);
  absl::Status TakeOff(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t Spliced(uint32_t ifindex) const;

  kern::Programs& programs_;
  Content& content_;
  BulkPath* const bulk_;
  mutable absl::Mutex mu_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Missing> missing_ ABSL_GUARDED_BY(mu_);  // configured, not attached
  mutable absl::Mutex table_mu_ ABSL_ACQUIRED_AFTER(mu_);
  mutable kern::ConnTable table_ ABSL_GUARDED_BY(table_mu_);
  mutable absl::Mutex established_mu_ ABSL_ACQUIRED_AFTER(table_mu_);
  std::map<uint16_t, uint32_t> established_ ABSL_GUARDED_BY(established_mu_);
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_INTERFACES_H_
