// SPDX-License-Identifier: Apache-2.0
// wbctl cache list|warm|purge.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

// Far below the server's limits, so that long lists progress in steps of which each has its own
// timeout.
constexpr size_t kBatchUrls = 200;
constexpr size_t kBatchBytes = 256 << 10;

void List(Context& context, const api::CacheFilter& filter) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::CacheList> list = client.ListCache(filter);
  if (!list.ok()) return context.Fail("cache list", list.status());
  if (context.json) return context.PrintJson(client.last_json());
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"HITS", kRight},
               {"SIZE", kRight},
               {"MEMORY", kRight},
               {"SEGMENTS", kRight},
               {"AGE", kRight},
               {"EXPIRES", kRight},
               {"ENCODING"},
               {"URL"}});
  for (const api::CacheEntry& e : list->entries) {
    table.Add({Count(e.hits), Bytes(e.bytes), Bytes(e.arena_bytes), Count(e.segments),
               Seconds(e.age_s), e.expires_in_s ? Seconds(*e.expires_in_s) : "-", e.encoding,
               e.url});
  }
  table.Print(std::cout);
  std::cout << list->entries.size() << " of " << list->total << "\n";
}

struct WarmArgs {
  std::vector<std::string> urls;
  std::string file;
};

// One URL a line; blank lines and those that begin with # are skipped.
void ReadUrls(std::istream& in, std::vector<std::string>& urls) {
  for (std::string line; std::getline(in, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    line.erase(0, line.find_first_not_of(" \t"));
    if (!line.empty() && line.front() != '#') urls.push_back(line);
  }
}

absl::StatusOr<std::vector<std::string>> CollectUrls(const WarmArgs& args) {
  std::vector<std::string> urls;
  for (const std::string& url : args.urls) {
    if (url == "-") {
      ReadUrls(std::cin, urls);
    } else {
      urls.push_back(url);
    }
  }
  if (!args.file.empty()) {
    std::ifstream file(args.file);
    if (!file) return absl::NotFoundError("cannot read " + args.file);
    ReadUrls(file, urls);
  }
  return urls;
}

// Also the results so far when a later batch fails.
absl::Status WarmAll(api::Client& client, const std::vector<std::string>& urls,
                     api::WarmReply& all) {
  for (size_t begin = 0; begin < urls.size();) {
    std::vector<std::string> batch;
    for (size_t bytes = 0; begin < urls.size() && batch.size() < kBatchUrls && bytes < kBatchBytes;
         ++begin) {
      bytes += urls[begin].size();
      batch.push_back(urls[begin]);
    }
    const absl::StatusOr<api::WarmReply> reply = client.Warm(batch);
    if (!reply.ok()) return reply.status();
    all.results.insert(all.results.end(), reply->results.begin(), reply->results.end());
  }
  return absl::OkStatus();
}

void PrintWarmed(const api::WarmReply& reply, size_t failed) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"RESULT"}, {"SIZE", kRight}, {"SEGMENTS", kRight}, {"URL"}, {"REASON"}});
  for (const api::WarmResult& r : reply.results) {
    table.Add({r.ok ? "warm" : "failed", r.ok ? Bytes(r.bytes) : "-",
               r.ok ? Count(r.segments) : "-", r.url, r.reason});
  }
  if (!table.empty()) table.Print(std::cout);
  std::cout << reply.results.size() - failed << " warmed, " << failed << " failed\n";
}

void Warm(Context& context, const WarmArgs& args) {
  const absl::StatusOr<std::vector<std::string>> urls = CollectUrls(args);
  if (!urls.ok()) return context.Fail("cache warm", urls.status());
  api::Client client = context.MakeClient();
  api::WarmReply all;
  const absl::Status status = WarmAll(client, *urls, all);
  const size_t failed = static_cast<size_t>(std::count_if(
      all.results.begin(), all.results.end(), [](const api::WarmResult& r) { return !r.ok; }));
  if (failed > 0) context.exit_code = kExitFailed;
  if (context.json) {
    context.PrintJson(api::ToJson(all));
  } else {
    PrintWarmed(all, failed);
  }
  if (!status.ok()) context.Fail("cache warm", status);
}

struct PurgeArgs {
  std::string url, prefix, tag, domain;
  bool all = false;
};

void Purge(Context& context, const PurgeArgs& args) {
  api::PurgeRequest request{api::PurgeKind::kUrl, args.url, ""};
  if (!args.prefix.empty()) request = {api::PurgeKind::kPrefix, args.prefix, ""};
  if (!args.tag.empty()) {
    request = {api::PurgeKind::kTag, args.tag, args.domain};
  } else if (!args.domain.empty()) {
    request = {api::PurgeKind::kDomain, args.domain, ""};
  }
  if (args.all) request = {api::PurgeKind::kAll, "", ""};
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::PurgeReply> reply = client.Purge(request);
  if (!reply.ok()) return context.Fail("cache purge", reply.status());
  if (context.json) return context.PrintJson(client.last_json());
  std::cout << Count(reply->purged) << " objects purged\n";
}

void AddList(CLI::App& cache, Context& context) {
  const auto filter = std::make_shared<api::CacheFilter>();
  const auto sort = std::make_shared<std::string>("hits");
  CLI::App* list = cache.add_subcommand("list", "what is in the cache");
  list->add_option("--domain", filter->domain, "only this domain");
  list->add_option("--prefix", filter->prefix, "only URLs that begin so");
  list->add_option("--limit", filter->limit, "at most so many")
      ->check(CLI::Range(uint64_t{0}, api::kMaxCacheLimit))
      ->capture_default_str();
  list->add_option("--offset", filter->offset, "skip so many");
  list->add_option("--sort", *sort, "hits, bytes or url")
      ->check(CLI::IsMember({"hits", "bytes", "url"}))
      ->capture_default_str();
  list->callback([&context, filter, sort] {
    filter->sort = *api::FromName<api::CacheSort>(*sort);
    List(context, *filter);
  });
}

void AddWarm(CLI::App& cache, Context& context) {
  const auto args = std::make_shared<WarmArgs>();
  CLI::App* warm = cache.add_subcommand("warm", "fill the cache before requests come");
  CLI::Option_group* source = warm->add_option_group("source");
  source->add_option("URL", args->urls, "URLs, or - to read them from standard input");
  source->add_option("--from-file", args->file, "file with one URL a line")->type_name("FILE");
  source->require_option(1, 0);
  warm->callback([&context, args] { Warm(context, *args); });
}

void AddPurge(CLI::App& cache, Context& context) {
  const auto args = std::make_shared<PurgeArgs>();
  CLI::App* purge = cache.add_subcommand("purge", "drop what the cache holds");
  CLI::Option_group* what = purge->add_option_group("what");
  const auto not_empty = CLI::Validator(
      [](std::string& text) { return text.empty() ? std::string("must not be empty") : ""; }, "");
  what->add_option("URL", args->url, "one URL, all its variants")->check(not_empty);
  what->add_option("--prefix", args->prefix, "all URLs that begin so")->check(not_empty);
  CLI::Option* tag =
      what->add_option("--tag", args->tag, "all whose response has the tag")->check(not_empty);
  what->add_flag("--all", args->all, "everything");
  what->require_option(0, 1);
  CLI::Option* domain =
      purge->add_option("--domain", args->domain, "all of a domain; with --tag: only of it")
          ->check(not_empty);
  purge->callback([&context, args, what, tag, domain] {
    const size_t kinds = what->count_all() == 0 ? 0 : 1;
    if (kinds == 0 && domain->count() == 0)
      throw CLI::RequiredError("one of URL, --prefix, --tag, --domain and --all");
    if (kinds == 1 && domain->count() != 0 && tag->count() == 0)
      throw CLI::ExcludesError("--domain", "the rest, but for --tag");
    Purge(context, *args);
  });
}

}  // namespace

void AddCacheCommands(CLI::App& app, Context& context) {
  CLI::App* cache = app.add_subcommand("cache", "the packet cache");
  cache->require_subcommand(1);
  AddList(*cache, context);
  AddCacheShow(*cache, context);
  AddWarm(*cache, context);
  AddPurge(*cache, context);
}

}  // namespace wb::wbctl
