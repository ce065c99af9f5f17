// SPDX-License-Identifier: Apache-2.0
#include "booster/link/channel.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

template <typename Number>
void AppendNumber(Number number, std::string* out) {
  for (int shift = 8 * (static_cast<int>(sizeof(Number)) - 1); shift >= 0; shift -= 8)
    out->push_back(static_cast<char>(number >> shift));
}

uint32_t ReadNumber(std::span<const uint8_t> bytes) {
  uint32_t number = 0;
  for (const uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

void AppendHeader(FrameType type, size_t length, std::string* out) {
  AppendNumber(static_cast<uint16_t>(type), out);
  AppendNumber(static_cast<uint16_t>(length), out);
}

void AppendKey(const Key& key, std::string* out) {
  out->append(reinterpret_cast<const char*>(key.data()), key.size());
}

Key ReadKey(std::span<const uint8_t> bytes) {
  Key key;
  std::copy_n(bytes.begin(), key.size(), key.begin());
  return key;
}

absl::Status CheckEntries(const Frame& frame, size_t entry) {
  if (!frame.payload.empty() && frame.payload.size() % entry == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a frame of type ",
                                                 static_cast<uint16_t>(frame.type), " with ",
                                                 frame.payload.size(), " bytes"));
}

}  // namespace

void AppendFrame(FrameType type, std::string* out) { AppendHeader(type, 0, out); }

void AppendHello(std::string* out) {
  AppendHeader(FrameType::kHello, sizeof(kChannelVersion), out);
  AppendNumber(kChannelVersion, out);
}

void AppendPut(std::span<const Held> held, std::string* out) {
  while (!held.empty()) {
    const auto now = held.first(std::min(held.size(), kMaxHeld));
    AppendHeader(FrameType::kCataloguePut, now.size() * kHeldBytes, out);
    for (const Held& one : now) {
      AppendKey(one.key, out);
      AppendNumber(one.bytes, out);
    }
    held = held.subspan(now.size());
  }
}

void AppendRemove(std::span<const Key> keys, std::string* out) {
  while (!keys.empty()) {
    const auto now = keys.first(std::min(keys.size(), kMaxKeys));
    AppendHeader(FrameType::kCatalogueRemove, now.size() * sizeof(Key), out);
    for (const Key& key : now) AppendKey(key, out);
    keys = keys.subspan(now.size());
  }
}

absl::Status ReadHello(const Frame& frame) {
  if (frame.type != FrameType::kHello || frame.payload.size() < sizeof(kChannelVersion))
    return absl::InvalidArgumentError("the first frame is no hello");
  const uint32_t version = ReadNumber(frame.payload.first(sizeof(kChannelVersion)));
  if (version == kChannelVersion) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the peer speaks version ", version, ", not ", kChannelVersion));
}

absl::Status ReadPut(const Frame& frame, absl::FunctionRef<void(const Held&)> take) {
  WB_RETURN_IF_ERROR(CheckEntries(frame, kHeldBytes));
  for (size_t at = 0; at < frame.payload.size(); at += kHeldBytes)
    take({ReadKey(frame.payload.subspan(at, sizeof(Key))),
          ReadNumber(frame.payload.subspan(at + sizeof(Key), kHeldBytes - sizeof(Key)))});
  return absl::OkStatus();
}

absl::Status ReadRemove(const Frame& frame, absl::FunctionRef<void(const Key&)> take) {
  WB_RETURN_IF_ERROR(CheckEntries(frame, sizeof(Key)));
  for (size_t at = 0; at < frame.payload.size(); at += sizeof(Key))
    take(ReadKey(frame.payload.subspan(at, sizeof(Key))));
  return absl::OkStatus();
}

absl::Status FrameReader::Feed(std::span<const uint8_t> bytes,
                               absl::FunctionRef<absl::Status(const Frame&)> take) {
  const auto append = [&](size_t wanted) {
    const size_t n = std::min(wanted - part_.size(), bytes.size());
    part_.append(reinterpret_cast<const char*>(bytes.data()), n);
    bytes = bytes.subspan(n);
    return part_.size() == wanted;
  };
  while (true) {
    if (part_.size() < kFrameHeader && !append(kFrameHeader)) return absl::OkStatus();
    const std::span<const uint8_t> part(reinterpret_cast<const uint8_t*>(part_.data()),
                                        kFrameHeader);
    const auto type = static_cast<FrameType>(ReadNumber(part.first(2)));
    const size_t length = ReadNumber(part.subspan(2, 2));
    if (length > kMaxPayload)
      return absl::InvalidArgumentError(absl::StrCat("a frame of ", length, " bytes"));
    if (!append(kFrameHeader + length)) return absl::OkStatus();
    const std::span<const uint8_t> whole(reinterpret_cast<const uint8_t*>(part_.data()),
                                         part_.size());
    WB_RETURN_IF_ERROR(take({type, whole.subspan(kFrameHeader)}));
    part_.clear();
  }
}

}  // namespace wb::link
