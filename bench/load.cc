// SPDX-License-Identifier: Apache-2.0
// wb_load: a lean HTTP load generator that reports the CPU time that given processes took for it.
// Prints one line of JSON; exit code 1 when anything went wrong, 2 for wrong usage.
#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/load_driver.h"
#include "bench/load_target.h"

namespace wb::bench {
namespace {

struct Arguments {
  std::string host;
  int port = 80;
  std::string mode = "keep";
  std::vector<std::string> paths;
  std::string paths_file;
  std::string key_file;
  TargetOptions target;
  LoadOptions load;
};

void Declare(CLI::App* app, Arguments* a) {
  app->add_option("--host", a->host, "address of the server")->required();
  app->add_option("--port", a->port, "its port")->capture_default_str();
  app->add_option("--domain", a->target.domain, "Host to ask for")->required();
  app->add_option("--mode", a->mode,
                  "close: a connection per request; keep: connections that stay; keyed: booster "
                  "links, --batch keyed requests to a write")
      ->check(CLI::IsMember({"close", "keep", "keyed"}))
      ->capture_default_str();
  app->add_option("--target", a->paths, "request target; repeatable, asked in turn");
  app->add_option("--targets-file", a->paths_file, "more targets, one to a line");
  app->add_option("--docroot", a->target.docroot, "lengths and sums to expect, where files exist");
  app->add_option("--key-file", a->key_file, "secret of the booster link, for keyed");
  app->add_option("--connections", a->load.connections, "at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app->add_option("--batch", a->load.batch, "keyed requests to a write")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  app->add_option("--warm", a->load.warm_s, "seconds before measuring")->capture_default_str();
  app->add_option("--seconds", a->load.window_s, "seconds of measuring")->capture_default_str();
  app->add_option("--requests", a->load.requests,
                  "measure so many requests instead, --seconds at most");
  app->add_option("--cpu-pid", a->load.cpu_pids, "process whose run time to report; repeatable");
}

std::string Address(const Arguments& a, LoadOptions* load) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&load->address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&load->address);
  if (inet_pton(AF_INET, a.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(a.port);
    load->address_bytes = sizeof(*v4);
  } else if (inet_pton(AF_INET6, a.host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(a.port);
    load->address_bytes = sizeof(*v6);
  } else {
    return "not an address: " + a.host;
  }
  return "";
}

// An error text, or an empty string.
std::string Prepare(Arguments* a, std::vector<Target>* targets) {
  a->load.mode = a->mode == "close" ? Mode::kClose : a->mode == "keep" ? Mode::kKeep : Mode::kKeyed;
  a->target.mode = a->load.mode;
  if (a->load.mode != Mode::kKeyed) a->load.batch = 1;
  if (a->load.mode == Mode::kKeyed) {
    a->target.secret = ReadSecret(a->key_file);
    if (a->target.secret.empty()) return "no secret in --key-file '" + a->key_file + "'";
  }
  if (!a->paths_file.empty()) {
    std::ifstream file(a->paths_file);
    for (std::string line; std::getline(file, line);) {
      if (!line.empty()) a->paths.push_back(line);
    }
  }
  if (a->paths.empty()) return "no targets";
  for (const std::string& path : a->paths) {
    std::string error = MakeTarget(a->target, path, &targets->emplace_back());
    if (!error.empty()) return error;
  }
  return Address(*a, &a->load);
}

int Main(int argc, char** argv) {
  CLI::App app("A lean HTTP load generator; see bench/load.cc.");
  Arguments arguments;
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::vector<Target> targets;
  const std::string problem = Prepare(&arguments, &targets);
  if (!problem.empty()) {
    std::fprintf(stderr, "wb_load: %s\n", problem.c_str());
    return 2;
  }
  const LoadResult result = LoadDriver(arguments.load, &targets).Run();
  nlohmann::json json = {{"requests", result.requests},
                         {"answered", result.answered},
                         {"body_bytes", result.body_bytes},
                         {"seconds", result.seconds},
                         {"cpu_ns", result.cpu_ns}};
  if (!result.error.empty()) json["error"] = result.error;
  std::printf("%s\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return result.error.empty() ? 0 : 1;
}

}  // namespace
}  // namespace wb::bench

int main(int argc, char** argv) { return wb::bench::Main(argc, argv); }
