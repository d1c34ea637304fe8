// SPDX-License-Identifier: Apache-2.0
// A row is a task of row_tasks.cuh. Its first thread works out which sample it is (64-bit divisions and a Feistel
// network with cycle walking: some hundred instructions) and the others take it from shared memory; all then copy,
// scale and binarise quads of columns, one Philox block to a quad.
#include "kernels/base/gather.cuh"

namespace hourglass::cuda {
namespace {

template <class S, class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    gather_rows_kernel(gpu::RowTasks tasks, BatchShape s, const S* data, BatchOrder order, PixelNoise pixel_noise, T* x,
                       int32_t* indices) {
  __shared__ int32_t index_of[gpu::kTaskThreads];  // of each task of the block
  __shared__ const S* sample_of[gpu::kTaskThreads];
  gpu::for_each_task(tasks, [&](int64_t task) {
    const int64_t row = tasks.segments > 1 ? task / tasks.segments : task;
    int32_t& index = index_of[threadIdx.x >> tasks.threads_log2];
    const S*& sample = sample_of[threadIdx.x >> tasks.threads_log2];
    __syncthreads();  // the tasks before are done with theirs
    if ((threadIdx.x & ((1u << tasks.threads_log2) - 1)) == 0 && task < tasks.count()) {
      index = batch_index(s, order, row);
      sample = index >= 0 ? sample_row(s, data, order, index, row) : nullptr;
      if (task == row * tasks.segments) indices[row] = index;
    }
    __syncthreads();
    gpu::task_sum<kVector>(tasks, task, [&](int64_t) {
      const int32_t from = index;
      const S* const pixels = sample;
      const Noise& noise = pixel_noise.noise;
      const uint32_t key = pixel_noise.by_step ? noise.row_of(row) : static_cast<uint32_t>(from);
      const uint32_t step = pixel_noise.by_step ? noise.step_of() : 0;
      return [=, &noise](int quad, int count) {
        gpu::Vec4 v{};
        if (from >= 0) v = load_pixels<kVector>(pixels + 4 * quad, count);
        if (pixel_noise.draws) v = binarized(noise, key, step, quad, v);
        gpu::write_quad<kVector>(x + row * s.D + 4 * quad, v, count, Write::kSet);
        return 0.0f;
      };
    });
  });
}

}  // namespace

template <class S, class T>
void gather_batch(const Context& ctx, BatchShape s, const S* data, BatchOrder order, Binarize binarize, T* x,
                  int32_t* indices) {
  check_batch(s, order);
  if (s.N == 0) return;
  PixelNoise noise{binarize_noise(s, order, binarize), binarize.mode != Binarization::kNone};
  noise.by_step = noise.noise.step != nullptr;
  noise.noise.step = order.step;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, data, x), [&](auto vectors) {
    gpu::launch(gather_rows_kernel<S, T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, data, order, noise, x, indices);
  });
}

#define HOURGLASS_INSTANTIATE(S, T) \
  template void gather_batch<S, T>(const Context&, BatchShape, const S*, BatchOrder, Binarize, T*, int32_t*);
HOURGLASS_INSTANTIATE(uint8_t, float)
HOURGLASS_INSTANTIATE(uint8_t, bf16)
HOURGLASS_INSTANTIATE(float, float)
HOURGLASS_INSTANTIATE(float, bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
