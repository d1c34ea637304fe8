// SPDX-License-Identifier: Apache-2.0
// Launches through the PTX that nvcc made of the same .cu files, instead of through the C++ compiler's code. With
//
//   HOURGLASS_SIMT_PTX=<folder>[:<folder or file>...]
//
// every kernel that the process launches is looked up there by its readable name and interpreted; one that is not there
// is a fault, so that a test which passes has run nothing but PTX. Every test of a CUDA kernel is a test of its PTX so.
// HOURGLASS_SIMT_PTX_LOG=<file> takes the mangled names of the kernels that ran, one a line;
// HOURGLASS_SIMT_PTX_PROFILE=<file> what their memory accesses cost (profile.h).
#pragma once

#include <string>
#include <vector>

#include "tests/simt/ptx/program.h"
#include "tests/simt/runtime_api.h"

namespace simt::ptx {

/// Whether HOURGLASS_SIMT_PTX is set.
bool enabled();

/// Runs the kernel's PTX. False: a fault, already reported.
bool run(const KernelCall& call);

/// Every kernel of a text of PTX, parsed, in its order. `file` is for messages.
std::vector<Kernel> parse_module(const std::string& text, const std::string& file);

}  // namespace simt::ptx
