// SPDX-License-Identifier: Apache-2.0
#include "ctl/metrics/families.h"

#include <algorithm>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace wb::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Visible ASCII as it is, other bytes as %XX: one byte that is not UTF-8 would cost the whole
// scrape, and interface names may hold any.
std::string LabelValue(const std::string& text) {
  std::string value;
  for (const unsigned char c : text) {
    if (c > 0x20 && c < 0x7f && c != '%') {
      value.push_back(static_cast<char>(c));
    } else {
      absl::StrAppendFormat(&value, "%%%02X", c);
    }
  }
  return value;
}

}  // namespace

Families& Families::Begin(const char* name, const char* help, MetricType type) {
  list_.push_back({name, help, type, {}});
  return *this;
}

Families& Families::AddValue(double value, Labels labels) {
  ClientMetric sample;
  for (ClientMetric::Label& label : labels) label.value = LabelValue(label.value);
  sample.label = std::move(labels);
  if (list_.back().type == MetricType::Counter) {
    sample.counter.value = value;
  } else {
    sample.gauge.value = value;
  }
  list_.back().metric.push_back(std::move(sample));
  return *this;
}

Families& Families::AddHistogram(uint64_t count_of_all, double sum,
                                 std::vector<ClientMetric::Bucket> buckets, Labels labels) {
  ClientMetric sample;
  for (ClientMetric::Label& label : labels) label.value = LabelValue(label.value);
  sample.label = std::move(labels);
  sample.histogram.sample_count = count_of_all;
  sample.histogram.sample_sum = sum;
  sample.histogram.bucket = std::move(buckets);
  std::ranges::sort(sample.histogram.bucket, {}, &ClientMetric::Bucket::upper_bound);
  list_.back().metric.push_back(std::move(sample));
  return *this;
}

void Families::Histogram(const char* name, const char* help, uint64_t count_of_all, double sum,
                         const std::map<std::string, uint64_t>& buckets) {
  std::vector<ClientMetric::Bucket> list;
  for (const auto& [bound, count] : buckets) {
    double upper = std::numeric_limits<double>::infinity();
    (void)absl::SimpleAtod(bound, &upper);
    list.push_back({count, upper});
  }
  Histograms(name, help).AddHistogram(count_of_all, sum, std::move(list), {});
}

std::vector<MetricFamily> Families::Take() {
  std::erase_if(list_, [](const MetricFamily& family) { return family.metric.empty(); });
  return std::move(list_);
}

}  // namespace wb::metrics
