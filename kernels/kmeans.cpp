// SPDX-License-Identifier: Apache-2.0
#include "kernels/kmeans.h"

#include <algorithm>
#include <limits>

#include "kernels/base/kmeans_rules.h"
#include "kernels/base/row_loss.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

template <class T>
void approach(const Context& ctx, KMeansShape s, const T* x, const T* centre, T* nearest) {
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t tile) {
    const int64_t first = tile * tiles.rows;
    for (int64_t n = first; n < std::min<int64_t>(s.N, first + tiles.rows); ++n) {
      T sum = 0;
      for (int d = 0; d < s.D; ++d) {
        const T difference = x[n * s.D + d] - centre[d];
        sum += difference * difference;
      }
      nearest[n] = std::min(nearest[n], sum);
    }
  });
}

}  // namespace

template <class T>
void kmeans_seed(const Context& ctx, KMeansShape s, int k, const T* x, Noise noise, T* nearest, T* codebook) {
  check_centre(s, k);
  if (k == 0) {
    std::fill_n(nearest, s.N, std::numeric_limits<T>::infinity());
  } else {
    approach(ctx, s, x, codebook + (int64_t{k} - 1) * s.D, nearest);
  }
  double total = 0, sum = 0;
  for (int64_t n = 0; n < s.N; ++n) total += nearest[n];
  const double u = kmeans_uniform(noise, k);
  int64_t row = static_cast<int64_t>(u * s.N);
  if (total > 0 && total <= std::numeric_limits<double>::max()) {
    for (int64_t n = 0; n < s.N && sum <= u * total; ++n) {
      sum += nearest[n];
      if (nearest[n] > 0) row = n;
    }
  }
  std::copy_n(x + row * s.D, s.D, codebook + int64_t{k} * s.D);
}

template <class T>
void kmeans_update(const Context&, KMeansShape s, const T* counts, const T* sums, T* codebook) {
  check_kmeans("kmeans_update", s);
  for (int64_t k = 0; k < s.K; ++k) {
    for (int64_t i = k * s.D; counts[k] > 0 && i < (k + 1) * s.D; ++i) codebook[i] = sums[i] / counts[k];
  }
}

template void kmeans_seed<float>(const Context&, KMeansShape, int, const float*, Noise, float*, float*);
template void kmeans_seed<double>(const Context&, KMeansShape, int, const double*, Noise, double*, double*);
template void kmeans_update<float>(const Context&, KMeansShape, const float*, const float*, float*);
template void kmeans_update<double>(const Context&, KMeansShape, const double*, const double*, double*);

}  // namespace hourglass::cpu
