// SPDX-License-Identifier: Apache-2.0
// dz = dy f'(y) in place and the sums of its columns, in one pass over runs of rows; the sums of the runs are added in
// order. Rows of few channels are taken several at a time as one wide row, and its sums folded at the end.
#include <algorithm>

#include "kernels/base/activation_functions.h"
#include "kernels/base/conv2d_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kBand = 64;        // columns of a tile
constexpr int kMostRuns = 64;    // a tile's rows: one run
constexpr int kFewestRows = 64;  // of a run
constexpr int kGroup = 8;        // bands whose sums are kept at a time

/// Two levels of sums round less than one.
constexpr int kInnerRows = 128;

template <Activation A>
HOURGLASS_INLINE void run_rows(int64_t rows, int columns, int64_t stride, const float* y, float* dy,
                               float* __restrict sums) {
  float inner[kBand];
  std::fill_n(sums, kBand, 0.0f);
  for (int64_t first = 0; first < rows; first += kInnerRows) {
    std::fill_n(inner, kBand, 0.0f);
    const int64_t last = std::min(rows, first + kInnerRows);
    for (int64_t at = first * stride; at < last * stride; at += stride) {
      for (int j = 0; j < columns; ++j) {
        float value = dy[at + j];
        if constexpr (A != Activation::kNone) {
          value *= derivative_from_output<A>(y[at + j]);
          dy[at + j] = value;
        }
        inner[j] += value;
      }
    }
    for (int j = 0; j < kBand; ++j) sums[j] += inner[j];
  }
}

HOURGLASS_SIMD void any_rows(Activation activation, int64_t rows, int columns, int64_t stride, const float* y,
                             float* dy, float* sums) {
  with_activation(activation, [&](auto a) HOURGLASS_INLINE_LAMBDA {
    if constexpr (a != Activation::kGelu) {
      if (columns == kBand) {
        run_rows<a>(rows, kBand, stride, y, dy, sums);
      } else {
        run_rows<a>(rows, columns, stride, y, dy, sums);
      }
    }
  });
}

}  // namespace

void conv2d_backward_epilogue(const Context& ctx, const Conv2dEpilogueShape& s, const float* y, float* dy,
                              Grad<float> db) {
  check_conv2d_backward_epilogue(s, y);
  if (s.channels == 0 || (s.activation == Activation::kNone && !db)) return;
  const int fold = std::max(1, kBand / s.channels), width = fold * s.channels;
  const int64_t rows = s.rows / fold, rest = s.rows % fold * s.channels;  // the last, incomplete wide row
  const int64_t runs = std::clamp<int64_t>(rows / kFewestRows, 1, kMostRuns);
  const int bands = (width + kBand - 1) / kBand;
  const auto y_at = [y](int64_t at) { return y ? y + at : nullptr; };
  float sums[kGroup][kMostRuns + 1][kBand];
  for (int group = 0; group < bands; group += kGroup) {
    const int count = std::min(kGroup, bands - group);
    parallel_for(ctx, runs * count, [&](int64_t tile) {
      const int64_t run = tile / count, begin = run * rows / runs, end = (run + 1) * rows / runs;
      const int first = (group + static_cast<int>(tile % count)) * kBand;
      const int64_t at = begin * width + first;
      any_rows(s.activation, end - begin, std::min(kBand, width - first), width, y_at(at), dy + at,
               sums[tile % count][run]);
    });
    const int64_t tail = rows * width;
    if (rest > 0) {  // only where fold > 1: one band
      any_rows(s.activation, 1, static_cast<int>(rest), width, y_at(tail), dy + tail, sums[0][runs]);
    }
    const int first = group * kBand, last = std::min(s.channels, first + kGroup * kBand);
    for (int k = first; db && k < last; ++k) {
      float total = 0;
      for (int64_t run = 0; run < runs + (rest > 0); ++run) {
        for (int j = k - first; j<std::min(width - first, kGroup * kBand); j += fold> 1 ? s.channels : width) {
          total += sums[j / kBand][run][j % kBand];
        }
      }
      write(db.data[k], total, db.mode);
    }
  }
}

}  // namespace hourglass::cpu
