// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"

#include <algorithm>

#include "kernels/base/columns_check.h"

namespace hourglass::cpu {
template <class T>
void copy_columns(const Context&, ColumnsShape s, const T* x, T* y) {
  check_columns(s);
  for (int64_t r = 0; r < s.rows; ++r) {
    std::copy_n(x + r * s.src_cols + s.src_first, s.count, y + r * s.dst_cols + s.dst_first);
  }
}

template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, Grad<T> y) {
  check_columns(s);
  if (!y) return;
  if (y.mode == Write::kSet) {
    for (int64_t r = 0; r < s.rows; ++r) {
      T* row = y.data + r * s.dst_cols;
      std::fill(row, row + s.dst_first, T(0));
      std::fill(row + s.dst_first + s.count, row + s.dst_cols, T(0));
    }
    return copy_columns(ctx, s, x, y.data);
  }
  for (int64_t r = 0; r < s.rows; ++r) {
    const T* from = x + r * s.src_cols + s.src_first;
    T* to = y.data + r * s.dst_cols + s.dst_first;
    for (int j = 0; j < s.count; ++j) to[j] += from[j];
  }
}

template void copy_columns(const Context&, ColumnsShape, const float*, float*);
template void copy_columns(const Context&, ColumnsShape, const double*, double*);
template void copy_columns(const Context&, ColumnsShape, const float*, Grad<float>);
template void copy_columns(const Context&, ColumnsShape, const double*, Grad<double>);

}  // namespace hourglass::cpu
