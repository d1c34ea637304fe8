// SPDX-License-Identifier: Apache-2.0
// Using a trained model: plain arrays in, plain arrays out, no tape in sight.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "engine/runtime.h"
#include "models/matrix.h"
#include "models/model.h"

namespace hourglass {

/// A trained model with the device it runs on. Movable. Work is done in batches of a fixed size, so memory does not
/// depend on the number of rows.
class Inference {
 public:
  /// From a run folder (its newest sound checkpoint) or one .safetensors file. Error(kCheckpoint) says what is wrong.
  static Inference load(const std::string& run_or_file, const RuntimeOptions& options = {});
  Inference(Inference&&) noexcept;
  Inference& operator=(Inference&&) noexcept;
  ~Inference();

  /// The posterior mean mu (or the code of an autoencoder) of each row of x (n, pixels), values 0..1: (n, latent).
  Matrix encode(const Matrix& x);
  /// The posterior log-variance: (n, latent). Error(kUsage) for an autoencoder.
  Matrix encode_logvar(const Matrix& x);
  /// The decoder's mean at z (n, latent): (n, pixels).
  Matrix decode(const Matrix& z);
  /// decode(encode(x)).
  Matrix reconstruct(const Matrix& x);

  /// Of a VQ-VAE: the code of each position of each row of x, row-major over (n, H', W') with H' and W' of
  /// ModelConfig::code_grid(). Error(kUsage) for another model.
  std::vector<int32_t> encode_codes(const Matrix& x);
  /// What reconstruct makes of images with these codes, bit for bit: (n, pixels). Error(kUsage) for another model and
  /// for a number that is no multiple of the positions, Error(kData) for one outside [0, K), naming it.
  Matrix decode_codes(const std::vector<int32_t>& codes);

  const Model& model() const;
  Parameters& parameters();
  Runtime& runtime();
  /// What the checkpoint says of itself, and where it was found.
  const StringMap& metadata() const;
  const std::filesystem::path& checkpoint() const;
  /// Lines about checkpoints that had to be passed over.
  const std::vector<std::string>& notices() const;
  int64_t step() const;

 private:
  struct State;
  explicit Inference(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hourglass
