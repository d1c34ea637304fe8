// SPDX-License-Identifier: Apache-2.0
#include "models/vae.h"

#include "kernels/base/error.h"

namespace hourglass {
namespace {

std::vector<Linear> make_head(Parameters& parameters, const ModelConfig& c, Groups group) {
  const int in = c.trunk_size();
  std::vector<Linear> head;
  if (c.tied_weights) {
    head.emplace_back(parameters, "mu", in, c.latent, Activation::kNone, group);
    head.emplace_back(parameters, "logvar", in, c.latent, Activation::kNone, group);
  } else {
    head.emplace_back(parameters, "head", in, 2 * c.latent, Activation::kNone, group);
  }
  return head;
}

Network make_decoder(Parameters& parameters, const ModelConfig& c, const Network& encoder, const Linear& mu,
                     Groups group) {
  if (!c.tied_weights) return Network(parameters, "decoder", c.decoder_layers(), c.activation, group);
  std::vector<const Linear*> layers = encoder.linear_layers();
  layers.push_back(&mu);
  return Network(parameters, "decoder", layers, c.activation, Activation::kNone, group);
}

Noise named(Noise noise, const char* stream, int draws) {
  noise.stream = stream_id(stream);
  noise.draws = draws;
  return noise;
}

}  // namespace

Vae::Vae(Parameters& parameters, const ModelConfig& c)
    : Model(parameters, c),
      encoder_(parameters, "encoder", c.trunk_layers(), c.activation, encoder_group()),
      head_(make_head(parameters, c, encoder_group())),
      decoder_(make_decoder(parameters, c, encoder_, head_.front(), decoder_group())) {}

Inference Vae::load(const std::string& path, const RuntimeOptions& options) {
  Inference inference = Inference::load(path, options);
  if (inference.model().config().kind != ModelKind::kVae) {
    throw Error(Exit::kCheckpoint, path + ": expected a vae, found an " + name_of(inference.model().config().kind));
  }
  return inference;
}

Var Vae::head(Tape& tape, const Var& x) const {
  const Var h = encoder_(tape, x);
  const Var first = head_[0](tape, h);
  return head_.size() == 1 ? first : concat(tape, first, head_[1](tape, h));
}

Posterior Vae::split(Tape& tape, const Var& head) const {
  const int d = config().latent;
  return {slice(tape, head, 0, d), slice(tape, head, d, d)};
}

Posterior Vae::posterior(Tape& tape, const Var& x) const { return split(tape, head(tape, x)); }

Vae::Output Vae::forward(Tape& tape, const Var& x, const Noise& noise) const {
  Output out;
  out.head = head(tape, x);
  out.latent = gaussian_latent(tape, out.head, noise);
  out.y = decoder_(tape, out.latent.z);
  return out;
}

GaussianLatent Vae::latent(Tape& tape, const Var& x, const Noise& noise) const {
  if (head_.size() != 1) return gaussian_latent(tape, head(tape, x), noise);
  const Var h = encoder_(tape, x);
  return gaussian_head(tape, h, head_[0].weight->beside(h.dtype), head_[0].bias->beside(h.dtype), noise);
}

LossTerms Vae::train(Tape& tape, const Batch& batch, int samples) const {
  const Noise noise = named(batch.noise, "train/latent", samples);
  const GaussianLatent latent = this->latent(tape, batch.input(), noise);
  return {likelihood().nll(tape, decoder_, latent.z, batch.x), latent.kl};
}

EvaluationTerms Vae::evaluate(Tape& tape, const Batch& batch) const {
  const Output out = forward(tape, batch.input(), named(batch.noise, "evaluate/latent", 1));
  EvaluationTerms terms;
  terms.posterior = split(tape, out.head);
  terms.reconstruction = likelihood().nll_per_sample(tape, out.y, batch.x);
  terms.kl = out.latent.kl_per_sample;
  terms.squared_error = squared_error_per_sample(tape, mean(tape, decode(tape, terms.posterior.mu)), batch.x);
  return terms;
}

}  // namespace hourglass
