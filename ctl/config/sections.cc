// SPDX-License-Identifier: Apache-2.0
#include "ctl/config/sections.h"

#include "ctl/config/text.h"
#include "ctl/config/values.h"

namespace wb::config {
namespace {

absl::StatusOr<std::string> SocketPath(std::string_view text) {
  return ParseAbsolutePath(text, kMaxSocketPathChars);
}

}  // namespace

absl::StatusOr<std::string> AbsolutePath(std::string_view text) { return ParseAbsolutePath(text); }

void ReadApi(const Value& value, const Value& runtime_dir, std::string_view directory,
             std::string_view daemon, Api* api) {
  Map map(value);
  const Value socket = map["socket"];
  socket.Text(&api->socket, SocketPath);
  if (!socket.present()) {
    api->socket = Cat(directory, "/", daemon, ".sock");
    if (api->socket.size() > kMaxSocketPathChars) {
      runtime_dir.Error(Cat("is too long for a socket in it (", kMaxSocketPathChars,
                            " characters with /", daemon, ".sock); set api.socket"));
    }
  }
  const Value mode = map["mode"];
  const bool open = mode.Text(&api->mode, ParseMode) && (api->mode & 0007) != 0;
  const Value allow = map["allow"];
  if (allow.present()) {
    allow.Texts(&api->allow.emplace(), {0, kMaxAllowed}, ParsePrincipal);
  } else if (open) {
    mode.Warn(Cat("lets every user of this machine connect, but only root, ", daemon,
                  "'s user and the socket's group are answered; api.allow names others"));
  }
  map.Finish();
}

void ReadMetrics(const Value& value, Metrics* metrics) {
  Map map(value);
  const Value listen = map["listen"];
  const auto parse = [](std::string_view text) { return ParseEndpoint(text, true); };
  if (listen.TextOrEmpty(&metrics->listen, parse) && metrics->listen) {
    const std::string& host = metrics->listen->host;
    const bool local = host.starts_with("127.") || host == "::1" || host == "localhost";
    if (!local) listen.Warn("metrics can be read from other machines, without authentication");
  }
  map.Finish();
}

void ReadLog(const Value& value, Log* log) {
  Map map(value);
  map["level"].Enum(&log->level, kLogLevels);
  map.Finish();
}

void ReadAccessLog(const Value& value, AccessLog* log) {
  Map map(value);
  const Value file = map["file"];
  file.TextOrEmpty(&log->file, AbsolutePath);
  const Value journal = map["journal"];
  journal.Boolean(&log->journal);
  if (log->journal && !log->file.empty()) journal.Error("is one of two: give file or journal");
  const Value sample = map["sample"];
  sample.Integer(&log->sample, kLogSample);
  const Value format = map["format"];
  format.Enum(&log->format, kLogFormats);
  const bool off = log->file.empty() && !log->journal;
  for (const Value& option : {sample, format})
    if (off && option.present()) option.Warn("has no effect without file or journal");
  map.Finish();
}

void ReadName(const Value& value, std::string* out, NameTable* names, size_t max_chars) {
  const auto parse = [max_chars](std::string_view text) { return ParseHostName(text, max_chars); };
  if (!value.Text(out, parse)) return;
  const auto [first, is_new] = names->emplace(*out, std::pair(value.node().line, value.path()));
  if (!is_new) {
    value.Error(Cat("host name ", Quote(*out), " is used already by ", first->second.second,
                    " on line ", first->second.first));
  }
}

}  // namespace wb::config
