// SPDX-License-Identifier: Apache-2.0
// Widths of a mirrored pair of stacks.
#pragma once

#include <vector>

#include "models/config.h"

namespace hourglass {

/// pixels, hidden..., code
inline std::vector<int> encoder_sizes(const ModelConfig& config, int code) {
  std::vector<int> sizes{config.pixels()};
  sizes.insert(sizes.end(), config.hidden.begin(), config.hidden.end());
  sizes.push_back(code);
  return sizes;
}

/// latent, hidden reversed..., pixels
inline std::vector<int> decoder_sizes(const ModelConfig& config) {
  std::vector<int> sizes{config.latent};
  sizes.insert(sizes.end(), config.hidden.rbegin(), config.hidden.rend());
  sizes.push_back(config.pixels());
  return sizes;
}

}  // namespace hourglass
