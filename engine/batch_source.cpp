// SPDX-License-Identifier: Apache-2.0
#include "engine/batch_source.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "engine/dispatch.h"
#include "engine/transfer.h"

namespace hourglass {
namespace {

size_t checked_batch(int batch) {
  if (batch < 1) throw Error(Exit::kUsage, "batch: expected at least 1, given " + std::to_string(batch));
  return static_cast<size_t>(batch);
}

}  // namespace

BatchSource::BatchSource(const Context& ctx, const SampleStore& store, const std::vector<int32_t>& split,
                         const BatchOptions& options, Dtype dtype)
    : store_(store),
      options_(options),
      dtype_(dtype),
      size_(static_cast<int64_t>(split.size())),
      ctx_(&ctx),
      table_(ctx, split.size() * sizeof(int32_t), "split"),
      rows_(ctx, checked_batch(options.batch) * sizeof(int32_t), "rows of a batch") {
  if (!store.data && store.rows > 0) {
    throw Error(Exit::kDevice, "the samples do not fit into memory; --image-size SIDE loads them smaller");
  }
  for (int32_t row : split) {
    if (row < 0 || row >= store.rows) {
      throw Error(Exit::kData, "split: row " + std::to_string(row) + " of a store of " + std::to_string(store.rows));
    }
  }
  to_device(ctx, table_.data(), split.data(), split.size() * sizeof(int32_t));
  if (ctx.device == Device::kCuda) {
    const size_t bytes = static_cast<size_t>(store.rows) * static_cast<size_t>(store.columns) * size_of(store.dtype);
    samples_ = Buffer(ctx, bytes, "samples");
    to_device(ctx, samples_.data(), store.data, bytes);
    store_.data = samples_.data();
  }
}

Batch BatchSource::gather(Tape& tape, const BatchShape& shape, const BatchOrder& order) const {
  Batch batch;
  batch.x = tape.constant({shape.N, shape.D}, dtype_);
  batch.index = tape.constant({shape.N}, Dtype::kI32);
  const Binarize binarize{options_.binarize, options_.seed, stream_id("binarize")};
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

Batch BatchSource::next(Tape& tape, const TrainingState& state, int first_row, int rows) const {
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
  BatchOrder order;
  order.seed = options_.seed;
  order.step = state.device_step();
  order.table = table_.as<const int32_t>();
  Batch batch = gather(tape, shape, order);
  batch.noise.seed = options_.seed;
  batch.noise.step = state.device_step();
  batch.noise.first_row = first_row;
  return batch;
}

int BatchSource::select(int64_t first) {
  const int64_t real = std::clamp<int64_t>(size_ - first, 0, options_.batch);
  std::vector<int32_t> rows(static_cast<size_t>(options_.batch), -1);
  std::iota(rows.begin(), rows.begin() + real, static_cast<int32_t>(first));
  to_device(*ctx_, rows_.data(), rows.data(), rows.size() * sizeof(int32_t));
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
  Batch batch = gather(tape, shape, order);
  batch.noise.seed = options_.seed;
  batch.noise.rows = batch.index.as<const int32_t>();
  return batch;
}

}  // namespace hourglass
