// SPDX-License-Identifier: Apache-2.0
// A veth pair in a namespace of the test's own, whatever a Wire puts on one end of it, and what
// arrives at the other: compared byte by byte, both checksums recomputed. Needs root.
#ifndef TESTS_UNIT_BULK_WIRE_FIXTURE_H_
#define TESTS_UNIT_BULK_WIRE_FIXTURE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "booster/bulk/response.h"
#include "booster/bulk/store.h"
#include "booster/bulk/wire.h"
#include "tests/support/packet.h"
#include "webbooster/base/unique_fd.h"

namespace wb::bulk {

// `NAME0` and `NAME1`, up, without offloads.
class VethPair {
 public:
  explicit VethPair(const std::string& name, int queues = 1);
  uint32_t ifindex() const;
  const std::string& local() const { return local_; }
  const std::string& peer() const { return peer_; }
  void SetQueues(int queues) const;  // of the local end

 private:
  const std::string local_;
  const std::string peer_;
};

// Frames that arrive at an interface from the MAC address of TestEnds(); whatever the kernel itself
// sends is none of them.
class Receiver {
 public:
  explicit Receiver(const std::string& interface);
  // Waits for so many, then takes what is there besides.
  std::vector<support::Bytes> Take(size_t at_least);

 private:
  base::UniqueFd fd_;
};

Ends TestEnds(bool v6, uint16_t remote_port);

// An object, a header before it, and both as the connection carries them.
struct Reply {
  // In blocks that never touch each other if `scattered` are the store's gaps.
  Reply(Store& store, size_t header_bytes, size_t first, size_t bytes);
  std::string carried;
  std::unique_ptr<Response> response;
};

// Every second block of it is taken.
std::vector<std::shared_ptr<const Object>> Scatter(Store& store);

// Gives the wire segments as fast as it has room; until nothing waits. `waiting`: of the wire.
void SendAll(Wire& wire, Segments segments, const std::function<bool()>& waiting);

// All of them are segments of `segments` with the right bytes; each offset once unless `missing`
// are allowed to be.
void ExpectCarried(const std::vector<support::Bytes>& frames, const Segments& segments,
                   std::string_view carried, size_t missing = 0);

}  // namespace wb::bulk

#endif  // TESTS_UNIT_BULK_WIRE_FIXTURE_H_
