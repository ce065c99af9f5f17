// SPDX-License-Identifier: Apache-2.0
// Whether a request may begin now: what a worker's shares between domains look like from here.
#ifndef BOOSTER_LINK_GATE_H_
#define BOOSTER_LINK_GATE_H_

#include <cstdint>
#include <memory>

namespace wb::link {

class Gate {
 public:
  // Whose turn has come.
  class Guest {
   public:
    virtual void OnTurn() = 0;

   protected:
    ~Guest() = default;
  };
  // A place in the line, until the end of its life or OnTurn().
  class Place {
   public:
    virtual ~Place() = default;
  };
  enum class Answer : uint8_t { kGo, kWait, kRefused };

  // `guest` outlives `place`, which is set when it has to wait.
  virtual Answer Enter(uint32_t domain, Guest& guest, std::unique_ptr<Place>& place) = 0;

 protected:
  ~Gate() = default;
};

}  // namespace wb::link

#endif  // BOOSTER_LINK_GATE_H_
