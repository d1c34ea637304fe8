// SPDX-License-Identifier: Apache-2.0
#include "models/inference.h"

#include <charconv>

#include "engine/checkpoint.h"
#include "kernels/base/error.h"
#include "models/row_function.h"
#include "models/vqvae.h"

namespace hourglass {
namespace {

/// The model that a checkpoint describes; what is wrong with it names the file.
std::unique_ptr<Model> stored_model(Parameters& parameters, const FoundCheckpoint& found) {
  const std::string file = found.path.string() + ": ";
  const Json json = Json::parse(found.file.metadata("model"), file + "model", Exit::kCheckpoint);
  try {
    return make_model(parameters, model_config_from_json(json));
  } catch (const Error& error) {
    const std::string message = error.what();
    const Exit exit = error.exit() == Exit::kUsage ? Exit::kCheckpoint : error.exit();
    throw Error(exit, message.starts_with(file) ? message : file + message);
  }
}

}  // namespace

struct Inference::State {
  State(FoundCheckpoint found, const RuntimeOptions& options)
      : runtime(options), checkpoint(found.path), metadata(found.file.metadata()), notices(std::move(found.notices)) {
    model = stored_model(parameters, found);
    const ModelConfig& config = model->config();
    parameters.allocate(0, runtime.ctx());
    restore(found.file, model_tensors(parameters), runtime.ctx());
    encode = std::make_unique<RowFunction>(runtime, config.pixels(), config.latent,
                                           [this](Tape& t, const Var& x) { return model->posterior(t, x).mu; });
    decode = std::make_unique<RowFunction>(runtime, config.latent, config.pixels(), [this](Tape& t, const Var& z) {
      return model->mean(t, model->decode(t, z));
    });
    if (const auto* vqvae = dynamic_cast<const VqVae*>(model.get())) {
      const ImageShape grid = config.code_grid();
      positions = grid.height * grid.width;
      codes = std::make_unique<RowFunction>(runtime, config.pixels(), positions,
                                            [vqvae](Tape& t, const Var& x) { return vqvae->codes(t, x); });
      decode_codes = std::make_unique<RowFunction>(
          runtime, positions, config.pixels(),
          [vqvae, grid](Tape& t, const Var& index) {
            const Var codes = reshape(index, {index.shape[0], grid.height, grid.width});
            return vqvae->mean(t, vqvae->decode_codes(t, codes));
          },
          Dtype::kI32);
    }
    if (config.kind == ModelKind::kVae) {
      logvar = std::make_unique<RowFunction>(runtime, config.pixels(), config.latent,
                                             [this](Tape& t, const Var& x) { return model->posterior(t, x).logvar; });
    }
  }

  Runtime runtime;
  Parameters parameters;
  std::unique_ptr<Model> model;
  std::unique_ptr<RowFunction> encode, logvar, decode;
  std::unique_ptr<RowFunction> codes, decode_codes;  // of a VQ-VAE
  int positions = 0;
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
  if (!state_->logvar) throw Error(Exit::kUsage, "encode_logvar: expected a vae, only that has a log-variance");
  return (*state_->logvar)("encode_logvar", x);
}

std::vector<int32_t> Inference::encode_codes(const Matrix& x) {
  const int pixels = model().config().pixels();
  if (!state_->codes) throw Error(Exit::kUsage, "encode_codes: expected a vqvae, only that has codes");
  if (x.cols != pixels) {
    throw Error(Exit::kUsage,
                "encode_codes: expects rows of " + std::to_string(pixels) + " values, given " + std::to_string(x.cols));
  }
  std::vector<int32_t> codes(static_cast<size_t>(x.rows * state_->positions));
  state_->codes->run(x.values.data(), x.rows, codes.data());
  return codes;
}

Matrix Inference::decode_codes(const std::vector<int32_t>& codes) {
  if (!state_->codes) throw Error(Exit::kUsage, "decode_codes: expected a vqvae, only that has codes");
  const int positions = state_->positions, size = model().config().quantizer.codes;
  if (codes.size() % static_cast<size_t>(positions) != 0) {
    throw Error(Exit::kUsage, "decode_codes: expects " + std::to_string(positions) + " codes an image, given " +
                                  std::to_string(codes.size()) + " in all");
  }
  for (size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] >= 0 && codes[i] < size) continue;
    throw Error(Exit::kData, "decode_codes: element " + std::to_string(i) + " expects a code from 0 to " +
                                 std::to_string(size - 1) + ", given " + std::to_string(codes[i]));
  }
  Matrix y(static_cast<int64_t>(codes.size()) / positions, model().config().pixels());
  state_->decode_codes->run(codes.data(), y.rows, y.values.data());
  return y;
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
