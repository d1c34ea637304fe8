// SPDX-License-Identifier: Apache-2.0
#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/gaussian_kl.h"
#include "kernels/gaussian_latent.h"
#include "kernels/reparameterize.h"

namespace hourglass {
namespace {

LatentShape latent_shape(const char* op, const Var& mu, const Var& logvar, int draws) {
  check_rank(op, "mu", mu, 2);
  check_shape(op, "logvar", logvar, mu.shape);
  check_dtypes(op, {mu, logvar});
  if (draws < 1) refuse(op, "expects at least 1 draw, given " + std::to_string(draws));
  LatentShape s;
  s.N = mu.shape[0];
  s.D = mu.shape[1];
  s.draws = draws;
  return s;
}

GaussianKlShape kl_shape(const Var& mu, const Var& logvar, const Var& prior_mu, const Var& prior_logvar) {
  const LatentShape latent = latent_shape("gaussian_kl", mu, logvar, 1);
  GaussianKlShape s;
  s.N = latent.N;
  s.D = latent.D;
  s.general_prior = static_cast<bool>(prior_mu);
  if (static_cast<bool>(prior_mu) != static_cast<bool>(prior_logvar)) {
    refuse("gaussian_kl", "a prior expects both prior_mu and prior_logvar, given one of them");
  }
  if (s.general_prior) {
    check_shape("gaussian_kl", "prior_mu", prior_mu, mu.shape);
    check_shape("gaussian_kl", "prior_logvar", prior_logvar, mu.shape);
    check_dtypes("gaussian_kl", {mu, prior_mu, prior_logvar});
  }
  return s;
}

}  // namespace

Var reparameterize(Tape& tape, const Var& mu, const Var& logvar, const Noise& noise) {
  const LatentShape s = latent_shape("reparameterize", mu, logvar, noise.draws);
  Var z = tape.output({int64_t{s.N} * s.draws, s.D}, mu.dtype, {mu, logvar});
  dispatch(tape.ctx(), mu.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    reparameterize_forward(lane, s, mu.as<const T>(), logvar.as<const T>(), noise, z.as<T>());
  });
  tape.on_backward("reparameterize", {z}, [s, mu, logvar, noise, z](Tape& t) {
    const Slot dmu = t.grad_slot(mu), dlogvar = t.grad_slot(logvar);
    dispatch(t.ctx(), mu.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      reparameterize_backward(lane, s, logvar.as<const T>(), noise, static_cast<const T*>(t.output_grad(z)),
                              dmu.as<T>(), dlogvar.as<T>());
    });
  });
  return z;
}

Var gaussian_kl_per_sample(Tape& tape, const Var& mu, const Var& logvar, const Var& prior_mu, const Var& prior_logvar) {
  const GaussianKlShape s = kl_shape(mu, logvar, prior_mu, prior_logvar);
  Var kl = tape.output({s.N}, accumulator_of(mu.dtype), {mu, logvar, prior_mu, prior_logvar});
  dispatch(tape.ctx(), mu.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    gaussian_kl_forward(lane, s, mu.as<const T>(), logvar.as<const T>(), prior_mu.as<const T>(),
                        prior_logvar.as<const T>(), kl.as<acc_t<T>>());
  });
  tape.on_backward("gaussian_kl", {kl}, [s, mu, logvar, prior_mu, prior_logvar, kl](Tape& t) {
    const Slot dmu = t.grad_slot(mu), dlogvar = t.grad_slot(logvar);
    const Slot dprior_mu = t.grad_slot(prior_mu), dprior_logvar = t.grad_slot(prior_logvar);
    dispatch(t.ctx(), mu.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      gaussian_kl_backward(lane, s, mu.as<const T>(), logvar.as<const T>(), prior_mu.as<const T>(),
                           prior_logvar.as<const T>(), static_cast<const acc_t<T>*>(t.output_grad(kl)), dmu.as<T>(),
                           dlogvar.as<T>(), dprior_mu.as<T>(), dprior_logvar.as<T>());
    });
  });
  return kl;
}

Loss gaussian_kl(Tape& tape, const Var& mu, const Var& logvar) {
  const GaussianKlShape s = kl_shape(mu, logvar, {}, {});
  const Loss loss = tape.loss({mu, logvar});
  tape.on_backward(
      "gaussian_kl", {},
      [s, mu, logvar, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        const Slot dmu = t.grad_slot(mu), dlogvar = t.grad_slot(logvar);
        dispatch(t.ctx(), mu.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          gaussian_kl_loss(lane, s, mu.as<const T>(), logvar.as<const T>(), dloss.weight, dloss.value.as<acc_t<T>>(),
                           dmu.as<T>(), dlogvar.as<T>());
        });
      },
      loss);
  return loss;
}

GaussianLatent gaussian_latent(Tape& tape, const Var& head, const Noise& noise) {
  check_rank("gaussian_latent", "head", head, 2);
  check_dtypes("gaussian_latent", {head});
  if (head.shape[1] % 2)
    refuse("gaussian_latent", "head expects mu and logvar side by side, given " + to_string(head.shape));
  if (noise.draws < 1) refuse("gaussian_latent", "expects at least 1 draw, given " + std::to_string(noise.draws));
  LatentShape s;
  s.N = head.shape[0];
  s.D = head.shape[1] / 2;
  s.draws = noise.draws;
  s.stride = head.shape[1];
  const Var z = tape.output({int64_t{s.N} * s.draws, s.D}, head.dtype, {head});
  const Var kl = tape.constant({s.N}, accumulator_of(head.dtype));
  const Loss loss = tape.loss({head});
  dispatch(tape.ctx(), head.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    const T* mu = head.as<const T>();
    gaussian_latent_forward(lane, s, mu, mu + s.D, noise, z.as<T>(), kl.as<acc_t<T>>());
  });
  tape.on_backward(
      "gaussian_latent", {z},
      [s, head, noise, z, kl, loss](Tape& t) {
        const LossGrad dkl = t.loss_grad(loss);
        const Slot dhead = t.grad_slot(head);
        dispatch(t.ctx(), head.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          const T* mu = head.as<const T>();
          const Grad<T> dmu = dhead.as<T>();
          const Grad<T> dlogvar{dmu ? dmu.data + s.D : nullptr, dmu.mode};
          gaussian_latent_backward(lane, s, mu, mu + s.D, noise, static_cast<const T*>(t.output_grad(z)), dkl.weight,
                                   kl.as<const acc_t<T>>(), dkl.value.as<acc_t<T>>(), dmu, dlogvar);
        });
      },
      loss);
  return {z, kl, loss};
}

}  // namespace hourglass
