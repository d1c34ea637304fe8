// SPDX-License-Identifier: Apache-2.0
// A block of columns moved between two row-major matrices: slice, concatenation, and their gradients.
//
//   y[r, dst_first + j] = x[r, src_first + j],   0 <= j < count
//
//   x (rows, src_cols), y (rows, dst_cols)
//
//   slice        x (N, D) -> y (N, count):  src_first = first, dst_first = 0
//   concat       a (N, A) -> y (N, A + B) at 0, then b (N, B) at A: two calls of the plain form
//   their gradients are the same copies with source and destination exchanged, through the Grad form
//
// The plain form writes the block and leaves the other columns of y as they are. The Grad form writes a whole gradient:
// under kSet the columns outside the block become zero, under kAdd they are unchanged.
//
// Zero elements: nothing happens (kSet still zeroes y). Errors: kUsage for a block that leaves either matrix.
#pragma once

#include <cstdint>

#include "kernels/base/context.h"

namespace hourglass {

struct ColumnsShape {
  int64_t rows = 0;
  int src_cols = 0;
  int dst_cols = 0;
  int src_first = 0;
  int dst_first = 0;
  int count = 0;
};

namespace cpu {

template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, T* y);
template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, Grad<T> y);

}  // namespace cpu

namespace cuda {

/// The same, T: float or bf16.
template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, T* y);
template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, Grad<T> y);

}  // namespace cuda
}  // namespace hourglass
