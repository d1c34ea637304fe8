// SPDX-License-Identifier: Apache-2.0
// Files of codes that `encode` writes and `decode` reads: an .npy array, and beside it, codes.npy and codes.json, what
// made it. The array alone cannot say which codebook its numbers mean.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/json.h"
#include "models/inference.h"

namespace hourglass {

/// Codes of images as one model makes them: of a VQ-VAE indices (n, H', W'), of another model vectors (n, latent).
struct Codes {
  int64_t n = 0;
  std::vector<int32_t> indices;
  Matrix vectors;

  void append(const Codes& more);
};

bool is_quantized(const Inference& model);
Codes encode(Inference& model, const Matrix& x);
/// Codes first .. first + count.
Matrix decode(Inference& model, const Codes& codes, int64_t first, int64_t count);

/// Writes the array and beside it `facts` with what decode needs to know of the model. Returns the two paths.
Json write_codes(const std::filesystem::path& path, const Codes& codes, Inference& model, Json facts);

/// Error(kData) naming the file, what was expected and what was given: unreadable, another shape or type, a code
/// outside the codebook (naming it), a value that is not finite, or codes of another model or codebook, where the file
/// beside it says so. An array without that file is taken as it is.
Codes read_codes(const std::filesystem::path& path, Inference& model);

}  // namespace hourglass
