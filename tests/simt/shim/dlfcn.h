// SPDX-License-Identifier: Apache-2.0
// Opens the emulator's stand-in where the program opens cuBLASLt by name, and the system's libraries elsewhere.
#pragma once

#include_next <dlfcn.h>

namespace simt {
/// The stand-in with HOURGLASS_SIMT_CUBLASLT=1; null, as where it is not installed, without.
void* open_library(const char* name, int flags);
void* find_symbol(void* library, const char* symbol);
}  // namespace simt

#define dlopen simt::open_library
#define dlsym simt::find_symbol
