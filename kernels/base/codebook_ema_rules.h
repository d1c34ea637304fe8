// SPDX-License-Identifier: Apache-2.0
// What both devices' forms of codebook_ema.h share: the refusals, and which row a dead code restarts from.
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/base/permutation.h"
#include "kernels/base/philox.h"
#include "kernels/codebook_ema.h"

namespace hourglass {

inline void check_codebook_ema(const CodebookEmaShape& s, const CodebookEmaOptions& o) {
  const auto refuse = [](const std::string& expected, const std::string& got) {
    throw Error(Exit::kUsage, "codebook_ema: expected " + expected + ", got " + got);
  };
  if (s.N < 0 || s.D < 0 || s.K < 0) {
    refuse("N, D, K >= 0",
           "N = " + std::to_string(s.N) + ", D = " + std::to_string(s.D) + ", K = " + std::to_string(s.K));
  }
  if (!(o.decay >= 0 && o.decay <= 1)) refuse("a decay in [0, 1]", std::to_string(o.decay));
  if (!(o.epsilon > 0)) refuse("epsilon > 0", std::to_string(o.epsilon));
  if (!(o.restart_threshold >= 0)) refuse("a restart threshold >= 0", std::to_string(o.restart_threshold));
  if (o.restart_threshold > 0 && s.N == 0 && s.K > 0) refuse("rows to restart from", "N = 0");
}

/// The row of the batch from which code k restarts.
HOURGLASS_HD inline int32_t restart_row(const Noise& noise, int32_t k, int32_t rows) {
  const PhiloxWords words = philox(noise.seed, noise.stream, 0, 0, 0, noise.step_of());
  const auto n = static_cast<uint32_t>(rows);
  return static_cast<int32_t>(permute(static_cast<uint32_t>(k) % n, n, words.w[0], words.w[1]));
}

}  // namespace hourglass
