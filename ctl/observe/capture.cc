// SPDX-License-Identifier: Apache-2.0
#include "ctl/observe/capture.h"

#include <algorithm>
#include <cstring>

namespace wb::observe {
namespace {

// Blocks and options of pcapng.
constexpr uint32_t kSection = 0x0a0d0d0a;
constexpr uint32_t kByteOrder = 0x1a2b3c4d;
constexpr uint32_t kInterface = 1;
constexpr uint32_t kStatistics = 5;
constexpr uint32_t kPacket = 6;
constexpr uint16_t kOptionEnd = 0;
constexpr uint16_t kName = 2;         // of an interface
constexpr uint16_t kResolution = 9;   // of an interface
constexpr uint16_t kPacketFlags = 2;  // of a packet
constexpr uint16_t kReceived = 4;     // of statistics
constexpr uint16_t kDropped = 5;      // of statistics
constexpr uint32_t kPcapNanoseconds = 0xa1b23c4d;
constexpr uint16_t kEthernet = 1;
constexpr uint64_t kNs = 1000000000;
constexpr uint32_t kMaxBlock = 1 << 20;
constexpr size_t kBlockFrame = 12;  // type, length, length again

template <typename T>
void Put(T value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
T Get(std::string_view from, size_t at) {
  T value = {};
  if (from.size() >= sizeof(T) && at <= from.size() - sizeof(T))
    memcpy(&value, from.data() + at, sizeof(T));
  return value;
}

void PutPadded(std::string_view bytes, std::string* out) {
  out->append(bytes);
  out->append((4 - bytes.size() % 4) % 4, '\0');
}

void PutOption(uint16_t code, std::string_view value, std::string* out) {
  Put(code, out);
  Put(static_cast<uint16_t>(value.size()), out);
  PutPadded(value, out);
}

template <typename T>
void PutOption(uint16_t code, T value, std::string* out) {
  PutOption(code, std::string_view(reinterpret_cast<const char*>(&value), sizeof(value)), out);
}

void PutTime(uint64_t ns, std::string* out) {
  Put(static_cast<uint32_t>(ns >> 32), out);
  Put(static_cast<uint32_t>(ns), out);
}

uint64_t GetTime(std::string_view from, size_t at) {
  return static_cast<uint64_t>(Get<uint32_t>(from, at)) << 32 | Get<uint32_t>(from, at + 4);
}

std::string Frame(uint32_t type, const std::string& body) {
  std::string block;
  const auto length = static_cast<uint32_t>(body.size() + kBlockFrame);
  Put(type, &block);
  Put(length, &block);
  block += body;
  Put(length, &block);
  return block;
}

// The value of an option, or nothing.
std::string_view FindOption(std::string_view options, uint16_t code) {
  while (options.size() >= 4) {
    const auto found = Get<uint16_t>(options, 0), length = Get<uint16_t>(options, 2);
    options.remove_prefix(4);
    if (found == kOptionEnd || length > options.size()) return {};
    if (found == code) return options.substr(0, length);
    options.remove_prefix(std::min<size_t>(options.size(), (length + 3u) / 4 * 4));
  }
  return {};
}

}  // namespace

std::string SectionHeader() {
  std::string body;
  Put(kByteOrder, &body);
  Put(uint16_t{1}, &body);
  Put(uint16_t{0}, &body);
  Put(~uint64_t{0}, &body);  // of unknown length
  return Frame(kSection, body);
}

std::string InterfaceBlock(std::string_view name, uint32_t snaplen) {
  std::string body;
  Put(kEthernet, &body);
  Put(uint16_t{0}, &body);
  Put(snaplen, &body);
  PutOption(kName, name, &body);
  PutOption(kResolution, uint8_t{9}, &body);  // 10^-9 s
  PutOption(kOptionEnd, std::string_view(), &body);
  return Frame(kInterface, body);
}

std::string PacketBlock(const CapturedPacket& packet) {
  std::string body;
  Put(packet.interface, &body);
  PutTime(packet.unix_ns, &body);
  Put(static_cast<uint32_t>(packet.data.size()), &body);
  Put(packet.frame_bytes, &body);
  PutPadded(packet.data, &body);
  PutOption(kPacketFlags, static_cast<uint32_t>(packet.direction), &body);
  PutOption(kOptionEnd, std::string_view(), &body);
  return Frame(kPacket, body);
}

std::string StatisticsBlock(uint64_t unix_ns, const CaptureCounts& counts) {
  std::string body;
  Put(uint32_t{0}, &body);
  PutTime(unix_ns, &body);
  PutOption(kReceived, counts.received, &body);
  PutOption(kDropped, counts.lost, &body);
  PutOption(kOptionEnd, std::string_view(), &body);
  return Frame(kStatistics, body);
}

absl::Status CaptureReader::Read(std::string_view bytes) {
  rest_ += bytes;
  std::string_view left = rest_;
  while (left.size() >= kBlockFrame) {
    const auto type = Get<uint32_t>(left, 0), length = Get<uint32_t>(left, 4);
    if (length < kBlockFrame || length % 4 != 0 || length > kMaxBlock ||
        (!seen_ && type != kSection))
      return absl::DataLossError("what accelerd sends is no capture");
    if (left.size() < length) break;
    if (absl::Status read = Block(type, left.substr(8, length - kBlockFrame)); !read.ok())
      return read;
    seen_ = true;
    left.remove_prefix(length);
  }
  rest_.erase(0, rest_.size() - left.size());
  return absl::OkStatus();
}

absl::Status CaptureReader::Block(uint32_t type, std::string_view body) {
  if (type == kSection && Get<uint32_t>(body, 0) != kByteOrder)
    return absl::DataLossError("the capture is of a host with another byte order");
  if (type == kInterface && body.size() >= 8)
    interfaces_.emplace_back(FindOption(body.substr(8), kName));
  if (type == kPacket) PacketIn(body);
  if (type == kStatistics && body.size() >= 12) {
    counts_.received = Get<uint64_t>(FindOption(body.substr(12), kReceived), 0);
    counts_.lost = Get<uint64_t>(FindOption(body.substr(12), kDropped), 0);
  }
  return absl::OkStatus();
}

void CaptureReader::PacketIn(std::string_view body) {
  constexpr size_t kHead = 20;
  const auto captured = Get<uint32_t>(body, 12);
  if (body.size() < kHead || captured > body.size() - kHead) return;
  CapturedPacket packet;
  packet.interface = Get<uint32_t>(body, 0);
  packet.unix_ns = GetTime(body, 4);
  packet.frame_bytes = Get<uint32_t>(body, 16);
  packet.data = body.substr(kHead, captured);
  const size_t padded = std::min<size_t>(body.size(), kHead + (captured + size_t{3}) / 4 * 4);
  const auto flags = Get<uint32_t>(FindOption(body.substr(padded), kPacketFlags), 0) & 3;
  packet.direction = flags == 3 ? Direction::kUnknown : static_cast<Direction>(flags);
  on_packet_(packet);
}

const std::string& CaptureReader::interface_name(uint32_t index) const {
  static const std::string kNone = "?";
  return index < interfaces_.size() ? interfaces_[index] : kNone;
}

std::string PcapHeader(uint32_t snaplen) {
  std::string out;
  Put(kPcapNanoseconds, &out);
  Put(uint16_t{2}, &out);
  Put(uint16_t{4}, &out);
  Put(uint64_t{0}, &out);
  Put(snaplen, &out);
  Put(uint32_t{kEthernet}, &out);
  return out;
}

std::string PcapRecord(const CapturedPacket& packet) {
  std::string out;
  Put(static_cast<uint32_t>(packet.unix_ns / kNs), &out);
  Put(static_cast<uint32_t>(packet.unix_ns % kNs), &out);
  Put(static_cast<uint32_t>(packet.data.size()), &out);
  Put(packet.frame_bytes, &out);
  out += packet.data;
  return out;
}

}  // namespace wb::observe
