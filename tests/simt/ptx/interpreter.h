// SPDX-License-Identifier: Apache-2.0
// Runs a kernel of PTX, block by block. The lanes of a warp go on in step: of those that can run, the ones with the
// lowest program counter, so that branches meet again as soon as the code's order lets them.
#pragma once

#include <vector>

#include "tests/simt/language.h"
#include "tests/simt/ptx/program.h"
#include "tests/simt/simt.h"

namespace simt::ptx {

class Profile;

struct Launch {
  const Kernel* kernel;
  dim3 grid, block;
  size_t dynamic_bytes = 0;
  std::vector<unsigned char> arguments;  ///< one behind the other, without padding
  uint8_t poison = 0xFF;                 ///< of shared memory, local memory and registers
  bool reverse = false;                  ///< blocks and warps from the last to the first
  Profile* profile = nullptr;            ///< takes what the accesses cost
};

/// Throws Fault.
void interpret(const Launch& launch);

}  // namespace simt::ptx
