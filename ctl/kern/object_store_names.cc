// SPDX-License-Identifier: Apache-2.0
// The part of ObjectStore that is configuration: which hosts, encodings, boosters and ports there
// are. See object_store.h.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <endian.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/kern/object_store.h"
#include "webbooster.skel.h"
#include "webbooster/base/posix_error.h"

namespace wb::kern {
namespace {

// Zero-padded text.
template <size_t N>
std::string Unpad(const uint8_t (&bytes)[N]) {
  const auto* text = reinterpret_cast<const char*>(bytes);
  return {text, strnlen(text, N)};
}

template <typename Key>
std::vector<Key> Keys(bpf_map* map) {
  std::vector<Key> keys;
  Key key;
  for (const Key* at = nullptr; bpf_map_get_next_key(bpf_map__fd(map), at, &key) == 0;
       at = &keys.back())
    keys.push_back(key);
  return keys;
}

template <typename Key>
absl::Status DropUnless(bpf_map* map, const std::function<bool(const Key&)>& keep) {
  for (const Key& key : Keys<Key>(map))
    if (!keep(key) && bpf_map_delete_elem(bpf_map__fd(map), &key) != 0 && errno != ENOENT)
      return base::PosixError("delete from", bpf_map__name(map));
  return absl::OkStatus();
}

absl::StatusOr<uint8_t> PortValue(const Programs& programs, uint16_t port) {
  const uint32_t key = port;
  uint8_t value = WB_PORT_NONE;
  if (bpf_map_lookup_elem(bpf_map__fd(programs.skeleton()->maps.wb_ports), &key, &value) != 0)
    return base::PosixError("read", "the ports");
  return value;
}

Names::Host HostOf(const wb_host_key& key) { return {Unpad(key.host), be16toh(key.port_be16)}; }

}  // namespace

std::vector<std::pair<wb_path_key, wb_path>> ObjectStore::Paths() const {
  bpf_map* map = programs_.skeleton()->maps.wb_paths;
  std::vector<std::pair<wb_path_key, wb_path>> paths;
  for (const wb_path_key& key : Keys<wb_path_key>(map)) {
    wb_path path;
    if (bpf_map_lookup_elem(bpf_map__fd(map), &key, &path) == 0) paths.emplace_back(key, path);
  }
  return paths;
}

absl::Status ObjectStore::CheckRoom(const Names& names) const {
  const uint32_t room = bpf_map__max_entries(programs_.skeleton()->maps.wb_hosts);
  if (names.hosts.size() <= room) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("domains: ", names.hosts.size(),
                                                   " names with and without ports, more than ",
                                                   room, ": fewer aliases or ports"));
}

absl::Status ObjectStore::KeepOnly(const Names& names) {
  auto& maps = programs_.skeleton()->maps;
  WB_RETURN_IF_ERROR(DropUnless<wb_host_key>(
      maps.wb_hosts, [&](const wb_host_key& k) { return names.hosts.contains(HostOf(k)); }));
  WB_RETURN_IF_ERROR(DropUnless<wb_encoding_key>(maps.wb_encodings, [&](const wb_encoding_key& k) {
    return names.encodings.contains(Unpad(k.value));
  }));
  using Address = std::array<uint32_t, 4>;
  WB_RETURN_IF_ERROR(DropUnless<Address>(
      maps.wb_boosters, [&](const Address& a) { return names.boosters.contains(a); }));
  for (uint32_t port = 0; port < 65536; port++) {
    WB_ASSIGN_OR_RETURN(const uint8_t value, PortValue(programs_, static_cast<uint16_t>(port)));
    if (value == WB_PORT_FOLLOWED && !names.ports.contains(static_cast<uint16_t>(port)))
      WB_RETURN_IF_ERROR(SetPort(static_cast<uint16_t>(port), WB_PORT_LEFT));
  }
  return absl::OkStatus();
}

absl::Status ObjectStore::Enter(const Names& names) {
  for (const auto& [value, encoding] : names.encodings)
    WB_RETURN_IF_ERROR(SetEncoding(value, encoding));
  for (const auto& address : names.boosters) WB_RETURN_IF_ERROR(AddBooster(address));
  for (const auto& [host, domain] : names.hosts)
    WB_RETURN_IF_ERROR(SetHost(host.first, host.second, domain));
  for (uint16_t port : names.ports) WB_RETURN_IF_ERROR(SetPort(port, WB_PORT_FOLLOWED));
  return absl::OkStatus();
}

absl::StatusOr<Names> ObjectStore::Entered() const {
  auto& maps = programs_.skeleton()->maps;
  Names names;
  for (const wb_host_key& key : Keys<wb_host_key>(maps.wb_hosts)) {
    uint32_t& domain = names.hosts[HostOf(key)];
    if (bpf_map_lookup_elem(bpf_map__fd(maps.wb_hosts), &key, &domain) != 0)
      return base::PosixError("read", "the hosts");
  }
  for (const wb_encoding_key& key : Keys<wb_encoding_key>(maps.wb_encodings)) {
    uint32_t& encoding = names.encodings[Unpad(key.value)];
    if (bpf_map_lookup_elem(bpf_map__fd(maps.wb_encodings), &key, &encoding) != 0)
      return base::PosixError("read", "the encodings");
  }
  return names;
}

absl::Status ObjectStore::RestPorts(const std::set<uint16_t>& translated) {
  for (uint32_t port = 0; port < 65536; port++) {
    const auto p = static_cast<uint16_t>(port);
    WB_ASSIGN_OR_RETURN(const uint8_t value, PortValue(programs_, p));
    if (value == WB_PORT_LEFT && !translated.contains(p))
      WB_RETURN_IF_ERROR(SetPort(p, WB_PORT_NONE));
  }
  return absl::OkStatus();
}

}  // namespace wb::kern
