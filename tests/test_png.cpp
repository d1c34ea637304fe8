// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include "engine/io/png.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;
using test::TemporaryFolder;

enum Color : uint8_t { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6 };

void append_u32(Bytes& out, size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

Bytes chunk(const std::string& type, const Bytes& data) {
  Bytes out;
  append_u32(out, data.size());
  for (const char c : type) out.push_back(static_cast<uint8_t>(c));
  out.insert(out.end(), data.begin(), data.end());
  append_u32(out, crc32(0, out.data() + 4, static_cast<uInt>(out.size() - 4)));
  return out;
}

Bytes deflated(const Bytes& raw) {
  uLongf size = compressBound(static_cast<uLong>(raw.size()));
  Bytes packed(size);
  compress(packed.data(), &size, raw.data(), static_cast<uLong>(raw.size()));
  packed.resize(size);
  return packed;
}

/// A PNG of these scan lines, each with its filter byte; `extra` stands before the data.
Bytes png(size_t width, size_t height, uint8_t depth, Color color, const Bytes& lines, const Bytes& extra = {},
          uint8_t interlace = 0) {
  Bytes header;
  append_u32(header, width);
  append_u32(header, height);
  header.insert(header.end(), {depth, color, 0, 0, interlace});
  Bytes out = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  for (const Bytes& part : {chunk("IHDR", header), extra, chunk("IDAT", deflated(lines)), chunk("IEND", {})}) {
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

struct Decoded {
  Image image;
  bool alpha_dropped = false;
};

Decoded parse(const Bytes& bytes) {
  Decoded decoded;
  decoded.image = parse_png(bytes, "sample", &decoded.alpha_dropped);
  return decoded;
}

void expect_pixels(const Bytes& bytes, int channels, const Bytes& pixels, bool alpha_dropped = false) {
  const Decoded decoded = parse(bytes);
  EXPECT_EQ(decoded.image.channels, channels);
  EXPECT_EQ(decoded.image.pixels, pixels);
  EXPECT_EQ(decoded.alpha_dropped, alpha_dropped);
}

TEST(Png, RoundTrips) {
  const TemporaryFolder folder;
  for (const int channels : {1, 3}) {
    for (const int width : {1, 7, 300}) {
      Image image{5, width, channels, {}};
      for (int i = 0; i < 5 * width * channels; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 37 + i / 11));
      write_png(folder / "a.png", image);
      bool alpha_dropped = true;
      const Image read = read_png(folder / "a.png", &alpha_dropped);
      EXPECT_EQ(read.height, 5);
      EXPECT_EQ(read.width, width);
      EXPECT_EQ(read.channels, channels);
      EXPECT_EQ(read.pixels, image.pixels);
      EXPECT_FALSE(alpha_dropped);
    }
  }
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(Png, ReadsEveryColorType) {
  const Bytes palette = chunk("PLTE", {10, 20, 30, 40, 50, 60});
  const Bytes palette_alpha = [&] {
    Bytes both = palette, alpha = chunk("tRNS", {0});
    both.insert(both.end(), alpha.begin(), alpha.end());
    return both;
  }();
  expect_pixels(png(3, 1, 1, kGrey, {0, 0b10100000}), 1, {255, 0, 255});
  expect_pixels(png(2, 1, 4, kGrey, {0, 0x1f}), 1, {17, 255});
  expect_pixels(png(2, 1, 8, kGreyAlpha, {0, 9, 0, 8, 255}), 1, {9, 8}, true);
  expect_pixels(png(1, 2, 8, kRgb, {0, 1, 2, 3, 2, 1, 1, 1}), 3, {1, 2, 3, 2, 3, 4});
  expect_pixels(png(1, 1, 8, kRgba, {0, 1, 2, 3, 0}), 3, {1, 2, 3}, true);
  expect_pixels(png(2, 1, 8, kPalette, {0, 1, 0}, palette), 3, {40, 50, 60, 10, 20, 30});
  expect_pixels(png(2, 1, 8, kPalette, {0, 1, 0}, palette_alpha), 3, {40, 50, 60, 10, 20, 30}, true);
  expect_pixels(png(1, 1, 8, kGrey, {0, 7}, chunk("tRNS", {0, 7})), 1, {7}, true);
  // 16 bits are rounded: 0x00ff is 0.99 of a step, 0x0080 is 0.498.
  expect_pixels(png(3, 1, 16, kGrey, {0, 0xff, 0xff, 0x00, 0xff, 0x00, 0x80}), 1, {255, 1, 0});
  expect_pixels(png(1, 1, 16, kRgba, {0, 1, 1, 2, 2, 3, 3, 0, 0}), 3, {1, 2, 3}, true);
}

TEST(Png, ReadsInterlaced) {
  // Adam7 of 2 x 2: pass 1 holds (0, 0), pass 6 holds (0, 1), pass 7 the second row.
  expect_pixels(png(2, 2, 8, kGrey, {0, 1, 0, 2, 0, 3, 4}, {}, 1), 1, {1, 2, 3, 4});
}

TEST(Png, RefusesByName) {
  expect_error([] { parse({'G', 'I', 'F'}); }, Exit::kData, {"sample", "bad PNG"});
  expect_error(
      [] {
        parse(png(65536, 65536, 8, kGrey, {0, 1}));
      },
      Exit::kData, {"sample", "65536 x 65536", "67108864"});
  expect_error([] { parse(png(0, 1, 8, kGrey, {0})); }, Exit::kData, {"sample"});
  expect_error([] { parse(png(2, 2, 8, kGrey, {0, 1, 2})); }, Exit::kData, {"sample"});
  expect_error([] { parse(png(1, 1, 8, kPalette, {0, 0})); }, Exit::kData, {"sample"});
  expect_error([] { read_png("none.png"); }, Exit::kData, {"none.png", "No such file"});
}

TEST(Png, RefusesToWriteWhatIsNoImage) {
  const TemporaryFolder folder;
  for (const Image& image : {Image{}, Image{1, 1, 2, {1, 2}}, Image{2, 2, 1, {1, 2, 3}}, Image{-1, -1, 1, {1}}}) {
    expect_error([&] { write_png(folder / "a.png", image); }, Exit::kInternal, {"a.png"});
  }
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(Png, NothingIsPrinted) {
  Bytes damaged = png(1, 1, 8, kGrey, {0, 7}, chunk("tEXt", {'a', 0, 'b'}));
  damaged[8 + 25 + 8] ^= 1;  // the text chunk's own data: libpng warns and goes on
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  parse(damaged);
  EXPECT_ANY_THROW(parse(Bytes(damaged.begin(), damaged.end() - 20)));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(Png, DamagedFilesAreRefused) {
  const Bytes palette = chunk("PLTE", {10, 20, 30, 40, 50, 60});
  const std::vector<Bytes> samples = {png(3, 2, 8, kRgb, Bytes(20, 0)), png(2, 1, 8, kPalette, {0, 1, 0}, palette),
                                      png(2, 2, 8, kGrey, {0, 1, 0, 2, 0, 3, 4}, {}, 1)};
  for (const Bytes& bytes : samples) {
    const auto parser = [](const Bytes& b) { parse(b); };
    test::expect_prefixes_refused(bytes, Exit::kData, parser);
    const Image sound = parse(bytes).image;
    EXPECT_EQ(test::count_accepted_flips(bytes, 0, 33, Exit::kData, parser), 0) << "signature and header";
    test::count_accepted_flips(bytes, 33, bytes.size(), Exit::kData, [&](const Bytes& b) {
      EXPECT_EQ(parse(b).image.pixels, sound.pixels) << "read, but not as it was written";
    });
  }
}

}  // namespace
}  // namespace hourglass
