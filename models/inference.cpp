// SPDX-License-Identifier: Apache-2.0
#include "models/inference.h"

#include <charconv>

#include "engine/checkpoint.h"
#include "kernels/base/error.h"
#include "models/row_function.h"

namespace hourglass {
namespace {

/// The configuration in a checkpoint; what is wrong with it names the file.
ModelConfig stored_config(const FoundCheckpoint& found) {
  const std::string file = found.path.string() + ": ";
  const Json json = Json::parse(found.file.metadata("model"), file + "model", Exit::kCheckpoint);
  try {
    return model_config_from_json(json);
  } catch (const Error& error) {
    const std::string message = error.what();
    throw Error(error.exit(), message.starts_with(file) ? message : file + message);
  }
}

}  // namespace

struct Inference::State {
  State(FoundCheckpoint found, const RuntimeOptions& options)
      : runtime(options), checkpoint(found.path), metadata(found.file.metadata()), notices(std::move(found.notices)) {
    const ModelConfig config = stored_config(found);
    model = make_model(parameters, config);
    parameters.allocate(0, runtime.ctx());
    restore(found.file, model_tensors(parameters), runtime.ctx());
    encode = std::make_unique<RowFunction>(runtime, config.pixels(), config.latent,
                                           [this](Tape& t, const Var& x) { return model->posterior(t, x).mu; });
    decode = std::make_unique<RowFunction>(runtime, config.latent, config.pixels(), [this](Tape& t, const Var& z) {
      return model->mean(t, model->decode(t, z));
    });
    if (config.kind == ModelKind::kVae) {
      logvar = std::make_unique<RowFunction>(runtime, config.pixels(), config.latent,
                                             [this](Tape& t, const Var& x) { return model->posterior(t, x).logvar; });
    }
  }

  Runtime runtime;
  Parameters parameters;
  std::unique_ptr<Model> model;
  std::unique_ptr<RowFunction> encode, logvar, decode;
  std::filesystem::path checkpoint;
  StringMap metadata;
  std::vector<std::string> notices;
};

Inference::Inference(std::unique_ptr<State> state) : state_(std::move(state)) {}
Inference::Inference(Inference&&) noexcept = default;
Inference& Inference::operator=(Inference&&) noexcept = default;
Inference::~Inference() = default;

Inference Inference::load(const std::string& run_or_file, const RuntimeOptions& options) {
  return Inference(std::make_unique<State>(find_checkpoint(run_or_file), options));
}

Matrix Inference::encode(const Matrix& x) { return (*state_->encode)("encode", x); }
Matrix Inference::decode(const Matrix& z) { return (*state_->decode)("decode", z); }
Matrix Inference::reconstruct(const Matrix& x) { return decode(encode(x)); }

Matrix Inference::encode_logvar(const Matrix& x) {
  if (!state_->logvar) throw Error(Exit::kUsage, "encode_logvar: an autoencoder has no log-variance");
  return (*state_->logvar)("encode_logvar", x);
}

const Model& Inference::model() const { return *state_->model; }
Parameters& Inference::parameters() { return state_->parameters; }
Runtime& Inference::runtime() { return state_->runtime; }
const StringMap& Inference::metadata() const { return state_->metadata; }
const std::filesystem::path& Inference::checkpoint() const { return state_->checkpoint; }
const std::vector<std::string>& Inference::notices() const { return state_->notices; }

int64_t Inference::step() const {
  const auto found = state_->metadata.find("step");
  int64_t step = 0;
  if (found != state_->metadata.end()) {
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), step);
  }
  return step;
}

}  // namespace hourglass
