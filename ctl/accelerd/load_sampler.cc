// SPDX-License-Identifier: Apache-2.0
#include "ctl/accelerd/load_sampler.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "webbooster/base/posix_error.h"

namespace wb::accelerd {
namespace {

// Of /proc/stat, proc(5). Time as a guest is part of user and nice.
enum CpuField { kUser, kNice, kSystem, kIdle, kIowait, kIrq, kSoftirq, kCpuFields };

// The next word of `text`, which is shortened; empty: there is none on this line.
std::string_view NextWord(std::string_view* text) {
  const size_t from = std::min(text->find_first_not_of(' '), text->size());
  text->remove_prefix(from);
  const size_t end = std::min(text->find_first_of(" \n"), text->size());
  const std::string_view word = text->substr(0, end);
  text->remove_prefix(end);
  return word;
}

absl::StatusOr<uint64_t> NextNumber(std::string_view* text, const char* file) {
  const std::string_view word = NextWord(text);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || word.empty() || end != word.data() + word.size())
    return absl::DataLossError(absl::StrCat(file, " is not as it is documented"));
  return number;
}

// A counter may go back: idle and iowait do, by a tick (proc(5)).
uint64_t Since(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

}  // namespace

absl::StatusOr<LoadSampler> LoadSampler::Open(Sources sources) {
  LoadSampler sampler(std::move(sources));
  const auto open_file = [&](const char* name, base::UniqueFd* fd) -> absl::Status {
    const std::string path = absl::StrCat(sampler.sources_.proc, name);
    *fd = base::UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return *fd ? absl::OkStatus() : base::PosixError("open", path);
  };
  WB_RETURN_IF_ERROR(open_file("/stat", &sampler.stat_));
  WB_RETURN_IF_ERROR(open_file("/net/netstat", &sampler.netstat_));
  WB_ASSIGN_OR_RETURN(sampler.times_, sampler.ReadTimes());
  WB_ASSIGN_OR_RETURN(sampler.last_.listen_overflows, sampler.ReadOverflows());
  return sampler;
}

absl::StatusOr<std::string_view> LoadSampler::Read(int fd, const char* name) {
  const ssize_t n = pread(fd, buffer_.data(), buffer_.size(), 0);
  if (n < 0) return base::PosixError("read", name);
  return std::string_view(buffer_.data(), static_cast<size_t>(n));
}

absl::StatusOr<LoadSampler::Times> LoadSampler::ReadTimes() {
  constexpr const char* kName = "/proc/stat";
  WB_ASSIGN_OR_RETURN(std::string_view text, Read(stat_.get(), kName));
  if (NextWord(&text) != "cpu") return absl::DataLossError("/proc/stat does not begin with cpu");
  std::array<uint64_t, kCpuFields> field;
  for (uint64_t& ticks : field) {
    WB_ASSIGN_OR_RETURN(ticks, NextNumber(&text, kName));
  }
  return Times{.busy = field[kUser] + field[kNice] + field[kSystem] + field[kIrq] + field[kSoftirq],
               .softirq = field[kSoftirq],
               .idle = field[kIdle] + field[kIowait]};
}

// A line of names and one of values.
absl::StatusOr<uint64_t> LoadSampler::ReadOverflows() {
  constexpr const char* kName = "/proc/net/netstat";
  WB_ASSIGN_OR_RETURN(std::string_view names, Read(netstat_.get(), kName));
  std::string_view values = names.substr(std::min(names.find('\n'), names.size()));
  if (!values.empty()) values.remove_prefix(1);
  if (NextWord(&names) != "TcpExt:" || NextWord(&values) != "TcpExt:")
    return absl::DataLossError("/proc/net/netstat does not begin with TcpExt:");
  while (true) {
    const std::string_view name = NextWord(&names);
    if (name.empty()) return absl::NotFoundError("/proc/net/netstat has no ListenOverflows");
    WB_ASSIGN_OR_RETURN(const uint64_t value, NextNumber(&values, kName));
    if (name == "ListenOverflows") return value;
  }
}

link::LoadReport LoadSampler::Sample() {
  if (const auto now = ReadTimes(); now.ok()) {
    const uint64_t busy = Since(times_.busy, now->busy);
    const uint64_t whole = busy + Since(times_.idle, now->idle);
    const uint64_t softirq = std::min(Since(times_.softirq, now->softirq), busy);
    if (whole != 0) {  // else too little time has passed
      last_.cpu = static_cast<uint16_t>(busy * 1000 / whole);
      last_.softirq = static_cast<uint16_t>(softirq * 1000 / whole);
      times_ = *now;
    }
  }
  if (const auto overflows = ReadOverflows(); overflows.ok()) last_.listen_overflows = *overflows;
  if (const auto queue = sources_.listen_queue(); queue.ok()) last_.listen_queue = *queue;
  last_.domains = sources_.domains();
  return last_;
}

}  // namespace wb::accelerd
