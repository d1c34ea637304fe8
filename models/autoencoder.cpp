// SPDX-License-Identifier: Apache-2.0
#include "models/autoencoder.h"

namespace hourglass {
namespace {

Network make_decoder(Parameters& parameters, const ModelConfig& c, const Network& encoder, Groups group) {
  if (!c.tied_weights) return Network(parameters, "decoder", c.decoder_layers(), c.activation, group);
  return Network(parameters, "decoder", encoder.linear_layers(), c.activation, Activation::kNone, group);
}

}  // namespace

Autoencoder::Autoencoder(Parameters& parameters, const ModelConfig& c)
    : Model(parameters, c),
      encoder_(parameters, "encoder", c.encoder_layers(), c.activation, encoder_group()),
      decoder_(make_decoder(parameters, c, encoder_, decoder_group())) {}

Autoencoder::Output Autoencoder::forward(Tape& tape, const Var& x) const {
  const Var code = encoder_(tape, x);
  return {code, decoder_(tape, code)};
}

LossTerms Autoencoder::train(Tape& tape, const Batch& batch, int) const {
  return {likelihood().nll(tape, decoder_, encoder_(tape, batch.input()), batch.x), {}};
}

EvaluationTerms Autoencoder::evaluate(Tape& tape, const Batch& batch) const {
  const Output out = forward(tape, batch.input());
  return {{out.code, {}},
          likelihood().nll_per_sample(tape, out.y, batch.x),
          {},
          squared_error_per_sample(tape, mean(tape, out.y), batch.x)};
}

}  // namespace hourglass
