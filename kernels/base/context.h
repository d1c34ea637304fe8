// SPDX-License-Identifier: Apache-2.0
// Where a kernel runs. `const Context&` is the first argument of every kernel.
#pragma once

#include <cstdint>

#include "kernels/base/types.h"

namespace hourglass {

class ThreadPool;

enum class Device : uint8_t { kCpu, kCuda };

/// Partial sums of one kernel at a time: there is one stream.
inline constexpr int64_t kWorkspaceBytes = int64_t{1} << 20;

/// How float products multiply on CUDA: in full, or with operands rounded to tf32 (10 bits of mantissa, float sums) on
/// the tensor cores. The CPU always multiplies in full.
enum class Math : uint8_t { kFp32, kTf32 };

struct Context {
  Device device = Device::kCpu;
  bool measuring = false;         ///< a dry run for `device`: ops allocate, and launch nothing; it sizes the arena
  ThreadPool* threads = nullptr;  ///< CPU: null means run on the calling thread alone; results are the same bits
  void* workspace = nullptr;      ///< CUDA: kWorkspaceBytes for partial sums, the first 256 bytes tickets; zeroed once
  void* stream = nullptr;         ///< CUDA: the one explicit stream
  bool own_gemm = false;          ///< CUDA: our own matrix products even where cuBLASLt could do them
  Math math = Math::kFp32;
};

namespace cpu {
/// Type tag and context in one: kernels of namespace hourglass::cpu are found through it by argument-dependent
/// lookup, so that an op calls `gaussian_kl_forward(lane, ...)` and never names a device.
template <class T>
struct Lane : Context {
  using type = T;
};
}  // namespace cpu

namespace cuda {
/// The same for kernels of namespace hourglass::cuda. T: float, or bf16 (bf16.h).
template <class T>
struct Lane : Context {
  using type = T;
};
}  // namespace cuda

}  // namespace hourglass
