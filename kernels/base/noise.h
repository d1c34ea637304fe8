// SPDX-License-Identifier: Apache-2.0
// Naming of random numbers: every draw is addressed, none is stored, and no generator has state.
#pragma once

#include <cstdint>

#include "kernels/base/simd.h"

namespace hourglass {

/// Which random numbers an op draws. With Philox4x32-10, key = (seed, stream) and
/// counter = (element / 4, draw, row, step); the four words of one block serve elements 4i .. 4i+3 of a row.
/// An output of R rows holds `draws` consecutive rows a sample: row r belongs to sample r / draws, draw r % draws.
struct Noise {
  uint32_t seed = 0;
  uint32_t stream = 0;            ///< stream_id("train/latent"): a hash of phase and purpose, never of call order
  const int64_t* step = nullptr;  ///< the device's step counter; null means step 0 (evaluation)
  const int32_t* rows = nullptr;  ///< (samples) the row of each sample (its data-set index in evaluation); or null
  int32_t first_row = 0;          ///< without `rows`: sample n has row first_row + n (position in the global batch)
  int32_t draws = 1;              ///< Monte-Carlo draws a sample
  const int32_t* first_draw = nullptr;  ///< number of the first draw (evaluation in chunks); null means 0

  HOURGLASS_HD uint32_t row_of(int64_t r) const {
    const int64_t sample = r / draws;
    return static_cast<uint32_t>(rows ? rows[sample] : first_row + sample);
  }
  HOURGLASS_HD uint32_t draw_of(int64_t r) const {
    return static_cast<uint32_t>((first_draw ? *first_draw : 0) + r % draws);
  }
  HOURGLASS_HD uint32_t step_of() const { return step ? static_cast<uint32_t>(*step) : 0u; }
};

/// FNV-1a of a name such as "train/latent".
constexpr uint32_t stream_id(const char* name) {
  uint32_t h = 2166136261u;
  for (; *name; ++name) h = (h ^ static_cast<unsigned char>(*name)) * 16777619u;
  return h;
}

}  // namespace hourglass
