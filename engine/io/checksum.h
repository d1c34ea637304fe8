// SPDX-License-Identifier: Apache-2.0
// Checksums: CRC-32C finds damage in checkpoints, SHA-256 names data files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "kernels/base/error.h"

namespace hourglass {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78): "123456789" -> 0xE3069283. Pass the previous result to go on.
uint32_t crc32c(const void* data, size_t bytes, uint32_t previous = 0);

/// SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits.
std::string sha256(std::span<const uint8_t> bytes);
std::string sha256_of_file(const std::filesystem::path& path, Exit on_error = Exit::kData);

}  // namespace hourglass
