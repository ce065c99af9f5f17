// SPDX-License-Identifier: Apache-2.0
// The thread of the bulk sender: reads what XDP tells (abi/bulk.h), sends by the wires of the
// attached interfaces, and says that it lives. It polls while acknowledgments keep coming and
// sleeps otherwise. Thread-safe.
#ifndef WEBBOOSTER_CTL_ACCELERD_BULK_PATH_H_
#define WEBBOOSTER_CTL_ACCELERD_BULK_PATH_H_

#include <time.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "booster/bulk/sender.h"
#include "ctl/accelerd/bulk_objects.h"
#include "ctl/config/config.h"
#include "ctl/kern/programs.h"
#include "webbooster/abi/bulk.h"

struct ring_buffer;

namespace wb::accelerd {

// How an interface sends.
struct BulkWay {
  config::BulkPath path = config::BulkPath::kKernel;  // never kAuto
  std::string why;
};

class BulkPath final : private bulk::Peers {
 public:
  static absl::StatusOr<std::unique_ptr<BulkPath>> Start(const config::Bulk& config,
                                                         kern::Programs& programs,
                                                         BulkObjects& objects);
  ~BulkPath() override;

  // From now on the interface of the slot sends so. Where it cannot, the web server does.
  BulkWay Use(uint32_t if_slot, const std::string& interface, config::BulkPath path);
  // Takes no more; replies that are under way go on.
  void Leave(uint32_t if_slot);
  // The programs are off the interface.
  void Close(uint32_t if_slot);
  // Of connections that have a reply under way.
  absl::flat_hash_set<uint32_t> Slots() const;
  BulkWay Way(uint32_t if_slot) const;

  // Begins no more, waits for those under way, at most `patience`, and resets the rest.
  void Stop(std::chrono::milliseconds patience);

  bulk::SenderStats Stats() const;
  bulk::WireStats WireTotals() const;
  std::vector<bulk::Progress> List() const;
  double CpuSeconds() const;  // of the thread; 0 when it has ended

 private:
  BulkPath(const config::Bulk& config, kern::Programs& programs, BulkObjects& objects);

  bulk::Now Look(const bulk::ReplyId& reply) const override;
  void Sent(const bulk::ReplyId& reply, uint32_t end) override;
  void Destroy(const bulk::ReplyId& reply) override;

  void Run();
  void Sleep(uint64_t now, bool heard);
  static int OnRecord(void* self, void* data, size_t size);
  void OnEvent(const wb_bulk_event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Begin(const wb_conn_state& state, const bulk::ReplyId& reply, uint32_t acked)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const config::Bulk config_;
  kern::Programs& programs_;
  BulkObjects& objects_;
  ring_buffer* ring_ = nullptr;
  mutable absl::Mutex mu_;
  std::unique_ptr<bulk::Sender> sender_ ABSL_GUARDED_BY(mu_);
  // The way that an interface sends by, and what takes its place while it does not move.
  struct Port {
    BulkWay way;
    std::unique_ptr<bulk::Wire> wire;
    std::unique_ptr<bulk::Wire> spare;
    bool on_spare = false;
  };
  absl::Status Open(const std::string& interface, config::BulkPath path, Port& port);
  void SetPort(uint32_t if_slot, Port port) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LookAfterWires() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::array<Port, WB_IFS_MAX> ports_ ABSL_GUARDED_BY(mu_);
  bulk::WireStats before_ ABSL_GUARDED_BY(mu_);  // of wires that are gone
  uint64_t now_ ABSL_GUARDED_BY(mu_) = 0;        // of the round under way
  uint32_t records_ = 0;                         // read in it
  uint32_t quiet_ = 0;                           // rounds in a row that heard and sent nothing
  std::atomic<bool> stop_ = false;
  std::thread thread_;
  clockid_t clock_ = -1;  // of its run time
};

}  // namespace wb::accelerd

#endif  // WEBBOOSTER_CTL_ACCELERD_BULK_PATH_H_
