// SPDX-License-Identifier: Apache-2.0
// Folders of PNGs and JPEGs: sizes, channels, threads, and the cache of what was decoded.
#include <gtest/gtest.h>

#include <chrono>

#include "engine/image_cache.h"
#include "engine/io/checksum.h"
#include "engine/io/jpeg.h"
#include "engine/resize.h"
#include "tests/dataset_checks.h"
#include "tests/jpeg_samples.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using namespace test;

/// Seventy images of three sizes, PNG and JPEG, gray and color, in two classes.
void write_mixed(const fs::path& folder) {
  for (int i = 0; i < 70; ++i) {
    const fs::path place = folder / (i % 2 ? "cats" : "dogs");
    fs::create_directories(place);
    const Image image = smooth_image(9 + i % 3, 12 - i % 3, i % 5 == 0 ? 3 : 1);
    const std::string name = std::to_string(100 + i);
    if (i % 2) {
      write_file_atomic(place / (name + (i % 3 ? ".jpg" : ".JPEG")), encode_jpeg(image));
    } else {
      write_png(place / (name + ".png"), image);
    }
  }
}

fs::path only_file(const fs::path& folder) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    EXPECT_TRUE(found.empty()) << entry.path();
    found = entry.path();
  }
  return found;
}

struct FolderTest : testing::Test {
  FolderTest() { write_mixed(folder / "images"); }
  Dataset load_mixed(DataOptions options) const { return load(folder / "images", options); }
  DataOptions cached() const { return {.image_size = {8, 10}, .cache_dir = folder / "cache"}; }
  TemporaryFolder folder;
};
using ImageFolder = FolderTest;

TEST_F(ImageFolder, TheSameBytesForAnyNumberOfThreadsAndFromTheCache) {
  const Dataset one = load_mixed({.image_size = {8, 10}, .threads = 1});
  EXPECT_EQ(one.size(), 70);
  EXPECT_EQ(one.height, 8);
  EXPECT_EQ(one.width, 10);
  EXPECT_EQ(one.channels, 3);
  EXPECT_TRUE(noticed(one, "gray and color"));
  for (const int threads : {2, 4}) {
    const Dataset other = load_mixed({.image_size = {8, 10}, .threads = threads});
    EXPECT_EQ(other.u8, one.u8);
    EXPECT_EQ(other.labels, one.labels);
    EXPECT_EQ(other.checksum, one.checksum);
  }
  for (int run = 0; run < 2; ++run) {
    const Dataset kept = load_mixed(cached());
    EXPECT_EQ(kept.u8, one.u8);
    EXPECT_EQ(kept.labels, one.labels);
    EXPECT_EQ(kept.label_names, one.label_names);
    EXPECT_EQ(kept.test, one.test);
    EXPECT_EQ(kept.checksum, one.checksum);
    EXPECT_EQ(kept.notices, one.notices);
    EXPECT_EQ(kept.files, 70);
  }
}

TEST_F(ImageFolder, AJpegIsThePixelsOfItsDecoder) {
  const Image image = smooth_image(7, 5, 3);
  fs::create_directories(folder / "one");
  const std::vector<uint8_t> bytes = encode_jpeg(image);
  write_file_atomic(folder / "one" / "misnamed.png", bytes);
  EXPECT_EQ(load(folder / "one", {.test_fraction = 0}).u8, parse_jpeg(bytes, "").pixels);
  write_file_atomic(folder / "one" / "misnamed.png", std::span(bytes).first(bytes.size() - 1));
  expect_error([&] { load(folder / "one"); }, Exit::kData, {"misnamed.png", "truncated", "--skip-bad"});
}

TEST_F(ImageFolder, ChannelsAreConvertedOnRequest) {
  fs::create_directories(folder / "two");
  write_png(folder / "two" / "1.png", {1, 2, 3, {255, 0, 0, 10, 200, 30}});
  write_gray(folder / "two" / "2.png", 1, 2, 9);
  const Dataset gray = load(folder / "two", {.channels = 1, .test_fraction = 0});
  EXPECT_EQ(gray.channels, 1);
  EXPECT_EQ(gray.u8, (std::vector<uint8_t>{76, 124, 9, 9}));  // 0.299 * 255, 0.299 * 10 + 0.587 * 200 + 0.114 * 30
  EXPECT_FALSE(noticed(gray, "gray and color"));
  const Dataset color = load(folder / "two", {.channels = 3, .test_fraction = 0});
  EXPECT_EQ(color.u8, (std::vector<uint8_t>{255, 0, 0, 10, 200, 30, 9, 9, 9, 9, 9, 9}));
  expect_error([&] { load(folder / "two", {.channels = 2}); }, Exit::kUsage, {"--channels", "2"});
  EXPECT_EQ(load_dataset({.spec = "shapes:8:20", .channels = 3}).dim(), 192);
  write_u8(folder / "a.npy", {4, 2, 2, 2});
  expect_error([&] { load(folder / "a.npy", {.channels = 1}); }, Exit::kUsage, {"--channels", "2 channels"});
}

TEST_F(ImageFolder, TheCacheIsReadAndNotWrittenAgain) {
  load_mixed(cached());
  const fs::path cache = only_file(folder / "cache");
  const auto written = fs::last_write_time(cache) - std::chrono::hours(1);
  fs::last_write_time(cache, written);
  // Were the images decoded again, this one would stop it: only its time says that it has not changed.
  const fs::path image = folder / "images" / "dogs" / "100.png";
  const auto time = fs::last_write_time(image);
  const auto size = fs::file_size(image);
  write_file_atomic(image, std::string(size, 'x'));
  fs::last_write_time(image, time);
  EXPECT_EQ(load_mixed(cached()).size(), 70);
  EXPECT_EQ(fs::last_write_time(cache), written);
  fs::last_write_time(image, time + std::chrono::seconds(1));
  expect_error([&] { load_mixed(cached()); }, Exit::kData, {"100.png"});
}

TEST_F(ImageFolder, OtherOptionsAndOtherFilesHaveAnotherCache) {
  load_mixed(cached());
  DataOptions other = cached();
  other.crop = Crop::kNone;
  load_mixed(other);
  other.channels = 1;
  load_mixed(other);
  other.image_size = 9;
  load_mixed(other);
  fs::remove(folder / "images" / "dogs" / "100.png");
  EXPECT_EQ(load_mixed(other).size(), 69);
  size_t caches = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder / "cache")) ++caches;
  EXPECT_EQ(caches, 5u);
}

TEST_F(ImageFolder, ACorruptCacheIsRebuiltWithANotice) {
  const Dataset sound = load_mixed(cached());
  const fs::path cache = only_file(folder / "cache");
  const Bytes bytes = read_file(cache);
  const auto expect_rebuilt = [&](const std::string& why) {
    SCOPED_TRACE(why);
    const Dataset again = load_mixed(cached());
    EXPECT_EQ(again.u8, sound.u8);
    EXPECT_TRUE(noticed(again, why));
    EXPECT_TRUE(noticed(again, cache.string()));
    EXPECT_EQ(read_file(cache), bytes);
  };
  const size_t samples = sound.u8.size();
  for (const size_t at : {size_t{0}, samples - 1}) {
    Bytes damaged = bytes;
    damaged[at] ^= 1;
    write_file_atomic(cache, damaged);
    expect_rebuilt("its images are damaged");
  }
  Bytes damaged = bytes;
  damaged[samples + 5] ^= 1;
  write_file_atomic(cache, damaged);
  expect_rebuilt("its description is damaged");
  for (const size_t length : {size_t{0}, size_t{31}, samples, bytes.size() - 1}) {
    write_file_atomic(cache, std::span(bytes).first(length));
    expect_rebuilt("truncated");
  }
  damaged = bytes;
  damaged[bytes.size() - 24] ^= 1;
  write_file_atomic(cache, damaged);
  expect_rebuilt("do not add up");
}

TEST_F(ImageFolder, WhatMemoryDoesNotHoldStaysInTheCache) {
  const Dataset resident = load_mixed(cached());
  DataOptions options = cached();
  options.data_memory = 1000;
  const Dataset kept = load_mixed(options);
  EXPECT_TRUE(kept.u8.empty());
  EXPECT_EQ(kept.size(), 70);
  EXPECT_EQ(kept.dtype(), Dtype::kU8);
  EXPECT_EQ(kept.store().data, nullptr);
  EXPECT_TRUE(noticed(kept, "stay in"));
  EXPECT_EQ(kept.train, resident.train);
  const std::vector<int32_t> rows = {69, 0, 33};
  EXPECT_EQ(kept.images(rows), resident.images(rows));
  options.data_memory = 0;
  options.memory_limit = 1000;
  EXPECT_EQ(load_mixed(options).images(rows), resident.images(rows));
}

TEST_F(ImageFolder, BrokenFilesAreRememberedByTheCache) {
  write_file_atomic(folder / "images" / "cats" / "101.jpg", "no picture");
  DataOptions options = cached();
  expect_error([&] { load_mixed(options); }, Exit::kData, {"101.jpg", "--skip-bad"});
  EXPECT_TRUE(fs::is_empty(folder / "cache"));
  options.skip_bad = true;
  for (int run = 0; run < 2; ++run) {
    const Dataset data = load_mixed(options);
    EXPECT_EQ(data.size(), 69);
    EXPECT_EQ(data.skipped, 1);
    EXPECT_EQ(data.labels.size(), 69u);
    EXPECT_EQ(std::count(data.labels.begin(), data.labels.end(), 0), 34);  // cats
    EXPECT_TRUE(noticed(data, "left out 1 of 70"));
  }
}

TEST_F(ImageFolder, LinksToClassesAreFollowedAndABrokenLinkIsABrokenFile) {
  fs::create_directories(folder / "links");
  for (const char* name : {"cats", "dogs"}) {
    fs::create_directory_symlink(folder / "images" / name, folder / "links" / name);
  }
  const DataOptions options{.image_size = 8, .test_fraction = 0, .skip_bad = true};
  const Dataset direct = load(folder / "images", options), linked = load(folder / "links", options);
  EXPECT_EQ(linked.u8, direct.u8);
  EXPECT_EQ(linked.label_names, direct.label_names);
  fs::create_symlink(folder / "gone", folder / "links" / "1.png");
  EXPECT_TRUE(noticed(load(folder / "links", options), "left out 1 of 71 files"));
  expect_error([&] { load(folder / "links", {.image_size = 8}); }, Exit::kData,
               {"links/1.png", "No such file", "--skip-bad"});
}

TEST_F(ImageFolder, ACacheFolderThatCannotBeMadeIsNamed) {
  write_file_atomic(folder / "file", "in the way");
  DataOptions options = cached();
  options.cache_dir = folder / "file" / "cache";
  expect_error([&] { load_mixed(options); }, Exit::kIo, {(folder / "file").string().c_str(), "--cache-dir"});
}

TEST(Resize, CropsToTheProportionsOfTheTargetOrTakesAll) {
  const std::vector<float> image = {1, 2, 3, 4,  //
                                    5, 6, 7, 8};
  std::vector<float> rows(2);
  crop_and_resize(image.data(), 2, 4, 1, {2, 1}, rows.data());
  EXPECT_EQ(rows, (std::vector<float>{2, 6}));
  crop_and_resize(image.data(), 2, 4, 1, {1, 2}, rows.data());
  EXPECT_EQ(rows, (std::vector<float>{3.5, 5.5}));
  crop_and_resize(image.data(), 2, 4, 1, {2, 1}, rows.data(), Crop::kNone);
  EXPECT_EQ(rows, (std::vector<float>{2.5, 6.5}));
  std::vector<float> tall(3);
  crop_and_resize(image.data(), 2, 4, 1, {3, 1}, tall.data(), Crop::kNone);
  EXPECT_FLOAT_EQ(tall[1], 4.5f);
}

TEST(Resize, SizesAsText) {
  ImageSize size;
  EXPECT_TRUE(parse_image_size("48x64", size));
  EXPECT_EQ(size, (ImageSize{48, 64}));
  EXPECT_EQ(to_text(size), "48x64");
  EXPECT_TRUE(parse_image_size("32", size));
  EXPECT_EQ(size, ImageSize(32));
  EXPECT_EQ(to_text(size), "32");
  for (const char* bad : {"", "x", "4x", "x4", "4x4x4", "4 x 4", "-", "4.5"}) {
    EXPECT_FALSE(parse_image_size(bad, size)) << bad;
  }
}

}  // namespace
}  // namespace hourglass
