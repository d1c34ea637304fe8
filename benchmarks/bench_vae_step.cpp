// SPDX-License-Identifier: Apache-2.0
// Whole training steps of a VAE, eight a call: the reference, and on the device one launch of the persistent kernel.
// bench_step has the tape's step beside it.
#include "benchmarks/harness.h"
#include "kernels/vae_step.h"
#include "tests/cases/vae_step.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

constexpr int kSteps = 8, kSamples = 4096;

struct Buffers {
  template <class Lane>
  Buffers(const Lane& ctx, const VaeStepShape& s)
      : elements(parameters(s)),
        slab(values<float>(ctx, elements, 1, -0.05, 0.05)),
        gradients(zeros<float>(ctx, elements + 4)),
        m(zeros<float>(ctx, elements)),
        v(zeros<float>(ctx, elements)),
        data(values<uint8_t>(ctx, int64_t{kSamples} * s.D, 2, 0, 255)),
        adam(one<AdamState>(ctx)),
        lr(one<double>(ctx, 1e-3)),
        log(zeros<double>(ctx, 3 * kSteps)),
        step(one<int64_t>(ctx)),
        fault(one<Fault>(ctx)),
        norm(one<Norm>(ctx)),
        scratch(zeros<char>(ctx, static_cast<int64_t>(vae_step_scratch_bytes(ctx, s, sizeof(float))))) {}

  static int64_t parameters(const VaeStepShape& s) {
    int64_t next = 0;
    layers(s, &next);
    return next;
  }
  /// The four layers one after the other, each on a multiple of 64 elements.
  static std::vector<VaeStepLayer> layers(const VaeStepShape& s, int64_t* next) {
    const auto take = [next](int64_t count) {
      const int64_t first = *next;
      *next += (count + 63) / 64 * 64;
      return first;
    };
    std::vector<VaeStepLayer> all;
    const std::pair<int, int> sizes[] = {{s.D, s.H}, {s.H, 2 * s.Z}, {s.Z, s.H}, {s.H, s.D}};
    for (const auto& [in, out] : sizes) {
      const int64_t weight = take(int64_t{in} * out);
      all.push_back({weight, take(out)});
    }
    return all;
  }
  VaeStep<float> arguments(const VaeStepShape& s) const {
    VaeStep<float> p;
    int64_t next = 0;
    const std::vector<VaeStepLayer> at = layers(s, &next);
    p.shape = s;
    p.encoder = at[0], p.head = at[1], p.decoder = at[2], p.last = at[3];
    p.values = slab.data(), p.gradients = gradients.data(), p.m = m.data(), p.v = v.data();
    p.elements = elements, p.checked = elements + 2, p.reconstruction = p.logged = elements, p.kl = elements + 1;
    p.data = data.data();
    p.batch.N = p.batch.global_batch = s.N, p.batch.D = s.D, p.batch.dataset = kSamples;
    p.order.step = p.noise.step = step.data();
    p.adam_state = adam.data(), p.lr = lr.data();
    p.step = step.data(), p.fault = fault.data(), p.norm = norm.data();
    p.log_shape = {kSteps, 3}, p.log = log.data();
    return p;
  }

  int64_t elements;
  Array<float> slab, gradients, m, v;
  Array<uint8_t> data;
  Array<AdamState> adam;
  Array<double> lr, log;
  Array<int64_t> step;
  Array<Fault> fault;
  Array<Norm> norm;
  Array<char> scratch;
};

/// Two operations a multiply-add: forward, and backward but for the gradient of the images.
Work work(const VaeStepShape& s) {
  const double pixels = 1.0 * s.D * s.H, latent = 3.0 * s.Z * s.H;
  return {.flops = 2.0 * kSteps * s.N * (5 * pixels + 3 * latent)};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<VaeStepShape> cases = test::kVaeStepCases;
  cases.push_back(test::kTimedVaeStep);
  for (const VaeStepShape& s : cases) {
    const std::string shape = extents({s.N, s.D, s.H, s.Z});
    add_threads({"vae_step", "reference", shape}, work(s), 1, [=](const Context& ctx) {
      const auto lane = lane_of<cpu::Lane<float>>(ctx);
      return [=, m = Buffers(lane, s)] { cpu::vae_step(lane, m.arguments(s), kSteps, m.scratch.data()); };
    });
#if defined(HOURGLASS_CUDA_KERNELS)
    add_device({"vae_step", "persistent", shape}, work(s), Dtype::kF32, [=](const Context& ctx) {
      const auto lane = lane_of<cuda::Lane<float>>(ctx);
      return [=, m = Buffers(lane, s)] { cuda::vae_step(lane, m.arguments(s), kSteps, m.scratch.data()); };
    });
#endif
  }
  return run(argc, argv);
}
