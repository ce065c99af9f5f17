// SPDX-License-Identifier: Apache-2.0
// One epoll loop that keeps connections busy with requests, and measures a window of them together
// with the run time of given processes. Closed loop: a connection has one batch under way. Stops at
// the first thing that is wrong. Not thread-safe.
#ifndef BENCH_LOAD_DRIVER_H_
#define BENCH_LOAD_DRIVER_H_

#include <netinet/in.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/load_target.h"
#include "bench/reply_reader.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bench {

struct LoadOptions {
  Mode mode = Mode::kKeep;
  sockaddr_storage address = {};
  socklen_t address_bytes = 0;
  int connections = 1;
  int batch = 1;          // kKeyed: requests to a write
  double warm_s = 0.2;    // before the window
  double window_s = 1.5;  // of the window
  uint64_t requests = 0;  // if not 0, the window is so many requests, window_s at most
  std::vector<int> cpu_pids;
};

struct LoadResult {
  std::string error;      // empty if all went well
  uint64_t requests = 0;  // answered in the window
  uint64_t answered = 0;  // answered at all, before the window too
  uint64_t body_bytes = 0;
  double seconds = 0;
  std::map<std::string, int64_t> cpu_ns;
};

class LoadDriver {
 public:
  LoadDriver(const LoadOptions& options, std::vector<Target>* targets);
  ~LoadDriver();
  LoadDriver(const LoadDriver&) = delete;
  LoadDriver& operator=(const LoadDriver&) = delete;

  LoadResult Run();

 private:
  struct Client;
  enum class Phase { kWarm, kWindow, kOver };

  void Connect(Client* client);
  void Ask(Client* client);
  void Handle(Client* client, uint32_t events);
  bool ReadOnce(Client* client);
  void ReplyDone(Client* client);
  void AskAgain();
  void Ended(Client* client);
  void OpenWindow();
  void Advance();
  bool Exhausted() const;
  void Fail(const std::string& what);

  LoadOptions options_;
  std::vector<Target>* targets_;
  base::UniqueFd epoll_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;  // connections whose replies are all there
  std::vector<char> buffer_;
  Phase phase_ = Phase::kWarm;
  size_t next_target_ = 0;
  uint64_t asked_ = 0;
  double phase_start_ = 0;
  double progress_ = 0;
  std::map<std::string, int64_t> cpu_before_;
  LoadResult result_;
};

}  // namespace wb::bench

#endif  // BENCH_LOAD_DRIVER_H_
