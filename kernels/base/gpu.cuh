// SPDX-License-Identifier: Apache-2.0
// What every kernel file includes: the portability layer between kernels and the CUDA toolkit. Two compilers read it:
// nvcc, and g++ through the SIMT emulator (HOURGLASS_CUDA=EMULATED), which runs the very same .cu file on the CPU. It
// is, with mma.cuh and hopper.cuh, the only place with PTX, `extern __shared__` and the launch API; kernels need
// nothing else from the toolkit but the language (threadIdx, __shared__, __syncthreads, __shfl_*_sync, atomics).
//
// A kernel file:
//
//   #include "kernels/base/gpu.cuh"
//   #include "kernels/scale.h"
//   namespace hourglass::cuda {
//   namespace {
//   template <class T>
//   __global__ void __launch_bounds__(kThreads) scale_elementwise_kernel(int64_t n, const T* x, float factor, T* y) {
//     for (int64_t i = gpu::global_thread(); i < n; i += gpu::grid_threads()) y[i] = static_cast<T>(x[i] * factor);
//   }
//   }  // namespace
//   template <class T>
//   void scale(const Context& ctx, ScaleShape s, const T* x, double factor, T* y) {
//     if (s.n == 0) return;                                               // an empty grid is an error
//     gpu::launch(scale_elementwise_kernel<T>, gpu::ceil_div(s.n, kThreads), kThreads, 0, gpu::stream(ctx), s.n, x,
//                 static_cast<float>(factor), y);
//   }
//   template void scale(const Context&, ScaleShape, const float*, double, float*);
//   template void scale(const Context&, ScaleShape, const bf16*, double, bf16*);
//   }  // namespace hourglass::cuda
//
// Rules: every thread of a block reaches every barrier (bounds are predicates, not early returns, in kernels with
// barriers); explicit full masks; __syncwarp orders shared memory within a warp, a shuffle does not; blocks of one
// launch do not wait for each other but by grid_barrier.cuh in a cooperative launch; no floating-point atomics; shared
// arrays read as Vec4 are alignas(16).
#pragma once

#include <cuda_runtime.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/base/bf16.h"
#include "kernels/base/context.h"
#include "kernels/base/cuda_check.h"

namespace hourglass::gpu {

using hourglass::bf16;

inline constexpr int kWarp = 32;
inline constexpr unsigned kFullMask = 0xFFFFFFFFu;

// ---------------------------------------------------------------- host: launching

inline cudaStream_t stream(const Context& ctx) { return static_cast<cudaStream_t>(ctx.stream); }

/// Number of tiles of `tile` that cover n; as a grid extent it must fit the hardware: throws beyond 2^31 - 1.
inline unsigned ceil_div(int64_t n, int64_t tile) {
  const int64_t count = (n + tile - 1) / tile;
  if (count > 0x7FFFFFFF) throw Error(Exit::kUsage, "cuda: " + std::to_string(n) + " elements are too many for a grid");
  return static_cast<unsigned>(count);
}

/// Readable name of a kernel, for messages: "void hourglass::cuda::(anonymous namespace)::scale_kernel<float>(...)".
inline std::string kernel_name(const void* kernel) {
  const char* symbol = nullptr;
  if (cudaFuncGetName(&symbol, kernel) != cudaSuccess || !symbol) {
    static_cast<void>(cudaGetLastError());
    return "unknown kernel";
  }
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : symbol;
}

/// Throws kDeviceFault with the kernel's name and its geometry.
[[noreturn]] inline void launch_failed(cudaError_t error, const void* kernel, dim3 grid, dim3 block, size_t smem) {
  const auto extents = [](dim3 d) {
    return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z);
  };
  static_cast<void>(cudaGetLastError());
  throw Error(exit_of(error), "launch of " + kernel_name(kernel) + ", grid " + extents(grid) + ", block " +
                                  extents(block) + ", " + std::to_string(smem) + " bytes of shared memory: " +
                                  cudaGetErrorName(error) + ": " + cudaGetErrorString(error));
}

/// An argument becomes a parameter as in a call, but never by narrowing: a silent int64 -> int is a wrong result.
template <class Parameter, class Argument>
Parameter kernel_argument(Argument&& argument) {
  using A = std::remove_cvref_t<Argument>;
  if constexpr (std::is_arithmetic_v<A> && std::is_arithmetic_v<Parameter>) {
    static_assert(std::is_integral_v<A> == std::is_integral_v<Parameter> && sizeof(Parameter) >= sizeof(A),
                  "kernel argument would be narrowed: cast it where the reader sees it");
  }
  return std::forward<Argument>(argument);
}

/// Allows a kernel `smem` bytes of dynamic shared memory. Unasked it has 48 KiB, static arrays included. Never lowered:
/// a launch that has been captured may need what it was.
inline void allow_shared(const void* kernel, dim3 grid, dim3 block, size_t smem) {
  constexpr size_t kLeavesRoom = 32 << 10;
  if (smem <= kLeavesRoom) return;
  cudaFuncAttributes now = {};
  cudaError_t error = cudaFuncGetAttributes(&now, kernel);
  const int wanted = std::max(now.maxDynamicSharedSizeBytes, static_cast<int>(smem));
  if (error == cudaSuccess) {
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, wanted);
  }
  if (error != cudaSuccess) launch_failed(error, kernel, grid, block, smem);
}

/// What both kinds of launches do.
template <class... Parameters, class... Arguments>
void launch_with(cudaLaunchAttribute* attributes, unsigned count, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                 size_t smem, cudaStream_t stream, Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of kernel arguments");
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "kernel parameters are copied byte by byte");
  static_assert((!std::is_reference_v<Parameters> && ...), "a kernel parameter cannot be a reference");
  const void* const address = reinterpret_cast<const void*>(kernel);
  allow_shared(address, grid, block, smem);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = smem;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  const cudaError_t error =
      cudaLaunchKernelEx(&config, kernel, kernel_argument<Parameters>(std::forward<Arguments>(arguments))...);
  if (error != cudaSuccess) launch_failed(error, address, grid, block, smem);
}

/// Launches kernel(args...) on grid x block threads with `smem` bytes of dynamic shared memory. Throws if the launch is
/// refused; a fault inside the kernel appears at a later check of the stream, as CUDA has it.
/// Parameters are passed by value and trivially copyable: pointers, numbers, shapes, Grad, Noise.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t smem, cudaStream_t stream,
            Arguments&&... arguments) {
  launch_with(nullptr, 0, kernel, grid, block, smem, stream, std::forward<Arguments>(arguments)...);
}

/// Blocks of a kernel that the current device holds at the same time, which is the largest grid of launch_cooperative;
/// 0 if the device has no cooperative launches.
template <class... Parameters>
unsigned resident_blocks(void (*kernel)(Parameters...), dim3 block, size_t smem) {
  const void* const address = reinterpret_cast<const void*>(kernel);
  allow_shared(address, 0, block, smem);
  int device = 0, cooperative = 0, multiprocessors = 0, of_one = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device));
  CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const auto threads = static_cast<int>(block.x * block.y * block.z);
  CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_one, address, threads, smem));
  return cooperative ? static_cast<unsigned>(multiprocessors * of_one) : 0;
}

/// As launch, for a kernel whose blocks wait for each other (grid_barrier.cuh): all of them run at the same time.
/// Throws kDevice where the device cannot hold so many.
template <class... Parameters, class... Arguments>
void launch_cooperative(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t smem, cudaStream_t stream,
                        Arguments&&... arguments) {
  const uint64_t wanted = uint64_t{grid.x} * grid.y * grid.z, most = resident_blocks(kernel, block, smem);
  if (wanted > most) {
    throw Error(Exit::kDevice, kernel_name(reinterpret_cast<const void*>(kernel)) +
                                   ": the blocks of its grid wait for " + "each other; expected at most " +
                                   std::to_string(most) + ", which is what this device holds at once, got " +
                                   std::to_string(wanted));
  }
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  launch_with(&attribute, 1, kernel, grid, block, smem, stream, std::forward<Arguments>(arguments)...);
}

/// True if every pointer is aligned for load4/store4 of its element type, and rows of n elements stay aligned (n % 4 =
/// 0): whether a launcher may pick its vectorised kernel. Null pointers are aligned.
template <class... T>
bool can_load4(int64_t n, const T*... pointers) {
  return n % 4 == 0 && ((reinterpret_cast<uintptr_t>(pointers) % (4 * sizeof(T)) == 0) && ...);
}

// ---------------------------------------------------------------- device: indices

/// Index of this thread in a one-dimensional grid of one-dimensional blocks, and the number of threads of that grid.
__device__ __forceinline__ int64_t global_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64_t grid_threads() { return int64_t{gridDim.x} * blockDim.x; }
__device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) / kWarp; }

// ---------------------------------------------------------------- device: memory

/// The dynamic shared memory of the block, aligned to 128 bytes. Each call returns the same address.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(128) unsigned char hourglass_dynamic_shared[];
  return reinterpret_cast<T*>(hourglass_dynamic_shared);
#else
  return static_cast<T*>(simt::dynamic_shared());
#endif
}

/// Reads a word that another block changes by atomics: what that block wrote before a fence and its atomic is seen by
/// whoever sees the change.
__device__ __forceinline__ unsigned load_acquire(unsigned* p) {
#if defined(__CUDA_ARCH__)
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(p) : "memory");
  return value;
#else
  return atomicAdd(p, 0u);
#endif
}

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return x; }

/// float -> T, rounded to nearest even: gpu::from_float<T>(x). The same bits as static_cast<bf16>, in one instruction.
template <class T>
__device__ __forceinline__ T from_float(float x) {
  if constexpr (std::is_same_v<T, bf16>) {
#if defined(__CUDA_ARCH__)
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
#else
    return bf16(x);
#endif
  } else {
    return static_cast<T>(x);
  }
}

/// Four neighbouring elements as floats, whatever their storage type.
struct alignas(16) Vec4 {
  float v[4];
  __device__ __forceinline__ float& operator[](int i) { return v[i]; }
  __device__ __forceinline__ const float& operator[](int i) const { return v[i]; }
};

/// One 16-byte (float) or 8-byte (bf16) access; p is aligned to that.
__device__ __forceinline__ Vec4 load4(const float* p) {
  const float4 x = *reinterpret_cast<const float4*>(p);
  return {{x.x, x.y, x.z, x.w}};
}
__device__ __forceinline__ Vec4 load4(const bf16* p) {
  const uint2 x = *reinterpret_cast<const uint2*>(p);
  return {{__uint_as_float(x.x << 16), __uint_as_float(x.x & 0xFFFF0000u), __uint_as_float(x.y << 16),
           __uint_as_float(x.y & 0xFFFF0000u)}};
}
__device__ __forceinline__ void store4(float* p, const Vec4& x) {
  *reinterpret_cast<float4*>(p) = make_float4(x[0], x[1], x[2], x[3]);
}
/// Two bf16 in a word, the first in the lower half.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  return from_float<bf16>(low).bits | static_cast<uint32_t>(from_float<bf16>(high).bits) << 16;
}
__device__ __forceinline__ void store4(bf16* p, const Vec4& x) {
  *reinterpret_cast<uint2*>(p) = make_uint2(pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]));
}
/// The same in one access for certain: nvcc 13 cuts many a float4 into four stores of 4 bytes, and many an 8-byte one
/// of bf16 into two, which take as many times the sectors and wavefronts. Not everywhere, because numbers that lie side
/// by side in registers cost some.
__device__ __forceinline__ void store4_whole(float* p, const Vec4& x) {
#if defined(__CUDA_ARCH__)
  using Bits = unsigned __int128;
  const auto pair = [](float low, float high) {
    uint64_t both;
    asm("mov.b64 %0, {%1, %2};" : "=l"(both) : "f"(low), "f"(high));
    return both;
  };
  *reinterpret_cast<Bits*>(p) = Bits{pair(x[0], x[1])} | Bits{pair(x[2], x[3])} << 64;
#else
  store4(p, x);
#endif
}
__device__ __forceinline__ void store4_whole(bf16* p, const Vec4& x) {
#if defined(__CUDA_ARCH__)
  uint64_t four;
  asm("mov.b64 %0, {%1, %2};" : "=l"(four) : "r"(pack_bf16(x[0], x[1])), "r"(pack_bf16(x[2], x[3])));
  *reinterpret_cast<uint64_t*>(p) = four;
#else
  store4(p, x);
#endif
}
/// write() of types.h for four elements.
template <class T>
__device__ __forceinline__ void write4(T* p, const Vec4& x, Write mode) {
  if (mode == Write::kSet) return store4(p, x);
  const Vec4 before = load4(p);
  store4(p, {{before[0] + x[0], before[1] + x[1], before[2] + x[2], before[3] + x[3]}});
}

// ---------------------------------------------------------------- device: reductions

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// A NaN wins over any number.
struct Max {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

/// Combines v over the 32 lanes of a full warp, in an order that depends on nothing but the lane; every lane gets the
/// same bits. T: float, double, or an integer of 4 or 8 bytes.
template <class T, class Combine>
__device__ __forceinline__ T warp_reduce(T v, Combine combine) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) v = combine(v, __shfl_xor_sync(kFullMask, v, distance));
  return v;
}
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
  return warp_reduce(v, Sum{});
}
template <class T>
__device__ __forceinline__ T warp_max(T v) {
  return warp_reduce(v, Max{});
}

/// Combines v over a one-dimensional block of kThreads threads (a multiple of 32); every thread gets the same bits, in
/// an order fixed by kThreads. All threads of the block must call it. It begins with no barrier and ends in one, so it
/// may be called again at once, and it orders the caller's earlier shared-memory accesses before the later ones.
template <class T, int kThreads, class Combine>
__device__ __forceinline__ T block_reduce(T v, Combine combine) {
  static_assert(kThreads % kWarp == 0 && kThreads <= 1024);
  __shared__ T partial[kThreads / kWarp];
  v = warp_reduce(v, combine);
  if (lane() == 0) partial[warp()] = v;
  __syncthreads();
  T total = partial[0];
#pragma unroll
  for (int i = 1; i < kThreads / kWarp; ++i) total = combine(total, partial[i]);
  __syncthreads();
  return total;
}
template <class T, int kThreads>
__device__ __forceinline__ T block_sum(T v) {
  return block_reduce<T, kThreads>(v, Sum{});
}
template <class T, int kThreads>
__device__ __forceinline__ T block_max(T v) {
  return block_reduce<T, kThreads>(v, Max{});
}
template <class T, int kThreads>
__device__ __forceinline__ T block_min(T v) {
  return block_reduce<T, kThreads>(v, Min{});
}

}  // namespace hourglass::gpu
