// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/base/types.h"

namespace hourglass {

class SampleFile;

/// All samples of all splits, as a data set holds them. Not owned.
struct SampleStore {
  const void* data = nullptr;  ///< (rows, columns), u8 meaning 0..1, or f32; null: in `file`
  Dtype dtype = Dtype::kU8;
  int64_t rows = 0;
  int columns = 0;
  const SampleFile* file = nullptr;  ///< holds the rows where `data` is null
};

}  // namespace hourglass
