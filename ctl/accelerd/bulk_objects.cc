// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/bulk_objects.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

namespace wb::accelerd {
namespace {

constexpr uint64_t kReserveShare = 8;

std::string_view Body(const cache::TemplateSource& source) {
  return source.bytes.substr(source.header_len);
}

bool SameHeader(const BulkObject& object, const cache::TemplateSource& source) {
  std::string header(source.bytes.substr(0, source.header_len));
  if (header.size() != object.header.size() || source.date_off != object.date_off) return false;
  if (source.date_off != WB_NO_DATE)
    header.replace(source.date_off, WB_HTTP_DATE, object.header, object.date_off, WB_HTTP_DATE);
  return header == object.header;
}

}  // namespace

BulkDigest DigestOf(std::string_view body) {
  BulkDigest digest = {};
  unsigned len = 0;
  (void)EVP_Digest(body.data(), body.size(), digest.data(), &len, EVP_sha256(), nullptr);
  return digest;
}

std::string BulkObject::Text() const {
  std::string text = header;
  for (size_t at = 0; at < body->bytes();) {
    const auto piece = body->Piece(at, SIZE_MAX);
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    at += piece.size();
  }
  return text;
}

std::optional<bulk::Response> BulkObject::Reply(const wb_bulk& promised) const {
  const wb_date date = cache::DateText(promised.second);
  const std::string_view text(reinterpret_cast<const char*>(date.text), WB_HTTP_DATE);
  std::string head = header;
  size_t bytes = body->bytes();
  if (promised.bytes != 0) {
    if (!partial || promised.first >= bytes || promised.bytes > bytes - promised.first)
      return std::nullopt;
    bytes = promised.bytes;
    head = partial->Text(promised.first, bytes, text);
  } else if (date_off != WB_NO_DATE) {
    head.replace(date_off, WB_HTTP_DATE, text);
  }
  if (head.size() + bytes != promised.end - promised.start) return std::nullopt;
  return bulk::Response(std::move(head), body, promised.first, bytes);
}

std::shared_ptr<BulkObject> BulkObjects::Make(const cache::TemplateSource& source,
                                              const BulkDigest& digest) const {
  auto object = std::make_shared<BulkObject>();
  object->header = source.bytes.substr(0, source.header_len);
  object->date_off = source.date_off;
  object->digest = digest;
  object->body = store_->Put(Body(source));
  if (object->body == nullptr || object->Text() != source.bytes) return nullptr;
  return object;
}

void BulkObjects::Put(uint32_t slot, uint32_t gen, std::shared_ptr<BulkObject> object) {
  object->gen = gen;
  absl::MutexLock lock(&mu_);
  Entry entry;
  entry.object = std::move(object);
  retired_bytes_ += BytesOf(entry);
  entries_[slot] = std::move(entry);
}

void BulkObjects::Enter(uint32_t slot) {
  absl::MutexLock lock(&mu_);
  const auto it = entries_.find(slot);
  if (it == entries_.end() || it->second.place) return;
  it->second.place = queue_.insert(queue_.end(), slot);
  retired_bytes_ -= BytesOf(it->second);
}

void BulkObjects::Unlink(Entry& entry) {
  if (!entry.place) return;
  const auto next = queue_.erase(*entry.place);
  if (hand_ == *entry.place) hand_ = next;
  entry.place.reset();
  retired_bytes_ += BytesOf(entry);
}

void BulkObjects::Retire(uint32_t slot) {
  absl::MutexLock lock(&mu_);
  if (const auto it = entries_.find(slot); it != entries_.end()) Unlink(it->second);
}

void BulkObjects::Drop(uint32_t slot) {
  std::shared_ptr<const BulkObject> last;  // freed without the lock
  absl::MutexLock lock(&mu_);
  const auto it = entries_.find(slot);
  if (it == entries_.end()) return;
  Unlink(it->second);
  retired_bytes_ -= BytesOf(it->second);
  last = std::move(it->second.object);
  entries_.erase(it);
}

std::shared_ptr<const BulkObject> BulkObjects::Find(uint32_t slot, uint32_t gen) const {
  absl::MutexLock lock(&mu_);
  const auto it = entries_.find(slot);
  return it != entries_.end() && it->second.object->gen == gen ? it->second.object : nullptr;
}

bool BulkObjects::Same(uint32_t slot, uint32_t gen, const cache::TemplateSource& source,
                       const BulkDigest& digest) const {
  const auto object = Find(slot, gen);
  return object != nullptr && object->body->bytes() == Body(source).size() &&
         object->digest == digest && SameHeader(*object, source);
}

bool BulkObjects::SameRanges(uint32_t slot, uint32_t gen,
                             const std::optional<cache::PartialHeader>& partial) const {
  const auto object = Find(slot, gen);
  return object != nullptr && object->partial == partial;
}

std::optional<uint32_t> BulkObjects::TakeVictim(const std::function<uint64_t(uint32_t)>& hits) {
  absl::MutexLock lock(&mu_);
  // Twice around: the second time all have been seen, but for those hit meanwhile.
  for (size_t left = 2 * queue_.size() + 1; left > 0 && !queue_.empty(); --left) {
    if (hand_ == queue_.end()) hand_ = queue_.begin();
    const uint32_t slot = *hand_;
    Entry& entry = entries_[slot];
    const uint64_t now = hits(slot);
    if (now != entry.seen && left > 1) {
      entry.seen = now;
      ++hand_;
      continue;
    }
    Unlink(entry);
    return slot;
  }
  return std::nullopt;
}

bool BulkObjects::Short(uint64_t bytes) const {
  const uint64_t capacity = store_->capacity();
  absl::MutexLock lock(&mu_);
  const uint64_t used = store_->used();
  return used - std::min(used, retired_bytes_) + bytes > capacity - capacity / kReserveShare;
}

size_t BulkObjects::count() const {
  absl::MutexLock lock(&mu_);
  return entries_.size();
}

}  // namespace wb::accelerd
