// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files, written out from numpy/lib/format.py: magic "\x93NUMPY", version, header length (v1: u16,
// v2 and v3: u32), a Python dict literal with the keys descr, fortran_order and shape, then the elements.
#pragma once

#include <filesystem>
#include <span>

#include "engine/io/files.h"
#include "engine/io/host_array.h"

namespace hourglass {

/// Reads one array of little-endian or one-byte elements (bool, u1..u8, i1..i8, f2, f4, f8). Fortran order is turned
/// into C order. Object and structured dtypes and big-endian ones are refused by name, and so are a header longer
/// than 10,000 bytes, more than 8 dimensions, and a file that is shorter or longer than its shape says: Exit::kData.
/// An array of more than `max_bytes` is Exit::kDevice naming both sizes, before anything is allocated for it.
HostArray read_npy(const std::filesystem::path& path, int64_t max_bytes = kMaxFileBytes);

/// The same from memory; `what` names the source in messages.
HostArray parse_npy(std::span<const uint8_t> bytes, const std::string& what, int64_t max_bytes = kMaxFileBytes);

/// Writes version 1 in C order, atomically. The shape's product must be the number of elements (Exit::kInternal).
void write_npy(const std::filesystem::path& path, std::span<const float> values, std::span<const int64_t> shape);
void write_npy(const std::filesystem::path& path, std::span<const int32_t> values, std::span<const int64_t> shape);
void write_npy(const std::filesystem::path& path, std::span<const int64_t> values, std::span<const int64_t> shape);
void write_npy(const std::filesystem::path& path, std::span<const uint8_t> values, std::span<const int64_t> shape);

}  // namespace hourglass
