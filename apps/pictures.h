// SPDX-License-Identifier: Apache-2.0
// The pictures that training and the commands leave.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/dataset.h"
#include "engine/io/image.h"
#include "engine/io/json.h"
#include "models/config.h"
#include "models/inference.h"

namespace hourglass {

/// Rows of z ~ N(0, I), the same for a seed whatever is drawn besides: (n, latent).
Matrix standard_normals(int n, int latent, uint32_t seed);

/// How many of `n` images the picture of write_reconstructions or write_denoised holds.
int fitting_reconstructions(int64_t n, const ModelConfig& config, bool denoising);
/// Error(kUsage) naming the option and what a picture holds, if that is fewer than were asked for.
void expect_fitting(const std::string& option, int64_t asked, int64_t fitting, const ModelConfig& config);

/// The first `n` images of a split as rows, 0..1.
Matrix first_images(const Dataset& dataset, const std::vector<int32_t>& split, int64_t n);

/// Rows of images above their reconstructions.
void write_reconstructions(const std::filesystem::path& path, const Matrix& images, const Matrix& reconstructions,
                           const ModelConfig& config);
/// Noisy images, what the model made of them, and the clean ones.
void write_denoised(const std::filesystem::path& path, const Matrix& noisy, const Matrix& denoised, const Matrix& clean,
                    const ModelConfig& config);
/// How many of `n` images a grid holds.
int fitting_images(int64_t n, const ModelConfig& config, int columns = 0);
/// A grid.
Image grid_picture(const Matrix& images, const ModelConfig& config, int columns = 0, int gap = 6);
void write_grid(const std::filesystem::path& path, const Matrix& images, const ModelConfig& config, int columns = 0,
                int gap = 6);
/// Curves of the objective and its terms from the lines of metrics.jsonl.
void write_curves(const std::filesystem::path& path, const std::vector<Json>& metrics, const std::string& title);

/// How often each code of a codebook was chosen, by falling use, beside equal use of all.
void write_code_usage(const std::filesystem::path& path, std::vector<int64_t> usage, const std::string& title);

/// Points of the latent plane (N, 2), colored by class; `labels` may be empty.
Image scatter_picture(const Matrix& codes, const std::vector<int32_t>& labels,
                      const std::vector<std::string>& label_names, const std::string& title);

// A side x side grid of codes over the latent plane, in the order of write_grid with `side` columns: the first
// coordinate grows to the right and the second upwards, as in the scatter.
inline constexpr int kGridSide = 20;
/// kGridSide, less of large images: four such grids fit one picture.
int grid_side(const ModelConfig& config);
/// Each cell has the same probability under the prior N(0, I): coordinates are quantiles at the cells' middles
/// (Kingma and Welling, arXiv 1312.6114, figure 4).
Matrix prior_grid(int side = kGridSide);
/// Evenly over the middle 96 % of the codes along each axis: an autoencoder has no prior.
Matrix central_grid(const Matrix& codes, int side = kGridSide);

}  // namespace hourglass
