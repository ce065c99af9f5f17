// SPDX-License-Identifier: Apache-2.0
// Takes HTTP/1.1 replies with a Content-Length off a stream, verifying as much as a load generator
// can afford: the first reply to a target is checked whole (status, length, CRC-32 of the body); of
// the others the head must be the same byte for byte, Date aside, and bodies are only counted.
// Not thread-safe.
#ifndef BENCH_REPLY_READER_H_
#define BENCH_REPLY_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/load_target.h"

namespace wb::bench {

class ReplyReader {
 public:
  // The next reply is one to `target`, which must outlive it.
  void Expect(Target* target);
  // Bytes of the reply that need not be looked at now: the caller may drop as many unread.
  uint64_t Droppable() const { return in_body_ && target_->seen ? left_ : 0; }
  void Drop(uint64_t bytes) { left_ -= bytes; }
  // The most to read when what follows the reply's head is to be dropped; 0 if that does not pay.
  size_t HeadOnly() const;
  // Takes what belongs to the reply; returns how much that was.
  size_t Take(const char* data, size_t size);
  bool done() const { return in_body_ && left_ == 0; }
  // Verifies the end of a reply that is done, the first time its target was answered.
  void Finish();
  // What is wrong with the reply; empty if nothing is.
  const std::string& error() const { return error_; }

 private:
  size_t TakeHead(const char* data, size_t size);
  void JudgeFirstHead();
  void JudgeKnownHead();

  Target* target_ = nullptr;
  std::string head_;
  std::string error_;
  uint64_t left_ = 0;
  uint32_t crc_ = 0;
  bool in_body_ = false;
};

}  // namespace wb::bench

#endif  // BENCH_REPLY_READER_H_
