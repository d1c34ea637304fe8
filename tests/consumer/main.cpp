// SPDX-License-Identifier: Apache-2.0
// A program of somebody else's: it finds an installed Hourglass and asks it what it is.
#include <iostream>

#include "engine/version.h"
#include "kernels/base/error.h"

int main() {
  const hourglass::BuildInfo& build = hourglass::build_info();
  std::cout << "hourglass " << build.version << " (" << build.commit << ", " << build.compiler << ", " << build.flags
            << ", oneDNN " << build.onednn << ")\n";
  return build.version[0] == '\0' ? 1 : 0;
}
