// SPDX-License-Identifier: Apache-2.0
// Cooperative launches and the barrier of their blocks (kernels/base/grid_barrier.cuh).
#include <numeric>

#include "kernels/base/grid_barrier.cuh"
#include "kernels/base/last_block.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using GridBarrier = CudaTest;

constexpr int kThreads = 64, kStages = 9, kItems = 21;

/// Each stage adds to an item what the stage before left in its neighbour, which another block holds, and what the
/// block has kept in shared memory of both kinds since the first stage.
__global__ void __launch_bounds__(kThreads) stages_kernel(const int* x, int* y, int* z, unsigned* barrier) {
  __shared__ int fixed[kThreads];
  int* const dynamic = gpu::dynamic_shared<int>();
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x);
  fixed[thread] = 1000 * block + thread;
  dynamic[thread] = 7 * block + thread;
  for (int i = block; i < kItems; i += static_cast<int>(gridDim.x)) {
    if (thread == 0) y[i] = x[i];
  }
  for (int stage = 0; stage < kStages; ++stage) {
    gpu::grid_barrier(barrier);
    const int *const from = stage % 2 ? z : y, other = (thread + 1) % kThreads;
    int* const to = stage % 2 ? y : z;
    const int kept = fixed[other] - 1000 * block - other + dynamic[other] - 7 * block - other;  // 0
    for (int i = block; i < kItems; i += static_cast<int>(gridDim.x)) {
      if (thread == 0) to[i] = from[(i + 1) % kItems] + from[i] + kept;
    }
  }
}

std::vector<int> stages_on_host(std::vector<int> x) {
  for (int stage = 0; stage < kStages; ++stage) {
    const std::vector<int> from = x;
    for (size_t i = 0; i < x.size(); ++i) x[i] = from[(i + 1) % x.size()] + from[i];
  }
  return x;
}

/// How many blocks, at most `wanted`; the interpreter of PTX has one.
template <class Kernel>
std::vector<unsigned> grids(Kernel kernel, size_t shared) {
  std::vector<unsigned> all{1, 2, 3, 7, 16};
  std::erase_if(all, [&](unsigned blocks) { return blocks > gpu::resident_blocks(kernel, kThreads, shared); });
  return all;
}

TEST_F(GridBarrier, OrdersTheStagesOfGridsOfAnySize) {
  std::vector<int> x(kItems);
  std::iota(x.begin(), x.end(), 1);
  const std::vector<int> want = stages_on_host(x);
  const size_t shared = kThreads * sizeof(int);
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<int> from(x);
    DeviceArray<unsigned> barrier(std::vector<unsigned>{0});
    std::vector<int> all;
    for (const unsigned blocks : grids(stages_kernel, shared)) {  // an odd number of barriers: the bit stays set
      DeviceArray<int> y(kItems), z(kItems);
      gpu::launch_cooperative(stages_kernel, blocks, kThreads, shared, gpu::stream(ctx), from.data(), y.data(),
                              z.data(), barrier.data());
      const std::vector<int> last = kStages % 2 ? z.values() : y.values();
      all.insert(all.end(), last.begin(), last.end());
      EXPECT_EQ(barrier.values()[0] & 0x7FFFFFFFu, 0u);
    }
    return all;
  });
  ASSERT_GE(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], want[i % want.size()]) << i;
}

/// The last block of a ticket may be another one each time; the barrier makes the ticket ready for the next round.
__global__ void __launch_bounds__(kThreads)
    tickets_kernel(float* parts, float* sums, unsigned* ticket, unsigned* word) {
  for (int round = 0; round < kStages; ++round) {
    if (threadIdx.x == 0) parts[blockIdx.x] = static_cast<float>(blockIdx.x + static_cast<unsigned>(round));
    if (gpu::is_last_block(ticket) && threadIdx.x == 0) {
      float sum = 0;
      for (unsigned b = 0; b < gridDim.x; ++b) sum += __ldcg(parts + b);
      sums[round] = sum;
    }
    gpu::grid_barrier(word);
  }
}

TEST_F(GridBarrier, ServesTicketsOfTheLastBlock) {
  const unsigned blocks = std::min(4u, gpu::resident_blocks(tickets_kernel, kThreads, 0));
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<float> parts(blocks), sums(kStages);
    DeviceArray<unsigned> ticket(std::vector<unsigned>{0}), word(std::vector<unsigned>{0});
    gpu::launch_cooperative(tickets_kernel, blocks, kThreads, 0, gpu::stream(ctx), parts.data(), sums.data(),
                            ticket.data(), word.data());
    return sums.values();
  });
  for (int round = 0; round < kStages; ++round) {
    EXPECT_EQ(got[static_cast<size_t>(round)], static_cast<float>(blocks * (blocks - 1) / 2 + blocks * round));
  }
}

TEST_F(GridBarrier, RefusesMoreBlocksThanTheDeviceHolds) {
  const unsigned most = gpu::resident_blocks(tickets_kernel, kThreads, 0);
  EXPECT_GT(most, 0u);
  DeviceArray<float> parts(most + 1), sums(kStages);
  DeviceArray<unsigned> ticket(std::vector<unsigned>{0}), word(std::vector<unsigned>{0});
  try {
    gpu::launch_cooperative(tickets_kernel, most + 1, kThreads, 0, gpu::stream(cuda_context()), parts.data(),
                            sums.data(), ticket.data(), word.data());
    FAIL() << "it was launched";
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.exit(), Exit::kDevice);
    EXPECT_NE(text.find("tickets_kernel"), std::string::npos) << text;
    EXPECT_NE(text.find("at most " + std::to_string(most)), std::string::npos) << text;
    EXPECT_NE(text.find("got " + std::to_string(most + 1)), std::string::npos) << text;
  }
  // The runtime refuses it too.
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = most + 1;
  config.blockDim = kThreads;
  config.attrs = &attribute;
  config.numAttrs = 1;
  EXPECT_EQ(cudaLaunchKernelEx(&config, tickets_kernel, parts.data(), sums.data(), ticket.data(), word.data()),
            cudaErrorCooperativeLaunchTooLarge);
  static_cast<void>(cudaGetLastError());
}

TEST_F(GridBarrier, OfACapturedLaunchIsReplayed) {
  const unsigned blocks = std::min(3u, gpu::resident_blocks(stages_kernel, kThreads, kThreads * sizeof(int)));
  std::vector<int> x(kItems, 1);
  const DeviceArray<int> from(x);
  DeviceArray<int> y(kItems), z(kItems);
  DeviceArray<unsigned> word(std::vector<unsigned>{0});
  const cudaStream_t stream = gpu::stream(cuda_context());
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  gpu::launch_cooperative(stages_kernel, blocks, kThreads, kThreads * sizeof(int), stream, from.data(), y.data(),
                          z.data(), word.data());
  cudaGraph_t graph = nullptr;
  CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
  CUDA_CHECK(cudaGraphDestroy(graph));
  for (int i = 0; i < 2; ++i) CUDA_CHECK(cudaGraphLaunch(executable, stream));
  EXPECT_EQ(kStages % 2 ? z.values() : y.values(), stages_on_host(x));
  CUDA_CHECK(cudaGraphExecDestroy(executable));
}

}  // namespace
}  // namespace hourglass::test
