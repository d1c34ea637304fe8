// SPDX-License-Identifier: Apache-2.0
// IDX files, the format of MNIST: bytes 0, 0, type, rank, then `rank` big-endian u32 extents, then the elements, last
// index fastest, big-endian. Types: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64.
#pragma once

#include <filesystem>
#include <span>

#include "engine/io/files.h"
#include "engine/io/host_array.h"

namespace hourglass {

/// Reads an IDX file, plain or gzipped (told by content, not by name); elements become little-endian. Rank is 1 to 4.
/// A file that is shorter or longer than its header says, or fails gzip's own checks, is Exit::kData. Unpacking stops
/// at the size the header implies, so a small file cannot fill the memory. An array of more than `max_bytes` is
/// Exit::kDevice naming both sizes, before anything is allocated for it.
HostArray read_idx(const std::filesystem::path& path, int64_t max_bytes = kMaxFileBytes);

/// The same from memory; `what` names the source in messages.
HostArray parse_idx(std::span<const uint8_t> bytes, const std::string& what, int64_t max_bytes = kMaxFileBytes);

}  // namespace hourglass
