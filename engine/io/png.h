// SPDX-License-Identifier: Apache-2.0
// PNG images as 8-bit grey or RGB.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "engine/io/files.h"
#include "engine/io/image.h"

namespace hourglass {

/// Grey stays grey and RGB stays RGB; palettes become RGB, 1/2/4-bit grey is widened and 16-bit rounded to 8. An alpha
/// channel or a transparent colour is dropped (colours as stored, nothing is blended) and `*alpha_dropped` tells so.
/// Anything libpng refuses, and an image beyond kMaxImagePixels, is Exit::kData naming the file. Nothing is printed.
Image read_png(const std::filesystem::path& path, bool* alpha_dropped = nullptr);

/// The same from memory; `what` names the source in messages.
Image parse_png(std::span<const uint8_t> bytes, const std::string& what, bool* alpha_dropped = nullptr);

/// Writes an 8-bit PNG atomically. An empty image, or pixels of another size, is Exit::kInternal.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace hourglass
