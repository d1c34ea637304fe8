// SPDX-License-Identifier: Apache-2.0
// Denoising autoencoders: the encoder sees a corrupted image, the loss asks for the clean one. Any model can be trained
// so. Source: Vincent et al., ICML 2008 and JMLR 11 (2010).
#pragma once

#include <string>

#include "engine/batch_source.h"
#include "engine/ops.h"
#include "engine/runtime.h"
#include "models/row_function.h"

namespace hourglass {

/// "gaussian:0.5", "mask:0.25", "salt-pepper:0.1", or "none" (amount 0). Throws Error(kUsage) naming `option`.
Corruption parse_corruption(const std::string& option, const std::string& text);

/// The batch with `corrupted` drawn anew, unless there is no corruption. In training the noise is another one in each
/// step; in evaluation it belongs to the image.
Batch corrupt_batch(Tape& tape, Batch batch, const Corruption& corruption);

/// Corrupted copies of images on the host, for pictures.
class Corruptor {
 public:
  Corruptor(Runtime& runtime, int pixels, const Corruption& corruption, uint32_t seed);
  Matrix operator()(const Matrix& images) { return function_("corrupt", images); }
  size_t bytes() const { return function_.bytes(); }

 private:
  RowFunction function_;
};

}  // namespace hourglass
