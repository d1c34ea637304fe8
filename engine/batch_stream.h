// SPDX-License-Identifier: Apache-2.0
// Batches of samples that do not fit the device, brought there ahead of the steps that want them.
//
// Batch b goes through slot b % kSlots, memory of one batch that never moves. A thread reads the rows of the next
// batches (from memory or a file) into host memory; on a CUDA device a stream of its own copies them on from there, and
// the device's order is kept by events: a slot is overwritten only after the step that read it, and a step starts only
// after its slot was written. On the CPU the slots are that host memory. The host is held back so that it is never more
// than kSlots + 1 steps ahead of the device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/sample_store.h"
#include "kernels/batch.h"

namespace hourglass {

class BatchStream {
 public:
  static constexpr int kSlots = 4;

  /// Writes the rows of the store of batch `number` to `rows` (batch); -1 is a masked row. Called by another thread.
  using Rows = std::function<void(int64_t number, int32_t* rows)>;

  /// Memory for all it will ever need. What `store` points to must outlive this. Throws Error(kDevice).
  BatchStream(const Context& ctx, const SampleStore& store, int batch, Rows rows);
  ~BatchStream();
  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  /// For the work put into the context's stream from here to the next call, batch `number` lies in its slot. Cheap
  /// where the numbers are consecutive; another number begins anew. Throws the reader's error, naming the file.
  void acquire(int64_t number);

  /// In device memory: pointers to the slots, then the pointer of the slot acquired last.
  const void* const* slots() const;
  /// Makes the pointer behind those of the slots that of `number`: for steps without a counter.
  void point_to(int64_t number);
  const void* const* pointed() const { return slots() + kSlots; }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hourglass
