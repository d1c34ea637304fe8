// SPDX-License-Identifier: Apache-2.0
#include "models/vqvae.h"

#include "kernels/base/error.h"

namespace hourglass {

VqVae::VqVae(Parameters& parameters, const ModelConfig& c)
    : Model(parameters, c),
      grid_(c.code_grid()),
      encoder_(parameters, "encoder", c.encoder_layers(), c.activation, encoder_group()),
      decoder_(parameters, "decoder", c.decoder_layers(), c.activation, decoder_group()) {
  const QuantizerConfig& q = c.quantizer;
  const Init init = Init::uniform(1.0 / q.codes);  // of the paper's code; k-means writes over it
  if (q.ema) {
    CodebookEmaOptions options;
    options.decay = q.decay;
    options.restart_threshold = q.restart_threshold;
    average_.emplace(parameters, "codebook", q.codes, q.dim, init, options);
  } else {
    learned_ = &parameters.add("codebook", {q.codes, q.dim}, init, parameters.group("codebook"));
    learned_counts_ = parameters.statistics(q.codes);
  }
}

Inference VqVae::load(const std::string& path, const RuntimeOptions& options) {
  Inference inference = Inference::load(path, options);
  const ModelKind kind = inference.model().config().kind;
  if (kind != ModelKind::kVqVae) {
    throw Error(Exit::kCheckpoint, path + ": expected a vqvae, found: " + name_of(kind));
  }
  return inference;
}

Var VqVae::codebook() const { return average_ ? average_->codebook() : learned_->var; }

void VqVae::start(const Context& ctx) const {
  if (average_) average_->start(ctx);
}

const Leaf* VqVae::code_counts() const { return average_ ? average_->step_counts() : learned_counts_; }

Var VqVae::vectors(Tape& tape, const Var& x) const {
  const Var z = cast(tape, encoder_(tape, x), accumulator_of(x.dtype));
  return reshape(z, {x.shape[0], grid_.height, grid_.width, grid_.channels});
}

Quantized VqVae::quantize(Tape& tape, const Var& z, const Batch& batch) const {
  if (!average_) return vector_quantize(tape, z, *learned_, batch.report, learned_counts_);
  Noise restart = batch.noise;
  restart.stream = stream_id("train/restart");
  return average_->quantize(tape, z, restart, batch.report);
}

VqVae::Output VqVae::forward(Tape& tape, const Batch& batch) const {
  Output out;
  out.z = vectors(tape, batch.input());
  out.quantized = quantize(tape, out.z, batch);
  const Var codes = cast(tape, out.quantized.codes, batch.x.dtype);
  out.y = decoder_(tape, reshape(codes, {out.z.shape[0], grid_.elements()}));
  return out;
}

LossTerms VqVae::train(Tape& tape, const Batch& batch, int) const {
  const Output out = forward(tape, batch);
  LossTerms terms;
  terms.reconstruction = squared_error(tape, out.y, batch.x);
  terms.commitment = out.quantized.commitment;
  terms.codebook = out.quantized.codebook;
  return terms;
}

EvaluationTerms VqVae::evaluate(Tape& tape, const Batch& batch) const {
  const Output out = forward(tape, batch);
  EvaluationTerms terms;
  terms.posterior.mu = reshape(out.quantized.codes, {out.z.shape[0], grid_.elements()});
  terms.reconstruction = terms.squared_error = squared_error_per_sample(tape, out.y, batch.x);
  terms.codes = out.quantized.nearest;
  return terms;
}

Posterior VqVae::posterior(Tape& tape, const Var& x) const {
  const Var index = codes(tape, x);
  const Var vectors = code_vectors(tape, reshape(index, {static_cast<int>(index.shape.elements())}), codebook());
  return {reshape(vectors, {x.shape[0], grid_.elements()}), {}};
}

Var VqVae::codes(Tape& tape, const Var& x) const {
  return reshape(nearest_codebook(tape, vectors(tape, x), codebook()).index, {x.shape[0], grid_.height, grid_.width});
}

Var VqVae::decode_codes(Tape& tape, const Var& index) const {
  const Var vectors = code_vectors(tape, reshape(index, {static_cast<int>(index.shape.elements())}), codebook());
  return decoder_(tape, reshape(vectors, {index.shape[0], grid_.elements()}));
}

}  // namespace hourglass
