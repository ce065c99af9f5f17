// SPDX-License-Identifier: Apache-2.0
#include "booster/boost/arbiter.h"

#include <algorithm>
#include <numeric>

namespace wb::boost {
namespace {

constexpr double kLeastCost = 1e-6;

double Standing(const Contender& c) {
  const double favour = c.boosted ? Arbiter::kFavour : 1;
  return favour * c.relief / std::max(c.cost, kLeastCost);
}

bool Before(const Contender& a, const Contender& b) {
  if (a.fixed != b.fixed) return a.fixed;
  if (a.priority != b.priority) return a.priority > b.priority;
  const bool a_stays = a.boosted && !a.yields, b_stays = b.boosted && !b.yields;
  if (a_stays != b_stays) return a_stays;
  if (Standing(a) != Standing(b)) return Standing(a) > Standing(b);
  return a.name < b.name;
}

}  // namespace

std::vector<Ruling> Arbiter::Decide(std::span<const Contender> contenders, double capacity) {
  std::vector<size_t> order(contenders.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order,
                    [&](size_t a, size_t b) { return Before(contenders[a], contenders[b]); });
  std::vector<Ruling> rulings(contenders.size());
  std::vector<std::string> holders;  // the best first
  double used = 0, lately = 0;
  for (const size_t i : order) {
    const Contender& c = contenders[i];
    const double before = c.boosted ? used : lately;
    const double most = capacity + (c.boosted ? kSlack : 0);
    if (c.fixed || before < kTrifle || before + c.cost <= most) {
      rulings[i].grant = c.boosted ? Grant::kKeep : Grant::kBoost;
      used += c.cost;
      lately += std::max(c.cost, c.lately);
      if (holders.size() < kCompetitors) holders.push_back(c.name);
      continue;
    }
    rulings[i] = {c.boosted ? Grant::kPreempt : Grant::kRefuse, holders};
  }
  return rulings;
}

}  // namespace wb::boost
