// SPDX-License-Identifier: Apache-2.0
#include "booster/tls/tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace wb::tls {
namespace {

// Exported: the magic, then of each key, newest first: name, cipher, mac, made (ns, host order).
constexpr std::string_view kMagic = "wb-tickets-1";
constexpr size_t kKeyBytes = 16 + 32 + 32 + 8;

std::shared_ptr<const TicketKeys::Key> NewKey(TicketKeys::Clock::time_point now) {
  auto key = std::make_shared<TicketKeys::Key>();
  if (RAND_bytes(key->name.data(), key->name.size()) != 1 ||
      RAND_priv_bytes(key->cipher.data(), key->cipher.size()) != 1 ||
      RAND_priv_bytes(key->mac.data(), key->mac.size()) != 1) {
    return nullptr;
  }
  key->made = now;
  return key;
}

template <typename T>
void Append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
void Take(std::string_view& in, T& value) {
  std::memcpy(&value, in.data(), sizeof(value));
  in.remove_prefix(sizeof(value));
}

}  // namespace

TicketKeys::Key::~Key() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

absl::StatusOr<std::shared_ptr<TicketKeys>> TicketKeys::Make(
    std::function<Clock::time_point()> now) {
  std::shared_ptr<TicketKeys> made(new TicketKeys(std::move(now)));
  auto key = NewKey(made->now_());
  if (key == nullptr) return absl::UnavailableError("no randomness for the keys of TLS tickets");
  made->keys_.push_back(std::move(key));
  return made;
}

void TicketKeys::RotateIfDue() {
  const Clock::time_point now = now_();
  if (now - keys_.front()->made < kPeriod) return;
  auto key = NewKey(now);
  if (key != nullptr) keys_.insert(keys_.begin(), std::move(key));
  // By age as well as by number: after a quiet day the keys at hand are old.
  while (keys_.size() > 1 &&
         (keys_.size() > kKept || now - keys_.back()->made >= kPeriod * kKept)) {
    keys_.pop_back();
  }
}

std::shared_ptr<const TicketKeys::Key> TicketKeys::Current() {
  const std::lock_guard lock(mutex_);
  RotateIfDue();
  return keys_.front();
}

std::shared_ptr<const TicketKeys::Key> TicketKeys::Find(const uint8_t* name) {
  const std::lock_guard lock(mutex_);
  RotateIfDue();
  for (const auto& key : keys_) {
    if (std::equal(key->name.begin(), key->name.end(), name)) return key;
  }
  return nullptr;
}

std::string TicketKeys::Export() {
  const std::lock_guard lock(mutex_);
  std::string out;
  out.reserve(kMagic.size() + kKept * kKeyBytes);  // no copies of secrets left by growing
  out = kMagic;
  for (const auto& key : keys_) {
    Append(out, key->name);
    Append(out, key->cipher);
    Append(out, key->mac);
    Append(out,
           static_cast<int64_t>(std::chrono::nanoseconds(key->made.time_since_epoch()).count()));
  }
  return out;
}

absl::Status TicketKeys::Import(std::string_view in) {
  const absl::Status bad = absl::InvalidArgumentError("not the keys of TLS tickets");
  if (!in.starts_with(kMagic)) return bad;
  in.remove_prefix(kMagic.size());
  if (in.empty() || in.size() % kKeyBytes != 0 || in.size() > kKept * kKeyBytes) return bad;
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = now_();
  std::vector<std::shared_ptr<const Key>> keys;
  while (!in.empty()) {
    auto key = std::make_shared<Key>();
    int64_t made_ns;
    Take(in, key->name);
    Take(in, key->cipher);
    Take(in, key->mac);
    Take(in, made_ns);
    key->made = Clock::time_point(std::chrono::nanoseconds(made_ns));
    if (made_ns < 0 || key->made > now || (!keys.empty() && key->made > keys.back()->made))
      return bad;
    if (now - key->made < kPeriod * kKept) keys.push_back(std::move(key));
  }
  if (keys.empty()) return absl::InvalidArgumentError("the keys of TLS tickets are too old");
  keys_ = std::move(keys);
  return absl::OkStatus();
}

}  // namespace wb::tls
