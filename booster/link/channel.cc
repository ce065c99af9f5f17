// SPDX-License-Identifier: Apache-2.0
#include "booster/link/channel.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::link {
namespace {

template <typename Number>
void AppendNumber(Number number, std::string* out) {
  for (int shift = 8 * (static_cast<int>(sizeof(Number)) - 1); shift >= 0; shift -= 8)
    out->push_back(static_cast<char>(number >> shift));
}

template <typename Number = uint32_t>
Number ReadNumber(std::span<const uint8_t> bytes) {
  Number number = 0;
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

absl::Status WrongLength(const Frame& frame) {
  return absl::InvalidArgumentError(absl::StrCat("a frame of type ",
                                                 static_cast<uint16_t>(frame.type), " with ",
                                                 frame.payload.size(), " bytes"));
}

absl::Status CheckEntries(const Frame& frame, size_t entry) {
  if (!frame.payload.empty() && frame.payload.size() % entry == 0) return absl::OkStatus();
  return WrongLength(frame);
}

constexpr size_t kLoadHead = 16;
constexpr size_t kDomainLoad = 12;  // behind the name
constexpr size_t kSerial = 8;
constexpr size_t kNameMax = 255;
constexpr uint16_t kWhole = 1000;  // permille

// What names of domains are made of, so that they can be logged.
bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; });
}

void AppendName(std::string_view name, std::string* out) {
  out->push_back(static_cast<char>(name.size()));
  out->append(name);
}

// Entries of: length of the name (1), name, `tail` bytes. Names are not repeated.
absl::Status ReadNamed(
    const Frame& frame, size_t head, size_t tail,
    absl::FunctionRef<absl::Status(std::string_view name, std::span<const uint8_t> rest)> take) {
  std::set<std::string_view> seen;
  std::span<const uint8_t> left = frame.payload.subspan(head);
  while (!left.empty()) {
    const size_t length = left[0];
    if (left.size() < 1 + length + tail) return WrongLength(frame);
    const std::string_view name(reinterpret_cast<const char*>(left.data()) + 1, length);
    if (!IsName(name)) return absl::InvalidArgumentError("what is no name of a domain");
    if (!seen.insert(name).second) return absl::InvalidArgumentError("a domain is told twice");
    WB_RETURN_IF_ERROR(take(name, left.subspan(1 + length, tail)));
    left = left.subspan(1 + length + tail);
  }
  return absl::OkStatus();
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

void AppendLoad(const LoadReport& report, std::string* out) {
  std::string payload;
  AppendNumber(report.cpu, &payload);
  AppendNumber(report.softirq, &payload);
  AppendNumber(report.listen_queue, &payload);
  AppendNumber(uint16_t{0}, &payload);
  AppendNumber(report.listen_overflows, &payload);
  for (const auto& [name, load] : report.domains) {
    if (!IsName(name) || payload.size() + 1 + name.size() + kDomainLoad > kMaxPayload) continue;
    AppendName(name, &payload);
    AppendNumber(load.requests, &payload);
    AppendNumber(load.connections, &payload);
  }
  AppendHeader(FrameType::kLoad, payload.size(), out);
  *out += payload;
}

void AppendBounced(uint64_t serial, std::string* out) {
  AppendHeader(FrameType::kBounced, kSerial, out);
  AppendNumber(serial, out);
}

absl::Status AppendBounce(uint64_t serial, std::span<const BounceEntry> entries, std::string* out) {
  std::string payload;
  std::set<std::string_view> seen;
  AppendNumber(serial, &payload);
  for (const BounceEntry& entry : entries) {
    if (!IsName(entry.domain) || !seen.insert(entry.domain).second)
      return absl::InvalidArgumentError("a bounce table whose domains are no names, or not unique");
    AppendName(entry.domain, &payload);
    AppendNumber(static_cast<uint8_t>(entry.mode), &payload);
  }
  if (payload.size() > kMaxPayload)
    return absl::InvalidArgumentError("a bounce table of too many domains");
  AppendHeader(FrameType::kBounce, payload.size(), out);
  *out += payload;
  return absl::OkStatus();
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

absl::StatusOr<LoadReport> ReadLoad(const Frame& frame) {
  if (frame.payload.size() < kLoadHead) return WrongLength(frame);
  const auto number = [&](size_t at) {
    return ReadNumber<uint16_t>(frame.payload.subspan(at, sizeof(uint16_t)));
  };
  LoadReport report{.cpu = number(0), .softirq = number(2), .listen_queue = number(4)};
  if (report.cpu > kWhole || report.softirq > report.cpu || report.listen_queue > kWhole ||
      number(6) != 0)
    return absl::InvalidArgumentError("a load beyond the whole");
  report.listen_overflows = ReadNumber<uint64_t>(frame.payload.subspan(8, 8));
  WB_RETURN_IF_ERROR(ReadNamed(
      frame, kLoadHead, kDomainLoad, [&](std::string_view name, std::span<const uint8_t> rest) {
        report.domains[std::string(name)] = {ReadNumber<uint64_t>(rest.first(8)),
                                             ReadNumber(rest.subspan(8, 4))};
        return absl::OkStatus();
      }));
  return report;
}

absl::StatusOr<uint64_t> ReadBounced(const Frame& frame) {
  if (frame.payload.size() != kSerial) return WrongLength(frame);
  return ReadNumber<uint64_t>(frame.payload);
}

absl::StatusOr<BounceTable> ReadBounce(const Frame& frame) {
  if (frame.payload.size() < kSerial) return WrongLength(frame);
  BounceTable table{ReadNumber<uint64_t>(frame.payload.first(kSerial)), {}};
  WB_RETURN_IF_ERROR(ReadNamed(
      frame, kSerial, 1, [&](std::string_view name, std::span<const uint8_t> rest) -> absl::Status {
        if (rest[0] > static_cast<uint8_t>(BounceMode::kDrained))
          return absl::InvalidArgumentError("a mode of bouncing that is none");
        table.entries.push_back({std::string(name), static_cast<BounceMode>(rest[0])});
        return absl::OkStatus();
      }));
  return table;
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
