// SPDX-License-Identifier: Apache-2.0
// Memory that ops write forward.
#pragma once

#include "engine/tape.h"

namespace hourglass {

/// Memory of a kernel until the rewind: what ops launch forward has no record that could give it back.
inline Var scratch_of(Tape& tape, size_t bytes) {
  return tape.constant({static_cast<int64_t>((bytes + sizeof(int32_t) - 1) / sizeof(int32_t))}, Dtype::kI32);
}

/// Adds to a statistic, or sets it, as the step so far has it.
inline Slot statistic_slot(Leaf* leaf, Dtype dtype) {
  const Slot slot{leaf->grad, leaf->written ? Write::kAdd : Write::kSet, dtype};
  leaf->written = true;
  return slot;
}

}  // namespace hourglass
