// SPDX-License-Identifier: Apache-2.0
// The batch of a step: which samples, gathered from the data store, scaled, and binarised if asked.
//
// Training order is a function of the device's step alone. An epoch has E = dataset / global_batch full batches; the
// ragged end is dropped, another one each epoch, because the permutation is over the whole data set:
//
//   epoch = step / E,   position = (step % E) global_batch + first_row + r,   r in [0, N)
//   sample = permute(position, dataset, seed, epoch)          keyed Feistel network (kernels/base/permutation.h)
//
// so one batch of 128 rows and two micro-batches of 64 (first_row 0 and 64, one step) see the same images. Evaluation
// names its samples: sample = rows[r]; a negative one is a masked row, which is filled with zeros and has index -1.
// `table`, where present, maps sample numbers to rows of the store, so that splits share one store.
//
//   index[r] = table ? table[sample] : sample                 row of the store, also written to `indices` (N)
//   x[r, d]  = data[index[r], d] / 255 (u8), or as stored (f32)
//
// Binarised, x[r, d] is 1 with probability x[r, d] and else 0, drawn from Philox (kernels/base/noise.h) under `stream`:
// static, keyed by (index, step 0): always the same picture; dynamic, in training keyed by (first_row + r, step), in
// evaluation as static.
//
// `staged`, where present, replaces `data`, which may then be null: row r of the step's batch is row first_row + r of
// slot step % count, and of evaluation's that of slot 0.
//
//   data (rows of the store, D), x (N, D), indices (N)
//
// Zero rows: nothing happens. Errors: kUsage for a training batch larger than the data set, and for rows outside the
// global batch.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/noise.h"

namespace hourglass {

struct BatchShape {
  int N = 0;             ///< rows of this (micro-)batch
  int D = 0;             ///< columns of a sample
  int first_row = 0;     ///< position of row 0 in the global batch
  int global_batch = 0;  ///< rows of a step over all micro-batches; at most `dataset`
  int dataset = 0;       ///< samples in this split: the length of `table` where present
};

/// Batches that were brought ahead, because the samples do not fit the device. Both the slots and the pointers to them
/// lie in device memory: a captured step takes another slot each time.
struct StagedBatches {
  const void* const* slots = nullptr;  ///< (count) each (global_batch, D), rows in the order of the batch
  int count = 0;
};

struct BatchOrder {
  uint32_t seed = 0;
  const int64_t* step = nullptr;   ///< training: the device's step counter; null means step 0
  const int32_t* rows = nullptr;   ///< evaluation: the sample of each row (N); negative: masked
  const int32_t* table = nullptr;  ///< (dataset) row of the store of each sample; null: the sample itself
  StagedBatches staged = {};       ///< where the samples are not in `data`
};

enum class Binarization : uint8_t { kNone, kStatic, kDynamic };

struct Binarize {
  Binarization mode = Binarization::kNone;
  uint32_t seed = 0;
  uint32_t stream = stream_id("binarize");
};

namespace cpu {

/// S: uint8_t or float; T: float or double.
template <class S, class T>
void gather_batch(const Context& ctx, BatchShape s, const S* data, BatchOrder order, Binarize binarize, T* x,
                  int32_t* indices);

/// The timed float forms.
void gather_batch(const Context& ctx, BatchShape s, const uint8_t* data, BatchOrder order, Binarize binarize, float* x,
                  int32_t* indices);
void gather_batch(const Context& ctx, BatchShape s, const float* data, BatchOrder order, Binarize binarize, float* x,
                  int32_t* indices);

}  // namespace cpu

namespace cuda {

/// S: uint8_t or float; T: float or bf16. Indices, and the bits drawn, are those of the CPU.
template <class S, class T>
void gather_batch(const Context& ctx, BatchShape s, const S* data, BatchOrder order, Binarize binarize, T* x,
                  int32_t* indices);

}  // namespace cuda
}  // namespace hourglass
