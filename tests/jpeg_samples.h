// SPDX-License-Identifier: Apache-2.0
// JPEG files for tests, made by libjpeg's encoder. Link JPEG::JPEG.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>
// clang-format off
#include <jpeglib.h>
// clang-format on

#include "engine/io/image.h"

namespace hourglass::test {

struct JpegOptions {
  int quality = 95;
  bool progressive = false;
  int restart_interval = 0;           ///< in blocks
  J_COLOR_SPACE color = JCS_UNKNOWN;  ///< of the pixels; JCS_UNKNOWN: gray or RGB by the channels
  std::vector<jpeg_scan_info> scans = {};
};

inline std::vector<uint8_t> encode_jpeg(const Image& image, const JpegOptions& options = {}) {
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);
  errors.error_exit = [](j_common_ptr) { throw std::runtime_error("encode_jpeg"); };
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = image.channels;
  jpeg.in_color_space = options.color != JCS_UNKNOWN ? options.color : image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, options.quality, TRUE);
  jpeg.restart_interval = static_cast<unsigned>(options.restart_interval);
  if (options.progressive) jpeg_simple_progression(&jpeg);
  if (!options.scans.empty()) {
    jpeg.scan_info = options.scans.data();
    jpeg.num_scans = static_cast<int>(options.scans.size());
  }
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<JSAMPROW>(image.pixels.data()) +
                jpeg.next_scanline * static_cast<size_t>(image.width * image.channels);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::vector<uint8_t> bytes(data, data + size);
  jpeg_destroy_compress(&jpeg);
  std::free(data);
  return bytes;
}

/// Smooth colors, which a JPEG of quality 95 keeps to a few steps.
inline Image smooth_image(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(40 + 60 * c + 3 * y + (c == 1 ? -2 * x : 2 * x)));
      }
    }
  }
  return image;
}

}  // namespace hourglass::test
