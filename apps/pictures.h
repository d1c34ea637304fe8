// SPDX-License-Identifier: Apache-2.0
// The pictures that training and the commands leave.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/dataset.h"
#include "engine/io/json.h"
#include "models/config.h"
#include "models/inference.h"

namespace hourglass {

/// Rows of z ~ N(0, I), the same for a seed whatever is drawn besides: (n, latent).
Matrix standard_normals(int n, int latent, uint32_t seed);

/// The first `n` images of a split as rows, 0..1.
Matrix first_images(const Dataset& dataset, const std::vector<int32_t>& split, int64_t n);

/// Rows of images above their reconstructions.
void write_reconstructions(const std::filesystem::path& path, const Matrix& images, const Matrix& reconstructions,
                           const ModelConfig& config);
/// A grid.
void write_grid(const std::filesystem::path& path, const Matrix& images, const ModelConfig& config, int columns = 0,
                int gap = 6);
/// Curves of the objective and its terms from the lines of metrics.jsonl.
void write_curves(const std::filesystem::path& path, const std::vector<Json>& metrics, const std::string& title);

}  // namespace hourglass
