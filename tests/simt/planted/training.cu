// SPDX-License-Identifier: Apache-2.0
// Planted bugs in what a training step does besides products, drawn from Hourglass's losses, noise, quantiser and
// optimizers.
#include <algorithm>

#include "kernels/base/last_block.cuh"
#include "kernels/base/philox.h"
#include "tests/simt/planted/planted.h"

namespace hourglass::test {
namespace {

/// A mean over blocks, finished by the last one; two launches share one ticket.
__global__ void mean_ticket_kernel(const float* x, float* parts, unsigned* ticket, float* y, bool planted) {
  const float part = gpu::block_sum<float, 64>(x[gpu::global_thread()]);
  if (threadIdx.x == 0) parts[blockIdx.x] = part;
  if (!gpu::is_last_block(ticket)) return;
  if (threadIdx.x != 0) return;
  float total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += parts[i];
  *y = total;
  if (planted) *ticket = 1;
}
Outcome ticket_left_taken(bool planted) {
  const Array<> parts(4), y(Floats(2, 0));
  const Array<unsigned> ticket(std::vector<unsigned>(1, 0));
  for (int run = 0; run < 2; ++run) {
    const Array<> x(Floats(256, static_cast<float>(run + 1)));
    launch(mean_ticket_kernel, 4, 64, x.data(), parts.data(), ticket.data(), y.data() + run, planted);
  }
  return {y.values(), {256, 512}};
}

/// Every thread sums the others' parts as soon as thread 0 says that the block is the last.
__global__ void last_flag_kernel(float* parts, unsigned* ticket, float* y, bool planted) {
  __shared__ int last;
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = 1;
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  }
  if (!planted) __syncthreads();
  if (!last) return;
  float total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += parts[i];
  y[threadIdx.x] = total;
}
Outcome last_flag_without_barrier(bool planted) {
  const Array<> parts(4), y(64);
  const Array<unsigned> ticket(std::vector<unsigned>(1, 0));
  launch(last_flag_kernel, 4, 64, parts.data(), ticket.data(), y.data(), planted);
  return {y.values(), Floats(64, 4)};
}

/// The nearest entry of a codebook in which the best distance occurs twice: the lowest index must win.
__global__ void nearest_kernel(const float* distances, int* index, bool planted) {
  const auto t = static_cast<int>(threadIdx.x);
  float smallest = distances[0];
  for (int i = 1; i < 64; ++i) smallest = fminf(smallest, distances[i]);
  if (distances[t] == smallest) {
    if (planted) {
      *index = t;
    } else {
      atomicMin(index, t);
    }
  }
}
Outcome tie_to_whoever_is_last(bool planted) {
  const Array<> distances(each(64, [](size_t i) { return i % 32 == 5 ? 1 : 2; }));
  const Array<int> index(std::vector<int>(1, 64));
  launch(nearest_kernel, 1, 64, distances.data(), index.data(), planted);
  return {{static_cast<float>(index.values()[0])}, {5}};
}

/// Sums of a codebook's members: float atomics round in the order they come.
__global__ void codebook_sum_kernel(const float* x, float* y, bool planted) {
  if (planted) {
    atomicAdd(y, x[threadIdx.x]);
  } else if (threadIdx.x == 0) {
    float total = 0;
    for (unsigned i = 0; i < blockDim.x; ++i) total += x[i];
    *y = total;
  }
}
Outcome float_atomics(bool planted) {
  const Array<> x(each(64, [](size_t i) { return 1 / (1.0 + static_cast<double>(i)); })), y(Floats(1, 0));
  launch(codebook_sum_kernel, 1, 64, x.data(), y.data(), planted);
  return {y.values()};
}

/// Noise must belong to the element, whatever the geometry of the launch.
__global__ void noise_kernel(Noise noise, float* z, bool planted) {
  const int64_t i = gpu::global_thread();
  const int64_t counter = planted ? static_cast<int64_t>(threadIdx.x) : i;
  z[i] = normal<float>(noise, counter / 16, counter % 16);
}
Outcome noise_by_thread(bool planted) {
  Noise noise;
  noise.seed = 7;
  const Array<> z(128);
  launch(noise_kernel, 2, 64, noise, z.data(), planted);
  return {z.values(), each(128, [&](size_t i) {
            return normal<float>(noise, static_cast<int64_t>(i) / 16, static_cast<int64_t>(i) % 16);
          })};
}

/// Adam's step counter, which every block reads and the last thread of the grid advances.
__global__ void adam_counter_kernel(int64_t* steps, float* w, bool planted) {
  const auto step = static_cast<float>(*steps + 1);
  const int64_t i = gpu::global_thread();
  w[i] = 1 / step;
  if (planted && i == 0) *steps += 1;
}
Outcome counter_advanced_too_early(bool planted) {
  const Array<int64_t> steps(std::vector<int64_t>(1, 0));
  const Array<> w(128);
  launch(adam_counter_kernel, 2, 64, steps.data(), w.data(), planted);
  return {w.values(), Floats(128, 1)};
}

/// Parameter gradients and losses are summed in float, whatever the storage type.
__global__ void bf16_sum_kernel(const bf16* x, float* y, int n, bool planted) {
  if (threadIdx.x != 0) return;
  float total = 0;
  for (int i = 0; i < n; ++i) {
    total += gpu::to_float(x[i]);
    if (planted) total = gpu::to_float(gpu::from_float<bf16>(total));
  }
  *y = total;
}
Outcome sum_in_bf16(bool planted) {
  const Array<bf16> x(std::vector<bf16>(1000, bf16(1.f)));
  const Array<> y(1);
  launch(bf16_sum_kernel, 1, 32, x.data(), y.data(), 1000, planted);
  return {y.values(), {1000}};
}

/// Doubles bf16 in place, each thread its own element, or the word that it shares with a neighbour.
__global__ void double_halves_kernel(uint16_t* x, bool planted) {
  const unsigned t = threadIdx.x;
  if (planted) {
    auto* const words = reinterpret_cast<uint32_t*>(x);
    words[t / 2] += 0x80u << 16 * (t % 2);
  } else {
    x[t] = static_cast<uint16_t>(x[t] + 0x80);
  }
}
Outcome neighbours_in_one_word(bool planted) {
  const Array<uint16_t> x(std::vector<uint16_t>(64, bf16(1.f).bits));
  launch(double_halves_kernel, 1, 64, x.data(), planted);
  const std::vector<uint16_t> got = x.values();
  return {each(64, [&](size_t i) { return got[i]; }), Floats(64, bf16(2.f).bits)};
}

/// dz of every draw belongs to its sample's mu.
__global__ void draws_backward_kernel(const float* dz, float* dmu, int samples, int draws, bool planted) {
  const auto n = static_cast<int>(threadIdx.x);
  if (n >= samples) return;
  float total = 0;
  for (int k = 0; k < draws; ++k) total += dz[planted ? k * samples + n : n * draws + k];
  dmu[n] = total;
}
Outcome draws_in_wrong_order(bool planted) {
  const Array<> dz(ramp(5 * 3)), dmu(5);
  launch(draws_backward_kernel, 1, 32, dz.data(), dmu.data(), 5, 3, planted);
  return {dmu.values(), each(5, [](size_t n) { return 9 * n + 6; })};
}

/// A grid-stride loop whose launch covers a part of the elements.
__global__ void scale_strided_kernel(const float* x, float* y, int64_t n, bool planted) {
  for (int64_t i = gpu::global_thread(); i < n; i += planted ? n : gpu::grid_threads()) y[i] = 2 * x[i];
}
Outcome stride_of_loop(bool planted) {
  const Array<> x(ramp(300)), y(300);
  launch(scale_strided_kernel, 2, 64, x.data(), y.data(), int64_t{300}, planted);
  return {y.values(), each(300, [](size_t i) { return 2 * (i % 97 + 1); })};
}

}  // namespace

std::vector<PlantedBug> planted_training() {
  return {
      {"ticket_left_taken", "last-block sum: the ticket not back at 0 for the next launch", "wrong", "wrong", "wrong",
       ticket_left_taken},
      {"last_flag_without_barrier", "last-block sum: the flag read before thread 0 has written it", "wrong", "wrong",
       "race", last_flag_without_barrier},
      {"tie_to_whoever_is_last", "nearest codebook entry: equal distances, the last writer wins", "wrong differs",
       "wrong differs", "race", tie_to_whoever_is_last},
      {"float_atomics", "codebook sums by float `atomicAdd`", "differs", "differs", "differs", float_atomics},
      {"noise_by_thread", "noise drawn by the thread's index instead of the element's", "wrong", "wrong", "wrong",
       noise_by_thread},
      {"counter_advanced_too_early", "Adam: the step counter advanced while other blocks read it", "wrong differs",
       "wrong differs", "race", counter_advanced_too_early},
      {"sum_in_bf16", "a sum kept in bf16", "wrong", "wrong", "wrong", sum_in_bf16},
      {"neighbours_in_one_word", "two threads change the two bf16 of one word by 32-bit accesses", "", "", "race",
       neighbours_in_one_word},
      {"draws_in_wrong_order", "reparameterisation: the draws of a sample taken for samples of a draw", "wrong",
       "wrong", "wrong", draws_in_wrong_order},
      {"stride_of_loop", "a grid-stride loop that stops after its first round", "wrong differs", "wrong differs",
       "wrong", stride_of_loop},
  };
}

}  // namespace hourglass::test
