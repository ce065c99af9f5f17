// SPDX-License-Identifier: Apache-2.0
#include "bench/reply_reader.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace wb::bench {
namespace {

constexpr size_t kMaxHead = 8192;
constexpr size_t kDateBytes = 29;          // IMF-fixdate
constexpr uint64_t kWorthDropping = 4096;  // below, one call that copies is cheaper than two

constexpr char kDate[] = "\r\nDate: ";
constexpr char kLength[] = "\r\nContent-Length: ";

}  // namespace

void ReplyReader::Expect(Target* target) {
  target_ = target;
  head_.clear();
  left_ = 0;
  crc_ = 0;
  in_body_ = false;
}

size_t ReplyReader::HeadOnly() const {
  if (in_body_ || !target_->seen || *target_->length < kWorthDropping) return 0;
  return target_->head.size() - head_.size();
}

size_t ReplyReader::Take(const char* data, size_t size) {
  size_t used = 0;
  if (!in_body_) used = TakeHead(data, size);
  if (!in_body_ || !error_.empty()) return used;
  const size_t body = std::min<uint64_t>(left_, size - used);
  if (!target_->seen) {
    crc_ = crc32_z(crc_, reinterpret_cast<const uint8_t*>(data) + used, body);
  }
  left_ -= body;
  return used + body;
}

size_t ReplyReader::TakeHead(const char* data, size_t size) {
  const size_t before = head_.size();
  if (target_->seen) {
    const size_t used = std::min(size, target_->head.size() - before);
    head_.append(data, used);
    if (head_.size() == target_->head.size()) JudgeKnownHead();
    return used;
  }
  head_.append(data, std::min(size, kMaxHead));
  const size_t end = head_.find("\r\n\r\n");
  if (end == std::string::npos) {
    if (head_.size() >= kMaxHead) error_ = "head without end";
    return head_.size() - before;
  }
  head_.resize(end + 4);
  JudgeFirstHead();
  return head_.size() - before;
}

void ReplyReader::JudgeFirstHead() {
  const size_t at = head_.find(kLength);
  uint64_t length = 0;
  if (!head_.starts_with("HTTP/1.1 200 ")) {
    error_ = "not 200: " + head_.substr(0, head_.find('\r'));
  } else if (at == std::string::npos) {
    error_ = "no Content-Length";
  } else {
    const char* digits = head_.data() + at + sizeof(kLength) - 1;
    std::from_chars(digits, head_.data() + head_.size(), length);
    if (target_->length.value_or(length) != length) error_ = "wrong Content-Length";
  }
  left_ = length;
  target_->length = length;
  in_body_ = true;
}

void ReplyReader::JudgeKnownHead() {
  const size_t date = target_->date_at;
  const size_t rest = date == std::string::npos ? 0 : date + kDateBytes;
  if ((date != std::string::npos && std::memcmp(head_.data(), target_->head.data(), date) != 0) ||
      std::memcmp(head_.data() + rest, target_->head.data() + rest, head_.size() - rest) != 0) {
    error_ = "head differs from the first: " + head_.substr(0, 200);
  }
  left_ = *target_->length;
  in_body_ = true;
}

void ReplyReader::Finish() {
  if (target_->seen) return;
  if (target_->crc.value_or(crc_) != crc_) error_ = "wrong bytes";
  target_->crc = crc_;
  const size_t date = head_.find(kDate);
  target_->date_at = date == std::string::npos ? date : date + sizeof(kDate) - 1;
  target_->head = head_;
  target_->seen = true;
}

}  // namespace wb::bench
