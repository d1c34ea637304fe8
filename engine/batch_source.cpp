// SPDX-License-Identifier: Apache-2.0
#include "engine/batch_source.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "engine/dispatch.h"
#include "engine/sample_file.h"
#include "engine/transfer.h"
#include "kernels/base/batch_order.h"
#include "kernels/base/cuda_device.h"

namespace hourglass {
namespace {

size_t checked_batch(int batch) {
  if (batch < 1) throw Error(Exit::kUsage, "batch: expected at least 1, given " + std::to_string(batch));
  return static_cast<size_t>(batch);
}

int64_t row_bytes(const SampleStore& store) {
  return int64_t{store.columns} * static_cast<int64_t>(size_of(store.dtype));
}

/// Bytes up to which the whole store is held where the kernels read it.
int64_t resident_limit(const Context& ctx, const SampleStore& store, const BatchOptions& options) {
  if (ctx.device != Device::kCuda && !store.data) return 0;
  if (options.data_memory > 0) return options.data_memory;
  if (ctx.device == Device::kCuda) return static_cast<int64_t>(cuda::available() / 4);
  return std::numeric_limits<int64_t>::max();
}

}  // namespace

BatchSource::BatchSource(const Context& ctx, const SampleStore& store, const std::vector<int32_t>& split,
                         const BatchOptions& options, Dtype dtype)
    : store_(store),
      options_(options),
      dtype_(dtype),
      size_(static_cast<int64_t>(split.size())),
      ctx_(&ctx),
      real_(ctx),
      table_(ctx, split.size() * sizeof(int32_t), "split"),
      rows_(ctx, checked_batch(options.batch) * sizeof(int32_t), "rows of a batch") {
  for (int32_t row : split) {
    if (row < 0 || row >= store.rows) {
      throw Error(Exit::kData, "split: row " + std::to_string(row) + " of a store of " + std::to_string(store.rows));
    }
  }
  to_device(ctx, table_.data(), split.data(), split.size() * sizeof(int32_t));
  const int64_t bytes = store.rows * row_bytes(store);
  streams_ = bytes > resident_limit(ctx, store, options);
  if (streams_) {
    split_ = std::make_shared<const std::vector<int32_t>>(split);
  } else if (ctx.device == Device::kCuda) {
    hold(store);
  }
}

void BatchSource::hold(const SampleStore& store) {
  const int64_t row = row_bytes(store);
  samples_ = Buffer(*ctx_, static_cast<size_t>(store.rows * row), "samples");
  store_.data = samples_.data();
  if (store.data) return to_device(*ctx_, samples_.data(), store.data, static_cast<size_t>(store.rows * row));
  const int64_t piece = std::max<int64_t>(1, (int64_t{1} << 24) / row);
  std::vector<uint8_t> rows(static_cast<size_t>(std::min(piece, store.rows) * row));
  for (int64_t first = 0; first < store.rows; first += piece) {
    const int64_t count = std::min(piece, store.rows - first);
    store.file->read(first, count, rows.data());
    to_device(*ctx_, samples_.as<uint8_t>() + first * row, rows.data(), static_cast<size_t>(count * row));
  }
}

BatchStream& BatchSource::steps(TrainingState& state) const {
  if (steps_) return *steps_;
  BatchShape shape;
  shape.N = shape.global_batch = options_.batch;
  shape.dataset = static_cast<int>(size_);
  const uint32_t seed = options_.seed;
  steps_ = std::make_shared<BatchStream>(real_, store_, options_.batch,
                                         [shape, seed, split = split_](int64_t step, int32_t* rows) {
                                           BatchOrder order;
                                           order.seed = seed;
                                           order.step = &step;
                                           order.table = split->data();
                                           for (int r = 0; r < shape.N; ++r) rows[r] = batch_index(shape, order, r);
                                         });
  state.before_step([stream = steps_](int64_t step) { stream->acquire(step); });
  return *steps_;
}

BatchStream& BatchSource::selection() const {
  if (selection_) return *selection_;
  const int batch = options_.batch;
  selection_ =
      std::make_shared<BatchStream>(real_, store_, batch, [batch, split = split_](int64_t number, int32_t* rows) {
        const int64_t first = number * batch, size = static_cast<int64_t>(split->size());
        for (int64_t r = 0; r < batch; ++r) {
          rows[r] = first + r < size ? (*split)[static_cast<size_t>(first + r)] : -1;
        }
      });
  return *selection_;
}

Batch BatchSource::gather(Tape& tape, const BatchShape& shape, const BatchOrder& order) const {
  Batch batch;
  batch.x = tape.constant({shape.N, shape.D}, dtype_);
  batch.index = tape.constant({shape.N}, Dtype::kI32);
  const Binarize binarize = this->binarize();
  dispatch(tape.ctx(), dtype_, [&](auto lane) {
    using T = typename decltype(lane)::type;
    int32_t* index = batch.index.as<int32_t>();
    if (store_.dtype == Dtype::kU8) {
      gather_batch(lane, shape, static_cast<const uint8_t*>(store_.data), order, binarize, batch.x.as<T>(), index);
    } else {
      gather_batch(lane, shape, static_cast<const float*>(store_.data), order, binarize, batch.x.as<T>(), index);
    }
  });
  return batch;
}

BatchShape BatchSource::shape_of(int first_row, int rows) const {
  if (size_ < options_.batch) {
    throw Error(Exit::kUsage, "a batch of " + std::to_string(options_.batch) + ": the split has " +
                                  std::to_string(size_) + " samples, and training batches are always full");
  }
  BatchShape shape;
  shape.N = rows > 0 ? rows : options_.batch;
  shape.D = store_.columns;
  shape.first_row = first_row;
  shape.global_batch = options_.batch;
  shape.dataset = static_cast<int>(size_);
  return shape;
}

BatchOrder BatchSource::order_of(const TrainingState& state) const {
  BatchOrder order;
  order.seed = options_.seed;
  order.step = state.device_step();
  order.table = table_.as<const int32_t>();
  return order;
}

ResidentBatches BatchSource::resident(const TrainingState& state) const {
  if (streams_) {
    throw Error(Exit::kUsage, "training batches: expected samples that the device holds, given " +
                                  std::to_string(store_.rows) + " that are brought to it batch by batch");
  }
  return {store_.data, store_.dtype, shape_of(0, options_.batch), order_of(state), binarize()};
}

Batch BatchSource::next(Tape& tape, TrainingState& state, int first_row, int rows) const {
  const BatchShape shape = shape_of(first_row, rows);
  BatchOrder order = order_of(state);
  if (streams_) order.staged = {steps(state).slots(), BatchStream::kSlots};
  Batch batch = gather(tape, shape, order);
  batch.noise.seed = options_.seed;
  batch.noise.step = state.device_step();
  batch.noise.first_row = first_row;
  batch.report = {state.device_fault(), state.device_step()};
  tape.mark("batch");
  return batch;
}

int BatchSource::select(int64_t first) {
  const int64_t real = std::clamp<int64_t>(size_ - first, 0, options_.batch);
  std::vector<int32_t> rows(static_cast<size_t>(options_.batch), -1);
  std::iota(rows.begin(), rows.begin() + real, static_cast<int32_t>(first));
  to_device(*ctx_, rows_.data(), rows.data(), rows.size() * sizeof(int32_t));
  if (streams_) {
    if (first % options_.batch != 0) {
      throw Error(Exit::kInternal, "select: expected a multiple of the batch of " + std::to_string(options_.batch) +
                                       ", got " + std::to_string(first));
    }
    BatchStream& stream = selection();
    stream.acquire(first / options_.batch);
    stream.point_to(first / options_.batch);
  }
  return static_cast<int>(real);
}

Batch BatchSource::selected(Tape& tape) const {
  BatchShape shape;
  shape.N = shape.global_batch = options_.batch;
  shape.D = store_.columns;
  shape.dataset = static_cast<int>(size_);
  BatchOrder order;
  order.seed = options_.seed;
  order.rows = rows_.as<const int32_t>();
  order.table = table_.as<const int32_t>();
  if (streams_) order.staged = {selection().pointed(), 1};
  Batch batch = gather(tape, shape, order);
  batch.noise.seed = options_.seed;
  batch.noise.rows = batch.index.as<const int32_t>();
  return batch;
}

}  // namespace hourglass
