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

const char* name_of(ModelKind kind) { return kind == ModelKind::kVae ? "vae" : "ae"; }
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
  return layers;
}

Architecture ModelConfig::decoder_layers() const {
  const int code = spatial_code ? 0 : latent;
  if (decoder.empty()) return mirror(trunk_layers(), code, image());
  return complete_decoder(parse_architecture("--decoder", decoder), trunk_layers(), code, image());
}

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
  expect(!spatial_code || kind == ModelKind::kAutoencoder, "--latent", "at least 1 for a VAE", "0");
  if (spatial_code) {
    expect(trunk_size() == latent, "--latent", "the size of the encoder's output", std::to_string(latent));
  }
  decoder_layers();
  expect(!learned_sigma || !optimal_sigma, "--sigma", "learned or optimal", "both");
  expect(sigma > 0 && std::isfinite(sigma), "--sigma", "a positive number or learned", std::to_string(sigma));
  expect(kind == ModelKind::kAutoencoder || code_activation == Activation::kNone, "--code-activation",
         "none for a VAE, whose code is a Gaussian", activation_name(code_activation));
}

Json to_json(const ModelConfig& c) {
  Json hidden = Json::array();
  for (int width : c.hidden) hidden.push_back(width);
  return Json::object({{"model", name_of(c.kind)},
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
}

ModelConfig model_config_from_json(const Json& json) {
  ModelConfig c;
  const std::string& model = json.get_string("model");
  if (model != "vae" && model != "ae") unknown("model", model);
  c.kind = model == "vae" ? ModelKind::kVae : ModelKind::kAutoencoder;
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
  if (json.find("encoder")) {  // since convolutions are there
    c.encoder = json.get_string("encoder");
    c.decoder = json.get_string("decoder");
    c.spatial_code = json.get_bool("spatial_code");
    if (json.find("optimal_sigma")) c.optimal_sigma = json.get_bool("optimal_sigma");
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
  c.tied_weights = json.get_bool("tied_weights");
  try {
    c.check();
  } catch (const Error& error) {
    throw Error(Exit::kCheckpoint, error.what());
  }
  return c;
}

}  // namespace hourglass
