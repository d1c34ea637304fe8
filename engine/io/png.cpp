// SPDX-License-Identifier: Apache-2.0
// libpng reports errors by longjmp. The functions that call setjmp here therefore hold nothing but plain pointers and
// integers: all that has a destructor lives in their caller, which looks at their result and throws.
#include "engine/io/png.h"

#include <png.h>
#include <zlib.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>

namespace hourglass {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = png_alloc_size_t{64} << 20;

struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const uint8_t* next = nullptr;
  size_t left = 0;
  int passes = 1;
  char message[160] = {};
};

void on_error(png_structp png, png_const_charp message) {
  Decoder* decoder = static_cast<Decoder*>(png_get_error_ptr(png));
  std::snprintf(decoder->message, sizeof decoder->message, "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep destination, size_t bytes) {
  Decoder* decoder = static_cast<Decoder*>(png_get_io_ptr(png));
  if (bytes > decoder->left) png_error(png, "truncated");
  std::memcpy(destination, decoder->next, bytes);
  decoder->next += bytes;
  decoder->left -= bytes;
}

/// Reads up to the pixels and asks for 8-bit grey or RGB without alpha. False: decoder.message says why.
bool read_header(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png))) return false;
  png_set_read_fn(decoder.png, &decoder, on_read);
  png_set_user_limits(decoder.png, static_cast<png_uint_32>(kMaxImagePixels),
                      static_cast<png_uint_32>(kMaxImagePixels));
  png_set_chunk_malloc_max(decoder.png, kMaxChunkBytes);
  png_read_info(decoder.png, decoder.info);
  png_set_expand(decoder.png);
  png_set_scale_16(decoder.png);
  png_set_strip_alpha(decoder.png);
  decoder.passes = png_set_interlace_handling(decoder.png);
  return true;
}

bool update_info(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png))) return false;
  png_read_update_info(decoder.png, decoder.info);
  return true;
}

bool read_rows(Decoder& decoder, uint8_t* pixels, size_t row_bytes, int height) {
  if (setjmp(png_jmpbuf(decoder.png))) return false;
  for (int pass = 0; pass < decoder.passes; ++pass) {
    for (int row = 0; row < height; ++row) {
      png_read_row(decoder.png, pixels + static_cast<size_t>(row) * row_bytes, nullptr);
    }
  }
  png_read_end(decoder.png, nullptr);
  return true;
}

struct DecoderOwner {
  Decoder decoder;
  explicit DecoderOwner(std::span<const uint8_t> bytes) {
    decoder.next = bytes.data();
    decoder.left = bytes.size();
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
    if (decoder.png) decoder.info = png_create_info_struct(decoder.png);
    if (!decoder.info) {
      png_destroy_read_struct(&decoder.png, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~DecoderOwner() { png_destroy_read_struct(&decoder.png, &decoder.info, nullptr); }
  DecoderOwner(const DecoderOwner&) = delete;
  DecoderOwner& operator=(const DecoderOwner&) = delete;
};

[[noreturn]] void refuse(const std::string& what, const std::string& message) {
  throw Error(Exit::kData, what + ": bad PNG: " + message);
}

void append_u32(Bytes& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

/// Length, type, data, CRC-32 of type and data.
void append_chunk(Bytes& out, const char (&type)[5], std::span<const uint8_t> data) {
  append_u32(out, static_cast<uint32_t>(data.size()));
  const size_t begin = out.size();
  out.insert(out.end(), type, type + 4);
  out.insert(out.end(), data.begin(), data.end());
  append_u32(out, static_cast<uint32_t>(::crc32(0, out.data() + begin, static_cast<uInt>(out.size() - begin))));
}

/// Each row as its difference from the row above ("up"): enlarged pictures repeat rows, which become zeros.
Bytes filter_rows(const Image& image) {
  constexpr uint8_t kUp = 2;
  const size_t row_bytes = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  Bytes filtered;
  filtered.reserve((row_bytes + 1) * static_cast<size_t>(image.height));
  for (size_t at = 0; at < image.pixels.size(); at += row_bytes) {
    filtered.push_back(kUp);
    for (size_t i = at; i < at + row_bytes; ++i) {
      const int above = i >= row_bytes ? image.pixels[i - row_bytes] : 0;
      filtered.push_back(static_cast<uint8_t>(image.pixels[i] - above));
    }
  }
  return filtered;
}

Bytes deflate_bytes(const Bytes& raw) {
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  Bytes packed(size);
  if (compress2(packed.data(), &size, raw.data(), static_cast<uLong>(raw.size()), 6) != Z_OK) throw std::bad_alloc();
  packed.resize(size);
  return packed;
}

}  // namespace

Image parse_png(std::span<const uint8_t> bytes, const std::string& what, bool* alpha_dropped) {
  DecoderOwner owner(bytes);
  Decoder& decoder = owner.decoder;
  if (!read_header(decoder)) refuse(what, decoder.message);

  const int64_t height = png_get_image_height(decoder.png, decoder.info);
  const int64_t width = png_get_image_width(decoder.png, decoder.info);
  if (height * width > kMaxImagePixels) {
    refuse(what, std::to_string(height) + " x " + std::to_string(width) + " pixels: expected at most " +
                     std::to_string(kMaxImagePixels));
  }
  const int color = png_get_color_type(decoder.png, decoder.info);
  if (alpha_dropped) {
    *alpha_dropped = (color & PNG_COLOR_MASK_ALPHA) || png_get_valid(decoder.png, decoder.info, PNG_INFO_tRNS);
  }
  if (!update_info(decoder)) refuse(what, decoder.message);

  Image image{static_cast<int>(height), static_cast<int>(width), color & PNG_COLOR_MASK_COLOR ? 3 : 1, {}};
  const size_t row_bytes = static_cast<size_t>(width) * static_cast<size_t>(image.channels);
  if (png_get_rowbytes(decoder.png, decoder.info) != row_bytes) refuse(what, "an unexpected pixel format");
  image.pixels.resize(row_bytes * static_cast<size_t>(height));
  if (!read_rows(decoder, image.pixels.data(), row_bytes, image.height)) refuse(what, decoder.message);
  return image;
}

Image read_png(const std::filesystem::path& path, bool* alpha_dropped) {
  return parse_png(read_file(path), path.string(), alpha_dropped);
}

void write_png(const std::filesystem::path& path, const Image& image) {
  const int64_t pixels = int64_t{image.height} * image.width;
  const bool sound = image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3) &&
                     pixels <= kMaxImagePixels &&
                     image.pixels.size() == static_cast<size_t>(pixels) * static_cast<size_t>(image.channels);
  if (!sound) {
    throw Error(Exit::kInternal, path.string() + ": an image of " + std::to_string(image.height) + " x " +
                                     std::to_string(image.width) + " x " + std::to_string(image.channels) +
                                     " was given " + std::to_string(image.pixels.size()) + " bytes");
  }
  constexpr uint8_t kEightBits = 8, kGrey = 0, kRgb = 2;
  Bytes header;
  append_u32(header, static_cast<uint32_t>(image.width));
  append_u32(header, static_cast<uint32_t>(image.height));
  header.insert(header.end(), {kEightBits, image.channels == 3 ? kRgb : kGrey, 0, 0, 0});

  Bytes file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  append_chunk(file, "IHDR", header);
  append_chunk(file, "IDAT", deflate_bytes(filter_rows(image)));
  append_chunk(file, "IEND", {});
  write_file_atomic(path, file);
}

}  // namespace hourglass
