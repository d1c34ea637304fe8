// SPDX-License-Identifier: Apache-2.0
// What a training step computes in (docs/precision.md). What a trained model is used for computes in fp32.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/base/context.h"

namespace hourglass {

enum class Precision : uint8_t {
  kFp32,  ///< float, multiplied in full
  kTf32,  ///< float; matrix products and convolutions round their operands to tf32
  kBf16,  ///< activations and weights in bf16, sums in float; parameters, their gradients, losses, statistics in float
};

const char* name_of(Precision precision);  ///< "fp32", "tf32", "bf16"
/// Throws Error(kUsage) for another name.
Precision parse_precision(const std::string& name);
/// For the header of a run: "tf32: ...".
std::string describe(Precision precision);
/// Throws Error(kUsage) where the device of `ctx` cannot train in it: all but fp32 need CUDA.
void check_precision(Precision precision, const Context& ctx);

}  // namespace hourglass
