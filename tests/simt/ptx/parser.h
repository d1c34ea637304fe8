// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/simt/ptx/program.h"

namespace simt::ptx {

/// A shared array of the module, which belongs to the kernels that name it.
struct SharedArray {
  std::string name;
  size_t bytes, alignment;
  bool dynamic;  ///< extern: the dynamic shared memory, whatever its name
};

/// One kernel: `text` from `.entry` to its closing brace. `shared`: the module's own arrays.
/// Throws Unsupported, with the line, for anything it does not know.
Kernel parse_kernel(std::string_view text, const std::string& file, int first_line,
                    const std::vector<SharedArray>& shared);

}  // namespace simt::ptx
