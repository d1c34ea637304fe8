// SPDX-License-Identifier: Apache-2.0
// What `train --profile N` shows and keeps.
#pragma once

#include <string>

#include "engine/io/json.h"
#include "engine/profiler.h"

namespace hourglass {

/// Entries in the order of the tape with their microseconds a step, and their share of it.
std::string profile_table(const Profiler& profiler);

/// {"steps", "microseconds", "entries": [{"name", "shape", "forward_us", "backward_us"}, ...]}
Json profile_json(const Profiler& profiler);

}  // namespace hourglass
