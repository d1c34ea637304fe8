// SPDX-License-Identifier: Apache-2.0
// The few types that every kernel signature is made of.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/base/simd.h"

namespace hourglass {

/// Element type of a tensor. f64 exists on the CPU only, for the gradient checks.
enum class Dtype : uint8_t { kF32, kBF16, kF64, kI32, kU8 };

/// How a kernel writes an output: overwrite every element, or add to what is there.
/// The tape decides; the kernel obeys. kSet means *every* element, zeros included.
enum class Write : uint8_t { kSet, kAdd };

/// Type of accumulators, statistics, losses and parameter gradients for storage type T (float, double, bf16: bf16.h).
template <class T>
using acc_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// A gradient (or other additive) output: where to write, and whether to set or add. Null: not wanted, write nothing.
template <class T>
struct Grad {
  T* data = nullptr;
  Write mode = Write::kSet;
  HOURGLASS_HD explicit operator bool() const { return data != nullptr; }
};

/// Writes one element as `mode` says.
template <class T, class V>
HOURGLASS_HD inline void write(T& destination, V value, Write mode) {
  destination = mode == Write::kAdd ? destination + static_cast<T>(value) : static_cast<T>(value);
}

/// The weight of a loss term: a constant, times a scalar in device memory when a schedule changes it between steps.
struct Weight {
  double constant = 1;
  const double* device = nullptr;  ///< null: the constant alone
  HOURGLASS_HD double value() const { return device ? constant * *device : constant; }
};

}  // namespace hourglass
