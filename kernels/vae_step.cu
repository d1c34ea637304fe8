// SPDX-License-Identifier: Apache-2.0
// One cooperative launch. Its blocks walk together through the stages of every step (base/vae_step_plan.h), each taking
// the items blockIdx.x, blockIdx.x + gridDim.x, ... of a stage, and meet at a grid barrier after each. An item is what
// one block of the single op would do, by the same device functions: tiles of 32 x 32 with their depth cut into slices
// where there are few, and partial results added in an order that the shapes fix. So bits depend neither on the grid
// nor on the number of steps of a launch.
//
// Values and moments are read and written once a step, activations live in the second-level cache; the next batch is
// gathered while blocks would be idle, and the end of a step (log, counter, scheduled values) is an item of the next.
//
// All products in one kernel take 172 registers, 196 without vectors: one block a multiprocessor. Two spill. What a step
// should take, and what to try, is in docs/notes/persistent-step.md. Not yet measured on a GPU.
#include <bit>
#include <vector>

#include "kernels/base/adam.cuh"
#include "kernels/base/gather.cuh"
#include "kernels/base/gaussian_head_check.h"
#include "kernels/base/gaussian_head_tile.cuh"
#include "kernels/base/gradient_check.cuh"
#include "kernels/base/grid_barrier.cuh"
#include "kernels/base/grid_sum.cuh"
#include "kernels/base/linear_bce_store.cuh"
#include "kernels/base/linear_operands.cuh"
#include "kernels/base/step_rows.cuh"
#include "kernels/base/vae_step_check.h"
#include "kernels/base/vae_step_plan.h"
#include "kernels/vae_step.h"

namespace hourglass::cuda {
namespace {

using Tile = gpu::SmallTile;
constexpr int kThreads = Tile::kThreads;
constexpr int64_t kUpdateTile = 4 * kThreads;
static_assert(kThreads == gpu::kFlatThreads);

/// A layer at work: y = f(x w^T + b), or a product of its backward.
struct Layer {
  const float *x, *w, *b;  ///< x null: the batch
  float* y;
  const float* dy;
  float *dx, *dw, *db;
  void* workspace;  ///< tickets and slices
  int C, K;
  Activation f;
};

/// The mean of `count` numbers that other blocks have written.
struct Mean {
  const float* numbers;
  int count;
  float* mean;
};

struct Pass {
  VaeStep<float> p;
  VaeActivations<float> a;
  VaePlan plan;
  Layer layers[kVaeProducts];
  Mean means[2];
  unsigned *barrier, *bands;
  float* losses;  ///< one a tile
  double* squares;
  int64_t* lowest;
  PixelNoise pixels;
  Weight loss_weight, kl_weight;  ///< divided by N
  int steps = 0, threads_of_row = 1;
  bool aligned = false;  ///< the slabs
};

// ---------------------------------------------------------------- products

template <bool kVector>
__device__ __forceinline__ void forward_item(const Pass& pass, int number, int item, const float* batch) {
  const VaeStep<float>& p = pass.p;
  const Layer& l = pass.layers[number];
  const int N = p.shape.N;
  const gpu::GemmCut& cut = pass.plan.cuts[number];
  gpu::gemm_tile<Tile>(gpu::Matrix<float, true, kVector>{l.x ? l.x : batch, N, l.C},
                       gpu::Matrix<float, true, kVector>{l.w, l.K, l.C}, cut, item, l.workspace,
                       gpu::StoreActivated<float, kVector>{l.b, l.y, N, l.K, l.f});
  if (number != static_cast<int>(VaeWork::kHead)) return;
  const int of_band = cut.across * cut.slices, band = item / of_band;
  if (!gpu::is_last_block(pass.bands + band, static_cast<unsigned>(of_band))) return;
  const LatentRows<float> rows{{N, p.shape.H, p.shape.Z}, p.noise, pass.a.head, pass.a.z, pass.a.kl};
  sample_rows(rows, band * Tile::kRows, min(N, (band + 1) * Tile::kRows), pass.threads_of_row);
}

template <bool kVector>
__device__ __forceinline__ void loss_item(const Pass& pass, int number, int item, const float* batch) {
  const Layer& l = pass.layers[number];
  const int N = pass.p.shape.N;
  const gpu::GemmCut& cut = pass.plan.cuts[number];
  float sum = 0;
  const StoreBernoulliGradient<float, kVector> store{
      l.b, batch, l.y, N, l.K, 1, static_cast<float>(pass.loss_weight.value()), &sum};
  const bool stored =
      gpu::gemm_tile<Tile>(gpu::Matrix<float, true, kVector>{l.x, N, l.C},
                           gpu::Matrix<float, true, kVector>{l.w, l.K, l.C}, cut, item, l.workspace, store);
  const float of_tile = gpu::block_sum<float, kThreads>(sum);
  if (stored && threadIdx.x == 0) pass.losses[item / cut.slices] = of_tile;
}

template <bool kVector>
__device__ __forceinline__ void input_item(const Pass& pass, int number, int item) {
  const Layer& l = pass.layers[number];
  const int N = pass.p.shape.N;
  gpu::gemm_tile<Tile>(gpu::Derivative<float, true, kVector>{l.dy, l.y, N, l.K, l.f},
                       gpu::Matrix<float, false, kVector>{l.w, l.C, l.K}, pass.plan.cuts[number], item, l.workspace,
                       gpu::StoreMatrix<float, kVector>{{l.dx}, N, l.C});
}

template <bool kVector>
__device__ __forceinline__ void weight_item(const Pass& pass, int number, int item, const float* batch) {
  const Layer& l = pass.layers[number];
  const int N = pass.p.shape.N;
  gpu::gemm_tile<Tile>(gpu::Derivative<float, false, kVector>{l.dy, l.y, N, l.K, l.f},
                       gpu::WithOnes<float, kVector>{l.x ? l.x : batch, l.C, N}, pass.plan.cuts[number], item,
                       l.workspace, gpu::StoreWeight<false, kVector>{{l.dw}, {l.db}, l.C, l.K});
}

template <bool kVector>
__device__ __forceinline__ void head_input_item(const Pass& pass, int number, int item) {
  const Layer& l = pass.layers[number];
  const int N = pass.p.shape.N;
  const auto weight = static_cast<float>(pass.kl_weight.value());
  gpu::gemm_tile<Tile>(LatentGradient<float, true, kVector>{l.y, l.dy, pass.p.noise, weight, N, l.K / 2},
                       gpu::Matrix<float, false, kVector>{l.w, l.C, l.K}, pass.plan.cuts[number], item, l.workspace,
                       gpu::StoreMatrix<float, kVector>{{l.dx}, N, l.C});
}

template <bool kVector>
__device__ __forceinline__ void head_weight_item(const Pass& pass, int number, int item) {
  const Layer& l = pass.layers[number];
  const int N = pass.p.shape.N;
  const auto weight = static_cast<float>(pass.kl_weight.value());
  gpu::gemm_tile<Tile>(LatentGradient<float, false, kVector>{l.y, l.dy, pass.p.noise, weight, N, l.K / 2},
                       gpu::WithOnes<float, kVector>{l.x, l.C, N}, pass.plan.cuts[number], item, l.workspace,
                       gpu::StoreWeight<false, kVector>{{l.dw}, {l.db}, l.C, l.K});
}

// ---------------------------------------------------------------- the rest of a step

/// Row `row` of the batch of step `step`.
template <bool kVector>
__device__ __forceinline__ void gather_row(const Pass& pass, int row, int64_t step, float* x) {
  __shared__ int32_t index_of_row;
  const VaeStep<float>& p = pass.p;
  __syncthreads();  // the row before has been read
  if (threadIdx.x == 0) index_of_row = batch_index(p.batch, p.order, step, row);
  __syncthreads();
  const int D = p.shape.D, index = index_of_row;
  const uint8_t* const pixels = p.data + int64_t{index} * D;
  const PixelNoise& draws = pass.pixels;
  const uint32_t key = draws.by_step ? draws.noise.row_of(row) : static_cast<uint32_t>(index);
  const uint32_t at_step = draws.by_step ? static_cast<uint32_t>(step) : 0;
  for (int quad = static_cast<int>(threadIdx.x); 4 * quad < D; quad += kThreads) {
    const int count = min(4, D - 4 * quad);
    gpu::Vec4 v = load_pixels<kVector>(pixels + 4 * quad, count);
    if (draws.draws) v = binarized(draws.noise, key, at_step, quad, v);
    gpu::write_quad<kVector>(x + int64_t{row} * D + 4 * quad, v, count, Write::kSet);
  }
}

/// From the last block on, which has the fewest items of other kinds.
template <bool kVector>
__device__ __forceinline__ void gather_rows(const Pass& pass, int64_t step, float* x) {
  for (unsigned row = gridDim.x - 1 - blockIdx.x; row < static_cast<unsigned>(pass.p.shape.N); row += gridDim.x) {
    gather_row<kVector>(pass, static_cast<int>(row), step, x);
  }
}

/// Added as the single ops do.
__device__ __forceinline__ void write_mean(const Mean& m, int N) {
  const float sum = gpu::sum_of_partials<kThreads>(m.numbers, static_cast<unsigned>(m.count));
  if (threadIdx.x == 0) *m.mean = sum / static_cast<float>(N);
}

/// By one block, when all others are past the update of step `now`.
__device__ __forceinline__ void finish_step(const Pass& pass, int64_t now) {
  const VaeStep<float>& p = pass.p;
  write_row(p.log_shape, p.gradients + p.logged, p.norm, now, p.log);
  if (threadIdx.x == 0) {
    advance(*p.adam_state, p.adam);
    *p.step = now + 1;
  }
  if (p.schedule.shape.rows > 0) load_row(p.schedule, now + 1, p.fault);
}

/// False, in every block, if the step must not change anything; block 0 says why.
__device__ __forceinline__ bool may_update(const Pass& pass, int fault_code, int64_t step, Norm* norm) {
  const auto all = gpu::combine_checks(static_cast<unsigned>(pass.plan.check_shares), pass.squares, pass.lowest);
  *norm = all.norm(pass.p.clip_norm);
  const bool finite = all.lowest == gpu::kAllFinite, speaks = blockIdx.x == 0 && threadIdx.x == 0;
  if (speaks && finite) *pass.p.norm = *norm;
  if (speaks && !finite && fault_code == 0) {
    *pass.p.fault = {static_cast<int32_t>(Exit::kNotFinite), kFaultGradient, step, all.lowest};
  }
  return finite && fault_code == 0;
}

__device__ __forceinline__ void update_items(const Pass& pass, int items, const Norm& norm) {
  const VaeStep<float>& p = pass.p;
  const Adam rule{p.adam, p.adam_state, p.m, p.v};
  OptimizerStep step;
  step.lr = p.lr;
  step.clip_value = p.clip_value;
  Adam::Scalars scalars(rule, step, OptimizerRange{0, p.elements});
  if (p.clip_norm > 0) scalars.k.grad_scale = static_cast<float>(norm.scale);
  for (int item = static_cast<int>(blockIdx.x); item < items; item += static_cast<int>(gridDim.x)) {
    const int64_t i = item * kUpdateTile + 4 * static_cast<int>(threadIdx.x);
    const auto update = [&](int count, auto whole) {
      constexpr bool kWhole = decltype(whole)::value;
      gpu::Vec4 values = gpu::load_quad<kWhole>(p.values + i, count);
      rule.template update<kWhole>(scalars, i, count, &values, gpu::load_quad<kWhole>(p.gradients + i, count));
      gpu::store_quad_whole<kWhole>(p.values + i, values, count);
    };
    if (pass.aligned && p.elements - i >= 4) {
      update(4, std::true_type{});
    } else if (i < p.elements) {
      update(static_cast<int>(min(p.elements - i, int64_t{4})), std::false_type{});
    }
  }
}

// ---------------------------------------------------------------- the kernel

template <bool kVector>
__device__ __forceinline__ void do_item(const Pass& pass, VaeKind kind, int number, int item, const float* x) {
  const VaeStep<float>& p = pass.p;
  switch (kind) {
    case VaeKind::kForward:
      return forward_item<kVector>(pass, number, item, x);
    case VaeKind::kLoss:
      return loss_item<kVector>(pass, number, item, x);
    case VaeKind::kInput:
      return input_item<kVector>(pass, number, item);
    case VaeKind::kWeight:
      return weight_item<kVector>(pass, number, item, x);
    case VaeKind::kHeadInput:
      return head_input_item<kVector>(pass, number, item);
    case VaeKind::kHeadWeight:
      return head_weight_item<kVector>(pass, number, item);
    case VaeKind::kMean:
      return write_mean(pass.means[number], p.shape.N);
    case VaeKind::kCheck:
      return gpu::check_gradients({p.elements, p.checked, 0}, pass.aligned, p.gradients, static_cast<unsigned>(item),
                                  static_cast<unsigned>(pass.plan.check_shares), pass.squares, pass.lowest);
    case VaeKind::kUpdate:
      return;  // update_items
  }
}

template <bool kVector>
__device__ __forceinline__ void do_stage(const Pass& pass, const VaeStage& stage, const float* x) {
#pragma unroll 1
  for (int i = static_cast<int>(blockIdx.x); i < stage.total; i += static_cast<int>(gridDim.x)) {
    int part = 0, item = i;
#pragma unroll 1
    while (item >= stage.items[part].count) item -= stage.items[part++].count;
    const VaeItems& items = stage.items[part];
    __syncthreads();  // the item before is done with shared memory
    do_item<kVector>(pass, items.kind, items.number, items.first + item, x);
  }
}

template <bool kVector>
__global__ void __launch_bounds__(kThreads, 1) vae_step_persistent_kernel(const __grid_constant__ Pass pass) {
  const VaeStep<float>& p = pass.p;
  if (p.fault->code != 0) return;  // every block: it changes behind a barrier only
  const int64_t first = *p.step;
  const bool finishes = blockIdx.x == gridDim.x - 1;
  gather_rows<kVector>(pass, first, pass.a.x[0]);
  gpu::grid_barrier(pass.barrier);
#pragma unroll 1
  for (int i = 0; i < pass.steps; ++i) {
    const float* const x = pass.a.x[i % 2];
    if (i > 0 && finishes) finish_step(pass, first + i - 1);
    int fault_code = 0;
#pragma unroll 1
    for (int s = 0; s < kVaeStages; ++s) {
      const VaeStage& stage = pass.plan.stages[s];
      if (s == kCheckStage) fault_code = p.fault->code;
      if (s == kUpdateStage) {
        Norm norm;
        if (!may_update(pass, fault_code, first + i, &norm)) return;  // every block
        update_items(pass, stage.total, norm);
      } else {
        do_stage<kVector>(pass, stage, x);
      }
      if (s == kGatherStage && i + 1 < pass.steps) gather_rows<kVector>(pass, first + i + 1, pass.a.x[(i + 1) % 2]);
      gpu::grid_barrier(pass.barrier);
    }
  }
  if (finishes) finish_step(pass, first + pass.steps - 1);
}

void fill_layers(Pass& pass) {
  const VaeStep<float>& p = pass.p;
  const VaeStepShape& s = p.shape;
  const auto& a = pass.a;
  const auto set = [&](const std::vector<VaeWork>& works, const VaeStepLayer& at, const float* x, float* y,
                       const float* dy, float* dx, int C, int K, Activation f) {
    for (const VaeWork work : works) {
      Layer& l = pass.layers[static_cast<int>(work)];
      l = {x,
           p.values + at.weight,
           p.values + at.bias,
           y,
           dy,
           dx,
           p.gradients + at.weight,
           p.gradients + at.bias,
           l.workspace,
           C,
           K,
           f};
    }
  };
  using enum VaeWork;
  set({kEncoder, kEncoderWeight}, p.encoder, nullptr, a.h, a.dh, nullptr, s.D, s.H, s.activation);
  set({kHead, kHeadInput, kHeadWeight}, p.head, a.h, a.head, a.dz, a.dh, s.H, 2 * s.Z, Activation::kNone);
  set({kDecoder, kDecoderInput, kDecoderWeight}, p.decoder, a.z, a.g, a.dg, a.dz, s.Z, s.H, s.activation);
  set({kLast, kLastInput, kLastWeight}, p.last, a.g, a.dlogits, a.dlogits, a.dg, s.H, s.D, Activation::kNone);
  pass.means[kReconstructionMean] = {pass.losses, static_cast<int>(pass.plan.cut(kLast).tiles()),
                                     p.gradients + p.reconstruction};
  pass.means[kKlMean] = {a.kl, s.N, p.gradients + p.kl};
}

/// The parts of the scratch: tickets first, which are to be zero.
Pass lay_out(const VaeStep<float>& p, void* scratch, size_t* bytes) {
  ScratchParts parts(scratch);
  const VaePlan plan(p.shape);
  auto* const barrier = parts.take<unsigned>(gpu::kBarrierBytes / sizeof(unsigned));
  auto* const bands = parts.take<unsigned>(plan.cut(VaeWork::kHead).down);
  Pass pass{p, VaeActivations<float>(parts, p.shape), plan, {}, {}, barrier, bands, {}, {}, {}, {}, {}, {}};
  for (int i = 0; i < kVaeProducts; ++i) {
    const gpu::GemmCut& cut = plan.cuts[i];
    if (cut.slices > 1) pass.layers[i].workspace = parts.take<float>(gpu::kTickets + cut.blocks() * Tile::kArea);
  }
  pass.losses = parts.take<float>(plan.cut(VaeWork::kLast).tiles());
  pass.squares = parts.take<double>(gpu::kMostCheckBlocks);
  pass.lowest = parts.take<int64_t>(gpu::kMostCheckBlocks);
  *bytes = parts.used();
  return pass;
}

}  // namespace

size_t vae_step_scratch_bytes(const Context&, const VaeStepShape& s, size_t) {
  VaeStep<float> p;
  p.shape = s;
  size_t bytes = 0;
  lay_out(p, nullptr, &bytes);
  return bytes;
}

template <class T>
void vae_step(const Context& ctx, const VaeStep<T>& p, int steps, void* scratch) {
  check_vae_step(p, steps);
  if (steps == 0) return;
  if (p.order.staged.slots) {
    throw Error(Exit::kUsage, "vae_step: expected samples that are on the device, got batches that are brought ahead");
  }
  size_t bytes = 0;
  Pass pass = lay_out(p, scratch, &bytes);
  fill_layers(pass);
  const VaeStepShape& s = p.shape;
  pass.steps = steps;
  pass.loss_weight = gpu::per_sample(Weight{}, s.N);
  pass.kl_weight = gpu::per_sample(p.kl_weight, s.N);
  pass.threads_of_row = static_cast<int>(std::min(32u, std::bit_ceil(static_cast<unsigned>((s.Z + 3) / 4))));
  pass.aligned = gpu::can_load4(0, p.values, p.gradients, p.m, p.v);
  pass.pixels = PixelNoise{binarize_noise(p.batch, p.order, p.binarize), p.binarize.mode != Binarization::kNone};
  pass.pixels.by_step = pass.pixels.noise.step != nullptr;
  pass.pixels.noise.step = nullptr;  // a row of the next step's batch has that step's key
  bool vector = pass.aligned && s.H % 4 == 0 && s.Z % 4 == 0 && gpu::can_load4(s.D, p.data);
  const VaeStepLayer layers[] = {p.encoder, p.head, p.decoder, p.last};
  for (const VaeStepLayer& l : layers) vector = vector && l.weight % 4 == 0 && l.bias % 4 == 0;
  gpu::with_flag(vector, [&](auto v) {
    const auto kernel = vae_step_persistent_kernel<v.value>;
    const auto blocks =
        p.blocks > 0 ? static_cast<unsigned>(p.blocks) : gpu::resident_blocks(kernel, kThreads, Tile::kSharedBytes);
    pass.plan.place(static_cast<int>(blocks), static_cast<int>(gpu::check_blocks(p.checked)),
                    static_cast<int>((p.elements + kUpdateTile - 1) / kUpdateTile));
    gpu::launch_cooperative(kernel, blocks, kThreads, Tile::kSharedBytes, gpu::stream(ctx), pass);
  });
}

template void vae_step(const Context&, const VaeStep<float>&, int, void*);

}  // namespace hourglass::cuda
