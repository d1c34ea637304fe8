// SPDX-License-Identifier: Apache-2.0
#include "engine/cluster_scores.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "kernels/base/error.h"

namespace hourglass {
namespace {

/// How many rows each group has, and each pair of groups.
struct Contingency {
  std::map<int32_t, int64_t> a, b;
  std::map<std::pair<int32_t, int32_t>, int64_t> both;
  double n;

  Contingency(std::span<const int32_t> x, std::span<const int32_t> y) : n(static_cast<double>(x.size())) {
    if (x.size() != y.size()) {
      throw Error(Exit::kInternal, "partitions of " + std::to_string(x.size()) + " and " + std::to_string(y.size()) +
                                       " rows cannot be compared");
    }
    for (size_t i = 0; i < x.size(); ++i) ++a[x[i]], ++b[y[i]], ++both[{x[i], y[i]}];
  }
};

template <class Counts>
double sum_of_squares(const Counts& counts) {
  double sum = 0;
  for (const auto& [group, count] : counts) sum += static_cast<double>(count) * static_cast<double>(count);
  return sum;
}

double entropy(const std::map<int32_t, int64_t>& counts, double n) {
  double sum = 0;
  for (const auto& [group, count] : counts)
    sum -= static_cast<double>(count) / n * std::log(static_cast<double>(count) / n);
  return sum;
}

}  // namespace

double adjusted_rand_index(std::span<const int32_t> a, std::span<const int32_t> b) {
  const Contingency table(a, b);
  const double together = sum_of_squares(table.both);
  const double tp = together - table.n, fn = sum_of_squares(table.a) - together,
               fp = sum_of_squares(table.b) - together;
  const double tn = table.n * table.n - table.n - tp - fn - fp;
  if (fn == 0 && fp == 0) return 1;
  return 2 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn));
}

double normalized_mutual_information(std::span<const int32_t> a, std::span<const int32_t> b) {
  const Contingency table(a, b);
  if (table.a.size() <= 1 && table.b.size() <= 1) return 1;
  double information = 0;
  for (const auto& [groups, rows] : table.both) {
    const double count = static_cast<double>(rows), of_a = static_cast<double>(table.a.at(groups.first)),
                 of_b = static_cast<double>(table.b.at(groups.second));
    information += count / table.n * std::log(count * table.n / (of_a * of_b));
  }
  return std::clamp(2 * information / (entropy(table.a, table.n) + entropy(table.b, table.n)), 0.0, 1.0);
}

}  // namespace hourglass
