// SPDX-License-Identifier: Apache-2.0
// Two launches, since every code needs the sum of all counts: one block updates the counts and sums them, in double, in
// an order fixed by K; then a block takes a code at a time, its threads along the dimensions.
#include <algorithm>

#include "kernels/base/codebook_ema_rules.h"
#include "kernels/base/last_block.cuh"

namespace hourglass::cuda {
namespace {

constexpr int kCountThreads = 1024;
constexpr int kCodeThreads = 64;
constexpr int64_t kMostBlocks = 132 * 16;

__device__ __forceinline__ bool refused(const Fault* fault) { return fault && fault->code != 0; }

__global__ void __launch_bounds__(kCountThreads)
    ema_counts_kernel(int K, double decay, const Fault* fault, const float* counts, float* ema_counts, double* total) {
  if (refused(fault)) return;
  double sum = 0;
  for (int k = static_cast<int>(threadIdx.x); k < K; k += kCountThreads) {
    ema_counts[k] =
        static_cast<float>(decay * static_cast<double>(ema_counts[k]) + (1 - decay) * static_cast<double>(counts[k]));
    sum += static_cast<double>(ema_counts[k]);
  }
  sum = gpu::block_sum<double, kCountThreads>(sum);
  if (threadIdx.x == 0) *total = sum;
}

__global__ void __launch_bounds__(kCodeThreads)
    ema_codes_kernel(CodebookEmaShape s, CodebookEmaOptions options, const Fault* fault, const float* sums,
                     const float* x, Noise noise, CodebookEma<float> state, const double* total_of) {
  if (refused(fault)) return;
  const double total = *total_of, decay = options.decay;
  for (int k = static_cast<int>(blockIdx.x); k < s.K; k += static_cast<int>(gridDim.x)) {
    __shared__ int32_t restart_from;
    float count = state.counts[k];
    if (threadIdx.x == 0 && options.restart_threshold > 0) restart_from = restart_row(noise, k, s.N);
    __syncthreads();  // all have read the count: it may change
    const bool dead = static_cast<double>(count) < options.restart_threshold;
    if (dead) {
      count = static_cast<float>(fmax(total / s.K, 2 * options.restart_threshold));
      if (threadIdx.x == 0) state.counts[k] = count;
    }
    const double smoothed = (static_cast<double>(count) + options.epsilon) * total / (total + s.K * options.epsilon);
    const double inverse = smoothed > 0 ? 1 / smoothed : 0;
    const float* const row = dead ? x + int64_t{restart_from} * s.D : nullptr;
    for (int d = static_cast<int>(threadIdx.x); d < s.D; d += kCodeThreads) {
      const int64_t i = int64_t{k} * s.D + d;
      if (dead) {
        state.codebook[i] = row[d];
        state.sums[i] = count * row[d];
      } else {
        const auto sum =
            static_cast<float>(decay * static_cast<double>(state.sums[i]) + (1 - decay) * static_cast<double>(sums[i]));
        state.sums[i] = sum;
        if (inverse > 0) state.codebook[i] = static_cast<float>(static_cast<double>(sum) * inverse);
      }
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kCodeThreads)
    ema_start_elementwise_kernel(CodebookEmaShape s, CodebookEma<float> state) {
  for (int64_t i = gpu::global_thread(); i < int64_t{s.K} * s.D; i += gpu::grid_threads()) {
    state.sums[i] = state.codebook[i];
  }
  for (int64_t k = gpu::global_thread(); k < s.K; k += gpu::grid_threads()) state.counts[k] = 1;
}

unsigned code_blocks(const CodebookEmaShape& s) { return static_cast<unsigned>(std::min<int64_t>(s.K, kMostBlocks)); }

}  // namespace

template <class T>
void codebook_ema_update(const Context& ctx, CodebookEmaShape s, CodebookEmaOptions options, const Fault* fault,
                         const T* counts, const T* sums, const T* x, Noise noise, CodebookEma<T> state) {
  check_codebook_ema(s, options);
  if (s.K == 0) return;
  auto* const total = gpu::partials<double>(ctx);
  gpu::launch(ema_counts_kernel, 1, kCountThreads, 0, gpu::stream(ctx), s.K, options.decay, fault, counts, state.counts,
              total);
  gpu::launch(ema_codes_kernel, code_blocks(s), kCodeThreads, 0, gpu::stream(ctx), s, options, fault, sums, x, noise,
              state, total);
}

template <class T>
void start_codebook_ema(const Context& ctx, CodebookEmaShape s, CodebookEma<T> state) {
  check_codebook_ema(s, {});
  if (s.K == 0) return;
  gpu::launch(ema_start_elementwise_kernel, code_blocks(s), kCodeThreads, 0, gpu::stream(ctx), s, state);
}

template void codebook_ema_update(const Context&, CodebookEmaShape, CodebookEmaOptions, const Fault*, const float*,
                                  const float*, const float*, Noise, CodebookEma<float>);
template void start_codebook_ema(const Context&, CodebookEmaShape, CodebookEma<float>);

}  // namespace hourglass::cuda
