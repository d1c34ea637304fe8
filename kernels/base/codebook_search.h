// SPDX-License-Identifier: Apache-2.0
// The search of nearest_codebook's timed form, for each instruction-set level that this machine has.
#pragma once

#include <vector>

#include "kernels/nearest_codebook.h"

namespace hourglass::cpu {

struct CodebookSearchLevel {
  const char* name;
  /// As nearest_codebook.
  void (*search)(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
                 int32_t* index, float* distance, FaultReport report);
};

/// Best first. In every build, so that tests can hold each against the reference.
const std::vector<CodebookSearchLevel>& codebook_search_levels();

}  // namespace hourglass::cpu
