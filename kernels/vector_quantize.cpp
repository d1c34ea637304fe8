// SPDX-License-Identifier: Apache-2.0
// Codes and rows are independent but for the losses' values, which are summed tile by tile in their order.
#include "kernels/vector_quantize.h"

#include <limits>

#include "kernels/base/chunks.h"
#include "kernels/base/row_loss.h"
#include "kernels/base/vector_quantize_check.h"

namespace hourglass::cpu {
namespace {

/// Calls sum_of(row), which may write the row's gradient too, for all rows; value = their sum / elements.
template <class A, class F>
void mean_over(const Context& ctx, int rows, int D, double elements, Grad<A> value, F sum_of) {
  const RowTiles tiles(rows, D);
  double partial[RowTiles::kMost] = {};
  parallel_for(ctx, tiles.count, [&](int64_t tile) {
    const int64_t first = tile * tiles.rows;
    for (int64_t row = first; row < std::min<int64_t>(rows, first + tiles.rows); ++row) partial[tile] += sum_of(row);
  });
  double total = 0;
  for (int tile = 0; tile < tiles.count; ++tile) total += partial[tile];
  if (value) write(*value.data, total / elements, value.mode);
}

}  // namespace

template <class T>
void vector_quantize_forward(const Context& ctx, VectorQuantizeShape s, const T* codebook, const int32_t* index,
                             T* quantized) {
  check_vector_quantize("vector_quantize", s);
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t tile) {
    const int64_t first = tile * tiles.rows;
    for (int64_t n = first; n < std::min<int64_t>(s.N, first + tiles.rows); ++n) {
      const bool found = index[n] >= 0 && index[n] < s.K;
      for (int d = 0; d < s.D; ++d) {
        quantized[n * s.D + d] = found ? codebook[int64_t{index[n]} * s.D + d] : std::numeric_limits<T>::quiet_NaN();
      }
    }
  });
}

template <class T>
void commitment_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* quantized, Weight weight,
                     Grad<acc_t<T>> value, Grad<T> dx) {
  check_vector_quantize_mean("commitment_loss", s);
  const double elements = static_cast<double>(s.N) * s.D;
  const T scale = static_cast<T>(2 * weight.value() / elements);
  mean_over(ctx, s.N, s.D, elements, value, [&](int64_t n) {
    acc_t<T> sum = 0;
    for (int64_t i = n * s.D; i < (n + 1) * s.D; ++i) {
      const T difference = x[i] - quantized[i];
      sum += difference * difference;
      if (dx) write(dx.data[i], scale * difference, dx.mode);
    }
    return sum;
  });
}

template <class T>
void codebook_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* codebook, CodeRows rows,
                   Weight weight, Grad<acc_t<T>> value, Grad<acc_t<T>> dcodebook) {
  check_vector_quantize_mean("codebook_loss", s);
  const double elements = static_cast<double>(s.N) * s.D;
  const acc_t<T> scale = static_cast<acc_t<T>>(2 * weight.value() / elements);
  mean_over(ctx, s.K, s.D, elements, value, [&](int64_t k) {
    double squares = 0;
    for (int d = 0; d < s.D; ++d) {
      const T code = codebook[k * s.D + d];
      acc_t<T> sum = 0;
      for (int32_t i = rows.offsets[k]; i < rows.offsets[k + 1]; ++i) {
        const T difference = code - x[int64_t{rows.order[i]} * s.D + d];
        sum += difference;
        squares += static_cast<double>(difference * difference);
      }
      if (dcodebook) write(dcodebook.data[k * s.D + d], scale * sum, dcodebook.mode);
    }
    return squares;
  });
}

template <class T>
void code_sums(const Context& ctx, VectorQuantizeShape s, const T* x, CodeRows rows, Grad<acc_t<T>> counts,
               Grad<acc_t<T>> sums) {
  check_vector_quantize("code_sums", s);
  constexpr int kColumns = 512;  // summed together: a row's columns are far from those of the code's next row
  constexpr int kRun = 64;       // rows summed in T
  const int64_t blocks = std::max(1, (s.D + kColumns - 1) / kColumns), pairs = s.K * blocks;
  const int64_t per_tile = std::max<int64_t>(8, (pairs + 63) / 64);  // pairs of a code and a block of columns
  parallel_for(ctx, (pairs + per_tile - 1) / per_tile, [&](int64_t tile) {
    for (int64_t pair = tile * per_tile; pair < std::min(pairs, (tile + 1) * per_tile); ++pair) {
      const int64_t k = pair / blocks;
      const int d = static_cast<int>(pair % blocks) * kColumns, columns = std::min(kColumns, s.D - d);
      const int32_t begin = rows.offsets[k], end = rows.offsets[k + 1];
      if (counts && d == 0) write(counts.data[k], end - begin, counts.mode);
      if (!sums) continue;
      acc_t<T> sum[kColumns];
      double total[kColumns];
      std::fill_n(total, columns, 0.0);
      for (int64_t first = begin; first < end; first += kRun) {
        std::fill_n(sum, columns, acc_t<T>(0));
        for (int64_t i = first; i < std::min<int64_t>(first + kRun, end); ++i) {
          const T* row = x + int64_t{rows.order[i]} * s.D + d;
          for (int j = 0; j < columns; ++j) sum[j] += row[j];
        }
        for (int j = 0; j < columns; ++j) total[j] += sum[j];
      }
      for (int j = 0; j < columns; ++j) write(sums.data[k * s.D + d + j], total[j], sums.mode);
    }
  });
}

size_t sort_by_code_scratch_bytes(const Context&, VectorQuantizeShape) { return 0; }

void sort_by_code(const Context&, VectorQuantizeShape s, const int32_t* index, void*, int32_t* offsets,
                  int32_t* order) {
  check_vector_quantize("sort_by_code", s);
  const auto has_code = [&](int64_t n) { return index[n] >= 0 && index[n] < s.K; };
  std::fill_n(offsets, int64_t{s.K} + 1, 0);
  for (int64_t n = 0; n < s.N; ++n) {
    if (has_code(n)) ++offsets[index[n] + 1];
  }
  for (int64_t k = 0; k < s.K; ++k) offsets[k + 1] += offsets[k];
  for (int32_t n = 0; n < s.N; ++n) {  // each code's offset walks to where the next code's begin
    if (has_code(n)) order[offsets[index[n]]++] = n;
  }
  for (int64_t k = s.K; k > 0; --k) offsets[k] = offsets[k - 1];
  offsets[0] = 0;
}

template <class T>
void add_code_counts(const Context&, VectorQuantizeShape s, const T* counts, const Fault* fault, int64_t* usage) {
  check_vector_quantize("add_code_counts", s);
  if (fault && fault->code != 0) return;
  for (int64_t k = 0; k < s.K; ++k) usage[k] += static_cast<int64_t>(counts[k]);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                       \
  template void vector_quantize_forward<T>(const Context&, VectorQuantizeShape, const T*, const int32_t*, T*);         \
  template void commitment_loss<T>(const Context&, VectorQuantizeShape, const T*, const T*, Weight, Grad<acc_t<T>>,    \
                                   Grad<T>);                                                                           \
  template void codebook_loss<T>(const Context&, VectorQuantizeShape, const T*, const T*, CodeRows, Weight,            \
                                 Grad<acc_t<T>>, Grad<acc_t<T>>);                                                      \
  template void code_sums<T>(const Context&, VectorQuantizeShape, const T*, CodeRows, Grad<acc_t<T>>, Grad<acc_t<T>>); \
  template void add_code_counts<T>(const Context&, VectorQuantizeShape, const T*, const Fault*, int64_t*);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
