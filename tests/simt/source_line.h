// SPDX-License-Identifier: Apache-2.0
// From a code address to what a reader of a report needs. For the access checker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace simt {

/// "<file>:<line>" of a call's return address: the innermost place that is neither in the emulator nor in the
/// standard library; where that is an inlined helper of another file, its caller too. By addr2line, when a report is
/// made; without it the function's name.
std::string source_line(const void* pc);

/// Offset of an address in the executable, and back.
uint32_t code_offset(const void* pc);
const void* code_address(uint32_t offset);

/// Code and global variables of the executable: __constant__ and __device__ variables are among them.
bool is_program_memory(uintptr_t address);
/// A function of the standard library or of the emulator that a .cu file has instantiated: no kernel.
bool is_library_code(const void* pc);

}  // namespace simt
