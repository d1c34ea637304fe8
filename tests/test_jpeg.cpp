// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/jpeg.h"
#include "tests/file_checks.h"
#include "tests/jpeg_samples.h"

namespace hourglass {
namespace {

using namespace test;

int largest_difference(const Image& a, const Image& b) {
  int most = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) most = std::max(most, std::abs(a.pixels[i] - b.pixels[i]));
  return most;
}

Image parse(const std::vector<uint8_t>& bytes) { return parse_jpeg(bytes, "sample"); }

TEST(Jpeg, GrayAndColorBaselineAndProgressive) {
  for (const int channels : {1, 3}) {
    for (const bool progressive : {false, true}) {
      for (const int side : {1, 8, 13}) {
        const Image image = smooth_image(side, side + 4, channels);
        const Image read =
            parse(encode_jpeg(image, {.progressive = progressive, .restart_interval = side == 13 ? 1 : 0}));
        EXPECT_EQ(read.height, image.height);
        EXPECT_EQ(read.width, image.width);
        EXPECT_EQ(read.channels, channels);
        ASSERT_EQ(read.pixels.size(), image.pixels.size());
        EXPECT_LE(largest_difference(image, read), 12) << channels << progressive << side;
      }
    }
  }
}

TEST(Jpeg, EveryTruncationIsRefused) {
  const Image image = smooth_image(16, 16, 3);
  for (const bool progressive : {false, true}) {
    expect_prefixes_refused(encode_jpeg(image, {.progressive = progressive, .restart_interval = 2}), Exit::kData,
                            parse);
  }
}

// Cut within the pixels and closed with a marker: libjpeg would paint the rest gray and only warn.
TEST(Jpeg, MissingPixelsBeforeTheEndMarkerAreRefused) {
  std::vector<uint8_t> bytes = encode_jpeg(smooth_image(64, 64, 3));
  bytes.erase(bytes.end() - 200, bytes.end());
  bytes.insert(bytes.end(), {0xff, 0xd9});
  expect_error([&] { parse(bytes); }, Exit::kData, {"sample", "bad JPEG"});
}

TEST(Jpeg, AnyFlippedBitIsReadOrRefused) {
  const std::vector<uint8_t> bytes = encode_jpeg(smooth_image(8, 8, 3));
  const int accepted = count_accepted_flips(bytes, 0, bytes.size(), Exit::kData, [](const auto& flipped) {
    const Image image = parse(flipped);
    ASSERT_EQ(image.pixels.size(), static_cast<size_t>(image.height) * static_cast<size_t>(image.width) *
                                       static_cast<size_t>(image.channels));
  });
  EXPECT_LT(accepted, static_cast<int>(8 * bytes.size()));
}

TEST(Jpeg, ExtraBytesBetweenMarkersAreReadOver) {
  std::vector<uint8_t> bytes = encode_jpeg(smooth_image(8, 8, 1));
  const Image image = parse(bytes);
  bytes.insert(bytes.begin() + 20, {0x00, 0x00});  // behind the JFIF segment
  EXPECT_EQ(parse(bytes).pixels, image.pixels);
  bytes.insert(bytes.end(), {'x', 'y'});
  EXPECT_EQ(parse(bytes).pixels, image.pixels);
}

TEST(Jpeg, RefusalsSayWhy) {
  Image image = smooth_image(8, 8, 1);
  expect_error([&] { parse({'n', 'o', 'n', 'e'}); }, Exit::kData, {"sample", "bad JPEG"});
  expect_error([&] { parse({}); }, Exit::kData, {"truncated"});
  std::vector<uint8_t> large = encode_jpeg(image);
  const std::vector<uint8_t> frame = {0xff, 0xc0};
  const auto at = std::search(large.begin(), large.end(), frame.begin(), frame.end());
  std::fill_n(at + 5, 4, uint8_t{0x7f});  // 32,639 x 32,639
  expect_error([&] { parse(large); }, Exit::kData, {"32639 x 32639", "67108864"});
  const Image inks{8, 8, 4, std::vector<uint8_t>(256, 9)};
  expect_error([&] { parse(encode_jpeg(inks, {.color = JCS_CMYK})); }, Exit::kData, {"CMYK"});
}

TEST(Jpeg, TooManyScansAreRefused) {
  // Ever the same bit of the first coefficient: a few bytes a scan, all of the image's work for the reader.
  const Image image = smooth_image(8, 8, 1);
  const std::vector<jpeg_scan_info> two = {{1, {0}, 0, 0, 0, 1}, {1, {0}, 0, 0, 1, 0}};
  std::vector<uint8_t> bytes = encode_jpeg(image, {.scans = two});
  EXPECT_EQ(parse(bytes).width, 8);
  const std::vector<uint8_t> start = {0xff, 0xda};
  const auto last = std::find_end(bytes.begin(), bytes.end(), start.begin(), start.end());
  const std::vector<uint8_t> scan(last, bytes.end() - 2);
  for (int scans = 2; scans < kMaxJpegScans; ++scans) bytes.insert(bytes.end() - 2, scan.begin(), scan.end());
  EXPECT_EQ(parse(bytes).width, 8) << "as many as are allowed";
  bytes.insert(bytes.end() - 2, scan.begin(), scan.end());
  expect_error([&] { parse(bytes); }, Exit::kData, {"sample", "too many scans"});
}

}  // namespace
}  // namespace hourglass
