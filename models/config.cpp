// SPDX-License-Identifier: Apache-2.0
#include "models/config.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace hourglass {
namespace {

// Widths of layers: twice as many, and a few more, are still an int.
constexpr int kMostUnits = 1 << 26;

void expect(bool holds, const std::string& field, const std::string& expected, const std::string& given) {
  if (!holds) throw Error(Exit::kUsage, "model: " + field + " expects " + expected + ", given " + given);
}

[[noreturn]] void unknown(const char* field, const std::string& given) {
  throw Error(Exit::kCheckpoint, std::string("model: unknown ") + field + " \"" + given + "\" in the checkpoint");
}

Activation activation_from(const Json& json, const char* key) {
  const std::string& name = json.get_string(key);
  for (Activation a : kActivations) {
    if (name == activation_name(a)) return a;
  }
  unknown(key, name);
}

}  // namespace

const char* name_of(ModelKind kind) {
  switch (kind) {
    case ModelKind::kAutoencoder:
      return "ae";
    case ModelKind::kVae:
      return "vae";
    case ModelKind::kVqVae:
      return "vqvae";
  }
  return "unknown";
}
const char* name_of(LikelihoodKind likelihood) {
  switch (likelihood) {
    case LikelihoodKind::kBernoulli:
      return "bernoulli";
    case LikelihoodKind::kGaussian:
      return "gaussian";
    case LikelihoodKind::kLogistic:
      return "logistic";
  }
  return "unknown";
}

Architecture ModelConfig::trunk_layers() const {
  Architecture layers;
  if (!encoder.empty()) {
    layers = parse_architecture("--encoder", encoder);
  } else {
    for (int units : hidden) layers.push_back({.units = units});
    expect(!layers.empty() || !spatial_code, "--hidden",
           "at least one layer with --latent 0, whose code is the encoder's output", "none");
  }
  infer_shapes("--encoder", layers, image());
  return layers;
}

int ModelConfig::trunk_size() const {
  const Architecture trunk = trunk_layers();
  return static_cast<int>(trunk.empty() ? pixels() : trunk.back().out.elements());
}

Architecture ModelConfig::encoder_layers() const {
  Architecture layers = trunk_layers();
  if (kind == ModelKind::kAutoencoder && !spatial_code) {
    layers.push_back({.units = latent, .own_activation = true, .activation = code_activation});
    infer_shapes("--encoder", layers, image());
  }
  if (kind == ModelKind::kVqVae) {
    layers.push_back({.kind = LayerKind::kConv, .units = quantizer.dim, .own_activation = true});
    infer_shapes("--encoder", layers, image());
  }
  return layers;
}

Architecture ModelConfig::decoder_layers() const {
  const int code = spatial_code ? 0 : latent;
  const Architecture encoded = kind == ModelKind::kVqVae ? encoder_layers() : trunk_layers();
  if (decoder.empty()) return mirror(encoded, code, image());
  return complete_decoder(parse_architecture("--decoder", decoder), encoded, code, image());
}

namespace {

void check_quantizer(const ModelConfig& c) {
  const QuantizerConfig& q = c.quantizer;
  constexpr int kMostCodes = 1 << 20;
  const auto within = [](const char* field, int value, int most) {
    expect(value >= 1 && value <= most, field, "1 to " + std::to_string(most), std::to_string(value));
  };
  const auto number = [](bool holds, const char* field, const char* expected, double value) {
    expect(holds && std::isfinite(value), field, expected, std::to_string(value));
  };
  within("--codebook-size", q.codes, kMostCodes);
  within("--code-dim", q.dim, 1 << 16);
  number(q.commitment_weight >= 0, "--commitment-weight", "a number of at least 0", q.commitment_weight);
  number(q.decay >= 0 && q.decay < 1, "--ema-decay", "at least 0 and below 1", q.decay);
  number(q.restart_threshold >= 0, "--restart-threshold", "a number of at least 0", q.restart_threshold);
  expect(q.ema || q.restart_threshold == 0, "--restart-threshold",
         "0 with --no-ema: the moving average counts how often a code is chosen", std::to_string(q.restart_threshold));
  expect(!c.encoder.empty(), "--encoder", "the layers of a vqvae", "none");
  expect(c.spatial_code, "--latent", "none for a vqvae, whose code is its encoder's output", std::to_string(c.latent));
  expect(c.likelihood == LikelihoodKind::kGaussian && !c.learned_sigma && !c.optimal_sigma, "--likelihood",
         "gaussian with a given sigma for a vqvae, which is trained on the mean squared error", name_of(c.likelihood));
}

}  // namespace

void ModelConfig::check() const {
  const auto positive = [](const char* field, int value) {
    expect(value > 0, field, "at least 1", std::to_string(value));
    expect(value <= kMostUnits, field, "at most 2^26", std::to_string(value));
  };
  positive("image height", height);
  positive("image width", width);
  positive("image channels", channels);
  const double values = static_cast<double>(height) * width * channels;  // 2^78 at most: no integer holds it
  expect(values <= kMostUnits, "image size", "at most 2^26 values",
         std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels));
  positive("--latent", latent);
  for (int width_of_layer : hidden) positive("--hidden", width_of_layer);
  expect(!tied_weights || (encoder.empty() && decoder.empty()), "--tied-weights",
         "fully connected layers, given by --hidden", "an --encoder or --decoder");
  expect(!spatial_code || kind != ModelKind::kVae, "--latent", "at least 1 for a VAE", "0");
  if (kind == ModelKind::kVqVae) check_quantizer(*this);
  if (spatial_code) {
    const int64_t code = kind == ModelKind::kVqVae ? code_grid().elements() : trunk_size();
    expect(code == latent, "--latent", "the size of the encoder's output", std::to_string(latent));
  }
  decoder_layers();
  expect(!learned_sigma || !optimal_sigma, "--sigma", "learned or optimal", "both");
  expect(sigma > 0 && std::isfinite(sigma), "--sigma", "a positive number or learned", std::to_string(sigma));
  expect(kind == ModelKind::kAutoencoder || code_activation == Activation::kNone, "--code-activation",
         "none for a VAE, whose code is a Gaussian, and a VQ-VAE", activation_name(code_activation));
}

Json to_json(const ModelConfig& c) {
  Json hidden = Json::array();
  for (int width : c.hidden) hidden.push_back(width);
  Json json = Json::object({{"model", name_of(c.kind)},
                            {"height", c.height},
                            {"width", c.width},
                            {"channels", c.channels},
                            {"hidden", hidden},
                            {"encoder", c.encoder},
                            {"decoder", c.decoder},
                            {"latent", c.latent},
                            {"spatial_code", c.spatial_code},
                            {"activation", activation_name(c.activation)},
                            {"code_activation", activation_name(c.code_activation)},
                            {"likelihood", name_of(c.likelihood)},
                            {"sigma", c.sigma},
                            {"learned_sigma", c.learned_sigma},
                            {"optimal_sigma", c.optimal_sigma},
                            {"tied_weights", c.tied_weights}});
  if (c.kind == ModelKind::kVqVae) {
    const QuantizerConfig& q = c.quantizer;
    json.set("codebook_size", q.codes).set("code_dim", q.dim).set("commitment_weight", q.commitment_weight);
    json.set("ema", q.ema).set("ema_decay", q.decay).set("init", q.kmeans ? "kmeans" : "uniform");
    json.set("restart_threshold", q.restart_threshold);
  }
  return json;
}

ModelConfig model_config_from_json(const Json& json) {
  ModelConfig c;
  const std::string& model = json.get_string("model");
  const ModelKind models[] = {ModelKind::kAutoencoder, ModelKind::kVae, ModelKind::kVqVae};
  const auto* found = std::find_if(std::begin(models), std::end(models), [&](auto k) { return name_of(k) == model; });
  if (found == std::end(models)) unknown("model", model);
  c.kind = *found;
  const auto integer = [&json](const char* key) {
    const int64_t value = json.get_integer(key);
    if (value < 0 || value > kMostUnits) unknown(key, std::to_string(value));
    return static_cast<int>(value);
  };
  c.height = integer("height");
  c.width = integer("width");
  c.channels = integer("channels");
  c.latent = integer("latent");
  c.hidden.clear();
  for (const Json& width : json.at("hidden").elements()) {
    const int64_t value = width.as_integer();
    if (value < 1 || value > kMostUnits) unknown("hidden", std::to_string(value));
    c.hidden.push_back(static_cast<int>(value));
  }
  c.encoder = json.get_string("encoder");
  c.decoder = json.get_string("decoder");
  c.spatial_code = json.get_bool("spatial_code");
  if (c.kind == ModelKind::kVqVae) {
    QuantizerConfig& q = c.quantizer;
    q.codes = integer("codebook_size");
    q.dim = integer("code_dim");
    q.commitment_weight = json.get_number("commitment_weight");
    q.ema = json.get_bool("ema");
    q.decay = json.get_number("ema_decay");
    q.kmeans = json.get_string("init") == "kmeans";
    q.restart_threshold = json.get_number("restart_threshold");
  }
  c.activation = activation_from(json, "activation");
  c.code_activation = activation_from(json, "code_activation");
  const std::string& likelihood = json.get_string("likelihood");
  const LikelihoodKind kinds[] = {LikelihoodKind::kBernoulli, LikelihoodKind::kGaussian, LikelihoodKind::kLogistic};
  const auto* kind = std::find_if(std::begin(kinds), std::end(kinds), [&](auto k) { return name_of(k) == likelihood; });
  if (kind == std::end(kinds)) unknown("likelihood", likelihood);
  c.likelihood = *kind;
  c.sigma = json.get_number("sigma");
  c.learned_sigma = json.get_bool("learned_sigma");
  c.optimal_sigma = json.get_bool("optimal_sigma");
  c.tied_weights = json.get_bool("tied_weights");
  try {
    c.check();
  } catch (const Error& error) {
    throw Error(Exit::kCheckpoint, error.what());
  }
  return c;
}

}  // namespace hourglass
