// SPDX-License-Identifier: Apache-2.0
// JPEG images as 8-bit grey or RGB.
#pragma once

#include <span>
#include <string>

#include "engine/io/image.h"

namespace hourglass {

/// Grey stays grey, YCbCr and RGB become RGB; baseline and progressive. The orientation of a camera's EXIF record is
/// not applied. Error(kData), naming `what`, for: a file that ends before its end-of-image marker (there are no partial
/// images), damaged entropy-coded data that libjpeg would paint over, CMYK, 12 bits, an image beyond kMaxImagePixels,
/// or one of more scans than kMaxJpegScans. Harmless oddities, such as extra bytes between markers, are read over.
/// Nothing is printed.
Image parse_jpeg(std::span<const uint8_t> bytes, const std::string& what);

/// A small progressive file of very many scans takes minutes to decode: encoders make about ten.
inline constexpr int kMaxJpegScans = 200;

}  // namespace hourglass
