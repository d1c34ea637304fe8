// SPDX-License-Identifier: Apache-2.0
// Where a step gets its batch: samples that live on the device, gathered by a kernel, in an order that is a function of
// the step alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/batch_stream.h"
#include "engine/buffer.h"
#include "engine/sample_store.h"
#include "engine/tape.h"
#include "engine/training_state.h"
#include "kernels/base/noise.h"
#include "kernels/batch.h"
#include "kernels/step_state.h"

namespace hourglass {

/// A batch on the tape.
struct Batch {
  Var x;                 ///< (N, D), scaled to 0..1, binarised if asked
  Var index;             ///< (N) i32: row of the store; -1 for a masked row of evaluation
  Noise noise;           ///< addresses the random numbers of these rows; name a stream before use
  FaultReport report{};  ///< of the training step; empty in evaluation

  Var corrupted;  ///< (N, D) x with noise on it, for denoising; empty: none
  /// What an encoder sees; a loss compares with x.
  const Var& input() const { return corrupted ? corrupted : x; }
};

struct BatchOptions {
  int batch = 128;
  uint32_t seed = 0;
  Binarization binarize = Binarization::kNone;
  /// Bytes of device memory that the samples may take; of more, a few batches are staged there and the rest is brought
  /// ahead, with the same bits. 0: a quarter of what is free on a CUDA device; on the CPU, what is in memory stays
  /// there.
  int64_t data_memory = 0;
};

/// Where the rows of training batches are, for a kernel that gathers them itself.
struct ResidentBatches {
  const void* data;
  Dtype dtype;
  BatchShape shape;
  BatchOrder order;
  Binarize binarize;
};

class BatchSource {
 public:
  /// `split` lists the rows of the store that belong to this source; it is copied, the samples are not. Throws
  /// Error(kUsage) for a batch below 1, Error(kData) for a row outside the store. What the store points to must outlive
  /// this where the samples are streamed.
  BatchSource(const Context& ctx, const SampleStore& store, const std::vector<int32_t>& split,
              const BatchOptions& options, Dtype dtype);

  int64_t size() const { return size_; }
  int64_t batches_per_epoch() const { return size_ / options_.batch; }
  int batch() const { return options_.batch; }
  /// Whether the samples are brought to the device batch by batch.
  bool streams() const { return streams_; }

  /// Training: the next full batch of the step in `state`, or rows [first_row, first_row + rows) of it for
  /// accumulation over micro-batches. Throws Error(kUsage) for a split smaller than a batch, naming both numbers and
  /// the option to type.
  Batch next(Tape& tape, TrainingState& state, int first_row = 0, int rows = 0) const;

  /// Training: the whole batches of the steps in `state`. Throws as next() does, and where the samples are streamed.
  ResidentBatches resident(const TrainingState& state) const;

  /// Evaluation: the batch chosen by `select`.
  Batch selected(Tape& tape) const;
  /// The samples first .. first + batch of the split for the next run of an evaluation graph; rows past the end are
  /// masked. Returns how many are real. Where the samples are streamed `first` must be a multiple of the batch.
  int select(int64_t first);

 private:
  BatchShape shape_of(int first_row, int rows) const;
  BatchOrder order_of(const TrainingState& state) const;
  Binarize binarize() const { return {options_.binarize, options_.seed, stream_id("binarize")}; }
  void hold(const SampleStore& store);
  BatchStream& steps(TrainingState& state) const;
  BatchStream& selection() const;
  Batch gather(Tape& tape, const BatchShape& shape, const BatchOrder& order) const;

  SampleStore store_;
  BatchOptions options_;
  Dtype dtype_;
  int64_t size_;
  const Context* ctx_;
  Context real_;                   // ctx_ as it was constructed, when nothing was measured
  Buffer samples_, table_, rows_;  // samples_: the store, where the device is not the host
  bool streams_ = false;
  std::shared_ptr<const std::vector<int32_t>> split_;  // where the samples are streamed
  // Made when they are first asked for, which is when the steps are measured.
  mutable std::shared_ptr<BatchStream> steps_, selection_;
};

}  // namespace hourglass
