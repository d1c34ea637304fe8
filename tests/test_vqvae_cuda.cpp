// SPDX-License-Identifier: Apache-2.0
// The VQ-VAE on the CUDA device beyond what test_cuda_models.cpp asks of every model: its codes, and a resumed run.
#include "engine/transfer.h"
#include "tests/cuda_runtime_test.h"
#include "tests/harness.h"
#include "tests/vqvae_model.h"

namespace hourglass::test {
namespace {

using VqVaeCuda = CudaRuntimeTest;

/// Restarts happen in these few steps.
TrainerOptions lively(ModelConfig model) {
  if (model.quantizer.ema) model.quantizer.restart_threshold = 20;
  model.quantizer.decay = 0.8;
  return vqvae_trainer_options(model);
}

struct Result {
  std::vector<float> values;
  std::vector<double> terms;
  std::vector<int64_t> usage;
  int nodes = 0;
};

Result result_of(const Runtime& runtime, Trainer& trainer) {
  Result result;
  for (const StateTensor& t : model_tensors(trainer.parameters())) {
    std::vector<float> copy(static_cast<size_t>(checked_array_bytes(t.shape, t.type)) / sizeof(float));
    to_host(runtime.ctx(), copy.data(), t.data, copy.size() * sizeof(float));
    result.values.insert(result.values.end(), copy.begin(), copy.end());
  }
  const LogPoint log = trainer.take_log();
  result.terms = {log.reconstruction, log.commitment, log.gradient_norm};
  result.usage = log.code_usage;
  result.nodes = trainer.nodes();
  return result;
}

Result train(const RuntimeOptions& device, const TrainerOptions& options, int64_t steps) {
  const SmallData data(64);
  Runtime runtime(device);
  Trainer trainer(runtime, data.store(), data.split, options);
  trainer.run(steps);
  return result_of(runtime, trainer);
}

void expect_same(const Result& got, const Result& want) {
  expect_same_bits(got.values, want.values);
  EXPECT_EQ(got.terms, want.terms);
  EXPECT_EQ(got.usage, want.usage);
}

/// The same batches and the same start of k-means; the curves part by rounding alone.
TEST_F(VqVaeCuda, FollowsTheCpu) {
  TrainerOptions options = vqvae_trainer_options();
  options.model.quantizer.restart_threshold = 0;
  const Result cpu = train({"cpu", 1}, options, 8), cuda = train({"cuda", 1}, options, 8);
  expect_close(cuda.terms, cpu.terms, Tolerance{1e-3, 0});
  int64_t apart = 0;  // positions on the border of two codes
  for (size_t k = 0; k < cpu.usage.size(); ++k) apart += std::abs(cpu.usage[k] - cuda.usage[k]);
  EXPECT_LE(apart, 8 * 16 * 16 / 100);
}

TEST_F(VqVaeCuda, ResumesWithTheSameBits) {
  const SmallData data(64);
  const TrainerOptions options = lively(small_vqvae());
  const std::string path = testing::TempDir() + "/cuda-vqvae.safetensors";
  {
    Runtime runtime({"cuda", 1});
    Trainer first(runtime, data.store(), data.split, options);
    first.run(3);
    save_checkpoint(path, first.state_tensors(), {}, runtime.ctx());
  }
  Runtime runtime({"cuda", 1});
  Trainer second(runtime, data.store(), data.split, options);
  second.restore(open_checkpoint(path));
  second.run(4);
  expect_same(result_of(runtime, second), train({"cuda", 1}, options, 7));
}

}  // namespace
}  // namespace hourglass::test
