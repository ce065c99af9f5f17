// SPDX-License-Identifier: Apache-2.0
#include "ctl/doctor/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace wb::doctor {
namespace {

// A command structure followed by its variable part, aligned for 64-bit fields.
template <typename T>
class Buffer {
 public:
  explicit Buffer(size_t tail_bytes) : words_((sizeof(T) + tail_bytes + 7) / 8) {}
  T* get() { return reinterpret_cast<T*>(words_.data()); }
  T* operator->() { return get(); }

 private:
  std::vector<uint64_t> words_;
};

std::string FromField(const char* field, size_t size) {
  return std::string(field, strnlen(field, size));
}

}  // namespace

Ethtool::Ethtool(const std::string& interface)
    : interface_(interface), fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

Ethtool::~Ethtool() {
  if (fd_ >= 0) close(fd_);
}

bool Ethtool::Call(void* command) const {
  ifreq request = {};
  interface_.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(command);
  return fd_ >= 0 && ioctl(fd_, SIOCETHTOOL, &request) == 0;
}

std::string Ethtool::Driver() const {
  ethtool_drvinfo info = {};
  info.cmd = ETHTOOL_GDRVINFO;
  return Call(&info) ? FromField(info.driver, sizeof(info.driver)) : "";
}

std::optional<Ethtool::Channels> Ethtool::GetChannels() const {
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (!Call(&channels)) return std::nullopt;
  return Channels{channels.rx_count, channels.tx_count, channels.combined_count, channels.max_rx,
                  channels.max_combined};
}

std::vector<std::string> Ethtool::Strings(uint32_t set) const {
  Buffer<ethtool_sset_info> size(sizeof(uint32_t));
  size->cmd = ETHTOOL_GSSET_INFO;
  size->sset_mask = 1ull << set;
  if (!Call(size.get()) || size->sset_mask == 0) return {};
  const uint32_t count = size->data[0];
  Buffer<ethtool_gstrings> strings(size_t{count} * ETH_GSTRING_LEN);
  strings->cmd = ETHTOOL_GSTRINGS;
  strings->string_set = set;
  strings->len = count;
  if (!Call(strings.get())) return {};
  std::vector<std::string> names;
  // The device may have fewer by now than when it was asked, never more than there is room for.
  for (uint32_t i = 0; i < std::min(count, strings->len); ++i) {
    names.push_back(
        FromField(reinterpret_cast<char*>(strings->data) + i * ETH_GSTRING_LEN, ETH_GSTRING_LEN));
  }
  return names;
}

Features Ethtool::ActiveFeatures() const {
  const std::vector<std::string> names = Strings(ETH_SS_FEATURES);
  const size_t blocks = (names.size() + 31) / 32;
  Buffer<ethtool_gfeatures> features(blocks * sizeof(ethtool_get_features_block));
  features->cmd = ETHTOOL_GFEATURES;
  features->size = static_cast<uint32_t>(blocks);
  if (names.empty() || !Call(features.get())) return {};
  Features active;
  for (size_t i = 0; i < names.size(); ++i) {
    active[names[i]] = (features->features[i / 32].active >> (i % 32) & 1) != 0;
  }
  return active;
}

std::optional<uint64_t> Ethtool::Statistic(const std::string& name) const {
  const std::vector<std::string> names = Strings(ETH_SS_STATS);
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) return std::nullopt;
  Buffer<ethtool_stats> stats(names.size() * sizeof(uint64_t));
  stats->cmd = ETHTOOL_GSTATS;
  stats->n_stats = static_cast<uint32_t>(names.size());
  if (!Call(stats.get())) return std::nullopt;
  return stats->data[it - names.begin()];
}

}  // namespace wb::doctor
