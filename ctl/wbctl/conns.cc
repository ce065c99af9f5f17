// SPDX-License-Identifier: Apache-2.0
// wbctl conns.
#include <cstdio>
#include <iostream>
#include <memory>

#include "ctl/wbctl/context.h"
#include "ctl/wbctl/table.h"

namespace wb::wbctl {
namespace {

std::string Milliseconds(uint64_t us) {
  if (us == 0) return "-";
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f ms", static_cast<double>(us) / 1000);
  return text;
}

std::string BulkText(const api::ConnectionInfo& c) {
  if (c.bulk_bytes == 0) return "-";
  return Bytes(c.bulk_acked_bytes) + " of " + Bytes(c.bulk_bytes) + ", " +
         Count(c.bulk_retransmits) + " again";
}

void Print(const api::ConnectionList& list) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"REMOTE"},
               {"LOCAL"},
               {"IF"},
               {"AGE", kRight},
               {"HITS", kRight},
               {"BYTES", kRight},
               {"UNACKED", kRight},
               {"REPLIES", kRight},
               {"SRTT", kRight},
               {"CWND", kRight},
               {"WINDOW", kRight},
               {"MSS", kRight},
               {"D_IN", kRight},
               {"D_OUT", kRight},
               {"BULK", kRight},
               {"FLAGS"}});
  for (const api::ConnectionInfo& c : list.connections) {
    std::string flags;
    for (const std::string& flag : c.flags) flags += (flags.empty() ? "" : ",") + flag;
    table.Add({c.remote, c.local, c.interface, Seconds(c.age_s), Count(c.hits), Bytes(c.bytes),
               Bytes(c.unacked_bytes), Count(c.replies_in_flight), Milliseconds(c.srtt_us),
               Bytes(c.cwnd_bytes), Bytes(c.peer_window_bytes), std::to_string(c.mss),
               std::to_string(c.d_in), std::to_string(c.d_out), BulkText(c), flags});
  }
  if (!table.empty()) table.Print(std::cout);
  std::cout << list.connections.size() << " of " << list.total << "\n";
}

void List(Context& context, const api::ConnectionFilter& filter) {
  api::Client client = context.MakeClient();
  const absl::StatusOr<api::ConnectionList> list = client.ListConnections(filter);
  if (!list.ok()) return context.Fail("conns", list.status());
  if (context.json) return context.PrintJson(client.last_json());
  Print(*list);
}

}  // namespace

void AddConnsCommand(CLI::App& app, Context& context) {
  const auto filter = std::make_shared<api::ConnectionFilter>();
  const auto sort = std::make_shared<std::string>("hits");
  CLI::App* conns = app.add_subcommand("conns", "the followed connections");
  conns->add_option("--sort", *sort, "largest first")
      ->check(CLI::IsMember({"hits", "bytes", "unacked", "srtt", "age"}))
      ->capture_default_str();
  conns->add_option("--limit", filter->limit, "at most so many")
      ->check(CLI::Range(uint64_t{0}, api::kMaxConnectionLimit))
      ->capture_default_str();
  conns->add_option("--remote", filter->remote, "only those of this address");
  conns->add_flag("--spliced", filter->spliced, "only those that were ever answered by XDP");
  conns->callback([&context, filter, sort] {
    filter->sort = *api::FromName<api::ConnectionSort>(*sort);
    List(context, *filter);
  });
}

}  // namespace wb::wbctl
