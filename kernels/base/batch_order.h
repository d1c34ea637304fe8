// SPDX-License-Identifier: Apache-2.0
// Which sample stands in a row of a batch (kernels/batch.h): shared by the reference and the timed form.
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/base/permutation.h"
#include "kernels/batch.h"

namespace hourglass {

inline void check_batch(const BatchShape& s, const BatchOrder& order) {
  if (s.N < 0 || s.D < 0 || s.dataset < 0) {
    throw Error(Exit::kUsage, "batch: expected extents of at least 0, got N = " + std::to_string(s.N) +
                                  ", D = " + std::to_string(s.D) + ", data set of " + std::to_string(s.dataset));
  }
  if (order.rows || s.N == 0) return;
  if (s.global_batch < 1 || s.global_batch > s.dataset) {
    throw Error(Exit::kUsage, "batch: expected a batch of 1 to " + std::to_string(s.dataset) +
                                  " samples (the data set), got " + std::to_string(s.global_batch));
  }
  if (s.first_row < 0 || s.first_row > s.global_batch - s.N) {
    throw Error(Exit::kUsage, "batch: expected rows within the global batch of " + std::to_string(s.global_batch) +
                                  ", got " + std::to_string(s.N) + " rows from " + std::to_string(s.first_row));
  }
}

/// Row of the store for row r of step `step`, or -1 where it is masked.
HOURGLASS_HD inline int32_t batch_index(const BatchShape& s, const BatchOrder& order, int64_t step, int64_t r) {
  int64_t sample;
  if (order.rows) {
    sample = order.rows[r];
    if (sample < 0) return -1;
  } else {
    const int64_t batches = s.dataset / s.global_batch;
    const int64_t position = step % batches * s.global_batch + s.first_row + r;
    sample = permute(static_cast<uint32_t>(position), static_cast<uint32_t>(s.dataset), order.seed,
                     static_cast<uint32_t>(step / batches));
  }
  return order.table ? order.table[sample] : static_cast<int32_t>(sample);
}

/// The same of the order's own step.
HOURGLASS_HD inline int32_t batch_index(const BatchShape& s, const BatchOrder& order, int64_t r) {
  return batch_index(s, order, order.step ? *order.step : 0, r);
}

/// The sample that row r shows, if batch_index says `index`.
template <class S>
HOURGLASS_HD inline const S* sample_row(const BatchShape& s, const S* data, const BatchOrder& order, int32_t index,
                                        int64_t r) {
  if (!order.staged.slots) return data + int64_t{index} * s.D;
  const int64_t slot = order.rows || !order.step ? 0 : *order.step % order.staged.count;
  return static_cast<const S*>(order.staged.slots[slot]) + (s.first_row + r) * s.D;
}

/// The noise of a binarisation. Without a step it is keyed by data index: `rows` is then to be set to the indices.
inline Noise binarize_noise(const BatchShape& s, const BatchOrder& order, const Binarize& binarize) {
  Noise noise;
  noise.seed = binarize.seed;
  noise.stream = binarize.stream;
  if (binarize.mode == Binarization::kDynamic && !order.rows) {
    static constexpr int64_t kFirstStep = 0;
    noise.step = order.step ? order.step : &kFirstStep;
    noise.first_row = s.first_row;
  }
  return noise;
}

}  // namespace hourglass
