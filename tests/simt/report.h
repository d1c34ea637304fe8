// SPDX-License-Identifier: Apache-2.0
// Inside the emulator: how a fault becomes a report.
#pragma once

#include <string>

#include "tests/simt/device.h"
#include "tests/simt/language.h"
#include "tests/simt/simt.h"

namespace simt {

void report(const std::string& kind, const std::string& text);

/// "<file>:<line>".
std::string describe(const Site& site);
/// "(x,y,z)".
std::string extents(uint3 index);
bool same_place(const Site& a, const Site& b);

}  // namespace simt
