// SPDX-License-Identifier: Apache-2.0
#include "booster/link/catalogue_source.h"

#include <algorithm>

namespace wb::link {

void CatalogueSource::Set(const Key& key, uint32_t slot, uint32_t bytes, uint64_t now) {
  const auto [it, is_new] = places_.try_emplace(key, 0);
  if (is_new) {
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(entries_.size()));
      entries_.emplace_back();
    }
    it->second = free_.back();
    free_.pop_back();
  }
  Entry& entry = entries_[it->second];
  // Of another size it is to be told anew.
  const bool resized = entry.told && entry.held.bytes != bytes;
  if (resized) {
    entry.told = false;
    told_--;
  }
  entry.held = {key, bytes};
  entry.slot = slot;
  Judge(entry, answered_until_(slot), now);
  if (resized && !entry.told) Note(key, 0);
}

void CatalogueSource::Drop(const Key& key) {
  const auto it = places_.find(key);
  if (it == places_.end()) return;
  Entry& entry = entries_[it->second];
  if (entry.told) {
    told_--;
    Note(key, 0);
  }
  entry = {};
  free_.push_back(it->second);
  places_.erase(it);
}

// Tells the entry, or that it is no more, if that is news.
void CatalogueSource::Judge(Entry& entry, uint64_t until, uint64_t now) {
  const bool answered = until > now;
  if (answered) next_end_ = std::min(next_end_, until);
  if (answered == entry.told) return;
  entry.told = answered;
  told_ += answered ? 1 : -1;
  Note(entry.held.key, answered ? entry.held.bytes : 0);
}

void CatalogueSource::Recheck(uint64_t now) {
  next_end_ = UINT64_MAX;
  uint32_t slot = 0;  // of the entry before: the classes of an object often share one
  uint64_t until = 0;
  for (Entry& entry : entries_) {
    if (entry.slot == 0) continue;
    if (entry.slot != slot) until = answered_until_(slot = entry.slot);
    Judge(entry, until, now);
  }
}

void CatalogueSource::Note(const Key& key, uint32_t bytes) {
  log_[logged_++ % log_.size()] = {key, bytes};
}

bool CatalogueSource::Behind(const Reader& reader) const {
  return reader.state != Reader::State::kFollow || reader.read != logged_;
}

void CatalogueSource::Read(Reader* reader, size_t enough, std::string* out) {
  while (Behind(*reader) && out->size() < enough) {
    if (reader->state == Reader::State::kBegin || logged_ - reader->read > log_.size()) {
      AppendFrame(FrameType::kCatalogueBegin, out);
      *reader = {};
      reader->state = Reader::State::kWalk;
      reader->read = logged_;
      begun_++;
    }
    if (reader->state == Reader::State::kWalk)
      Walk(reader, out);
    else
      Follow(reader, enough, out);
  }
}

// A frame of it.
void CatalogueSource::Walk(Reader* reader, std::string* out) {
  std::vector<Held> held;
  for (; reader->walked < entries_.size() && held.size() < kMaxHeld; reader->walked++)
    if (entries_[reader->walked].told) held.push_back(entries_[reader->walked].held);
  AppendPut(held, out);
  if (reader->walked < entries_.size()) return;
  AppendFrame(FrameType::kCatalogueEnd, out);
  reader->state = Reader::State::kFollow;
}

// In the order of the changes: a key may be put and removed several times.
void CatalogueSource::Follow(Reader* reader, size_t enough, std::string* out) {
  std::vector<Held> put;
  std::vector<Key> removed;
  while (reader->read != logged_ && out->size() < enough) {
    put.clear();
    removed.clear();
    for (; reader->read != logged_; reader->read++) {
      const Held& change = log_[reader->read % log_.size()];
      const bool is_put = change.bytes != 0;
      if (is_put ? !removed.empty() || put.size() == kMaxHeld
                 : !put.empty() || removed.size() == kMaxKeys)
        break;
      if (is_put)
        put.push_back(change);
      else
        removed.push_back(change.key);
    }
    AppendPut(put, out);
    AppendRemove(removed, out);
  }
}

}  // namespace wb::link
