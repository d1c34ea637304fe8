// SPDX-License-Identifier: Apache-2.0
// The README's example, as a user of an installed Hourglass writes it.
#include <cstdio>

#include "engine/dataset.h"
#include "engine/optimizers.h"
#include "engine/step_graph.h"
#include "models/vae.h"

using namespace hourglass;

int main() {
  const Dataset data = load_dataset({.spec = "shapes:28:2000"});
  Runtime runtime;  // device and threads; {.device = "cpu", .threads = 1} is as explicit as it gets
  Parameters params;
  const Vae vae(params, {.hidden = {200}, .latent = 8});
  Leaf* reconstruction = params.statistic("reconstruction");
  params.allocate(/*seed=*/0);

  TrainingState state(runtime.ctx(), params);
  Optimizer adam(params, state, state.schedule([](int64_t) { return 1e-3; }), {});
  const BatchSource batches(runtime.ctx(), data.store(), data.train, {.batch = 100}, params.dtype());
  Tape tape(runtime.ctx(), runtime.arena());
  StepGraph step(runtime, state, [&] {
    tape.rewind();
    const Batch batch = batches.next(tape, state);  // gathered on the device
    const Vae::Output out = vae.forward(tape, batch.x, batch.noise);
    tape.backward({{bernoulli_nll(tape, out.y, batch.x), 1, reconstruction}, {out.latent.kl, 1}});
    adam.commit(tape);
  });
  for (int i = 0; i < 200; ++i) step.run();
  std::printf("reconstruction %.1f nats per image\n", state.logged(199)[0]);

  save_checkpoint("vae.safetensors", model_tensors(params), {{"model", to_json(vae.config()).dump()}});
  Inference trained = Vae::load("vae.safetensors");  // or a run folder of `hourglass train`
  Matrix x(10, 28 * 28);
  x.values = data.images({data.test.data(), 10});
  const Matrix z = trained.encode(x);  // (10, 8)
  const Matrix y = trained.decode(z);  // (10, 784)
  std::printf("%lld codes of %d, images of %d\n", static_cast<long long>(z.rows), z.cols, y.cols);
  return 0;
}
