// SPDX-License-Identifier: Apache-2.0
// libjpeg reports errors through a callback that must not return: ours is a longjmp. The functions that call setjmp
// here therefore hold nothing but plain pointers and integers; all that has a destructor lives in their caller, which
// looks at their result and throws.
#include "engine/io/jpeg.h"

// jpeglib.h needs stdio and size_t before it.
#include <csetjmp>
#include <cstddef>
#include <cstdio>
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "kernels/base/error.h"

namespace hourglass {
namespace {

struct Decoder {
  jpeg_decompress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg_source_mgr source = {};
  jpeg_progress_mgr progress = {};
  std::jmp_buf on_failure;
  char message[JMSG_LENGTH_MAX] = {};
};

Decoder& decoder_of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

[[noreturn]] void fail(j_common_ptr jpeg) {
  Decoder& decoder = decoder_of(jpeg);
  jpeg->err->format_message(jpeg, decoder.message);
  std::longjmp(decoder.on_failure, 1);
}

[[noreturn]] void fail_with(j_common_ptr jpeg, const char* message) {
  Decoder& decoder = decoder_of(jpeg);
  std::snprintf(decoder.message, sizeof decoder.message, "%s", message);
  std::longjmp(decoder.on_failure, 1);
}

/// Warnings have level -1. Those after which libjpeg goes on with made-up pixels are errors here.
void on_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      fail(jpeg);
  }
}

void print_nothing(j_common_ptr) {}
void no_operation(j_decompress_ptr) {}

boolean on_end_of_input(j_decompress_ptr jpeg) { fail_with(reinterpret_cast<j_common_ptr>(jpeg), "truncated"); }

void skip_bytes(j_decompress_ptr jpeg, long bytes) {
  if (bytes <= 0) return;
  if (static_cast<size_t>(bytes) > jpeg->src->bytes_in_buffer) on_end_of_input(jpeg);
  jpeg->src->next_input_byte += bytes;
  jpeg->src->bytes_in_buffer -= static_cast<size_t>(bytes);
}

void watch_scans(j_common_ptr jpeg) {
  if (jpeg->is_decompressor && reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMaxJpegScans) {
    fail_with(jpeg, "too many scans");
  }
}

bool create(Decoder& decoder) {
  if (setjmp(decoder.on_failure)) return false;
  jpeg_create_decompress(&decoder.jpeg);
  return true;
}

/// False: decoder.message says why.
bool read_header(Decoder& decoder) {
  if (setjmp(decoder.on_failure)) return false;
  jpeg_read_header(&decoder.jpeg, TRUE);
  return true;
}

bool start(Decoder& decoder, J_COLOR_SPACE color) {
  if (setjmp(decoder.on_failure)) return false;
  decoder.jpeg.out_color_space = color;
  decoder.jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&decoder.jpeg);
  return true;
}

bool read_rows(Decoder& decoder, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(decoder.on_failure)) return false;
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    JSAMPROW row = pixels + decoder.jpeg.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&decoder.jpeg);
  return true;
}

struct DecoderOwner {
  Decoder decoder;
  explicit DecoderOwner(std::span<const uint8_t> bytes) {
    decoder.jpeg.err = jpeg_std_error(&decoder.errors);
    decoder.errors.error_exit = fail;
    decoder.errors.emit_message = on_message;
    decoder.errors.output_message = print_nothing;
    decoder.jpeg.client_data = &decoder;
    if (!create(decoder)) return;
    decoder.source.next_input_byte = bytes.data();
    decoder.source.bytes_in_buffer = bytes.size();
    decoder.source.init_source = no_operation;
    decoder.source.fill_input_buffer = on_end_of_input;
    decoder.source.skip_input_data = skip_bytes;
    decoder.source.resync_to_restart = jpeg_resync_to_restart;
    decoder.source.term_source = no_operation;
    decoder.jpeg.src = &decoder.source;
    decoder.progress.progress_monitor = watch_scans;
    decoder.jpeg.progress = &decoder.progress;
  }
  ~DecoderOwner() { jpeg_destroy_decompress(&decoder.jpeg); }
  DecoderOwner(const DecoderOwner&) = delete;
  DecoderOwner& operator=(const DecoderOwner&) = delete;
};

[[noreturn]] void refuse(const std::string& what, const std::string& message) {
  throw Error(Exit::kData, what + ": bad JPEG: " + message);
}

}  // namespace

Image parse_jpeg(std::span<const uint8_t> bytes, const std::string& what) {
  DecoderOwner owner(bytes);
  Decoder& decoder = owner.decoder;
  if (decoder.message[0] || !read_header(decoder)) refuse(what, decoder.message);

  const int64_t height = decoder.jpeg.image_height, width = decoder.jpeg.image_width;
  if (height * width > kMaxImagePixels) {
    refuse(what, std::to_string(width) + " x " + std::to_string(height) + " pixels: expected at most " +
                     std::to_string(kMaxImagePixels));
  }
  const J_COLOR_SPACE stored = decoder.jpeg.jpeg_color_space;
  if (stored == JCS_CMYK || stored == JCS_YCCK) refuse(what, "CMYK colors; expected gray, RGB or YCbCr");
  const bool gray = stored == JCS_GRAYSCALE;
  if (!start(decoder, gray ? JCS_GRAYSCALE : JCS_RGB)) refuse(what, decoder.message);

  Image image{static_cast<int>(height), static_cast<int>(width), gray ? 1 : 3, {}};
  const size_t row_bytes = static_cast<size_t>(width) * static_cast<size_t>(image.channels);
  if (decoder.jpeg.output_components != image.channels || decoder.jpeg.output_width != decoder.jpeg.image_width) {
    refuse(what, "an unexpected pixel format");
  }
  image.pixels.resize(row_bytes * static_cast<size_t>(height));
  if (!read_rows(decoder, image.pixels.data(), row_bytes)) refuse(what, decoder.message);
  return image;
}

}  // namespace hourglass
