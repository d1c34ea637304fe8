// SPDX-License-Identifier: Apache-2.0
// Small data sets for model tests, and a trainer over one.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/base/philox.h"
#include "models/trainer.h"

namespace hourglass::test {

/// Images with structure: a bright bar whose place and tilt vary, plus a little noise; u8.
struct SmallData {
  explicit SmallData(int n = 256, int height = 8, int width = 8) : columns(height * width) {
    bytes.resize(static_cast<size_t>(n * columns));
    split.resize(static_cast<size_t>(n));
    std::iota(split.begin(), split.end(), 0);
    Noise noise;
    noise.seed = 11;
    noise.stream = stream_id("small data");
    for (int i = 0; i < n; ++i) {
      const float place = uniform<float>(noise, i, 0) * static_cast<float>(width),
                  tilt = uniform<float>(noise, i, 1) - 0.5f;
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          const float distance = static_cast<float>(x) - place - tilt * static_cast<float>(y);
          const float grain = 0.05f * uniform<float>(noise, i, 2 + y * width + x);
          const float value = 0.95f * std::exp(-distance * distance / 2) + grain;
          bytes[static_cast<size_t>(i * columns + y * width + x)] = static_cast<uint8_t>(255 * value);
        }
      }
    }
  }
  SampleStore store() const { return {bytes.data(), Dtype::kU8, static_cast<int64_t>(split.size()), columns}; }

  int columns;
  std::vector<uint8_t> bytes;
  std::vector<int32_t> split;
};

/// A small VAE on SmallData's 8 x 8 images.
inline TrainerOptions small_trainer_options() {
  TrainerOptions options;
  options.model.height = options.model.width = 8;
  options.model.hidden = {24};
  options.model.latent = 3;
  options.batch.batch = 32;
  return options;
}

/// All parameter values, for comparing bits.
inline std::vector<float> values_of(Parameters& parameters) {
  const float* values = static_cast<const float*>(parameters.values());
  return {values, values + parameters.slab_elements()};
}

}  // namespace hourglass::test
