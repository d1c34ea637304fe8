// SPDX-License-Identifier: Apache-2.0
// Where data come from, how they are split, and how much of them fits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "engine/dataset.h"
#include "engine/dataset_files.h"
#include "engine/io/idx.h"
#include "engine/shapes.h"
#include "tests/dataset_checks.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using namespace test;

const fs::path kFashion = "/usr/share/datasets/fashion-mnist";

#define NEED_FASHION_MNIST() \
  if (!fs::exists(kFashion / "train-images-idx3-ubyte.gz")) GTEST_SKIP() << "Fashion-MNIST is not in " << kFashion

// ---------------------------------------------------------------- named data sets

TEST(Dataset, FashionMnistIsFoundAndSplitAsPublished) {
  NEED_FASHION_MNIST();
  const Dataset data = load_dataset({});
  EXPECT_EQ(data.name, "fashion-mnist");
  EXPECT_EQ(data.size(), 70000);
  EXPECT_EQ(data.train.size(), 60000u);
  EXPECT_EQ(data.test.size(), 10000u);
  EXPECT_TRUE(data.val.empty());
  EXPECT_EQ(data.dim(), 784);
  EXPECT_EQ(data.dtype(), Dtype::kU8);
  EXPECT_EQ(data.labels.size(), 70000u);
  EXPECT_EQ(data.label_names.at(static_cast<size_t>(data.labels[0])), "Ankle boot");
  EXPECT_EQ(data.labels[60000], 9);
  std::vector<int> counts(10);
  for (const int32_t row : data.test) ++counts[static_cast<size_t>(data.labels[static_cast<size_t>(row)])];
  for (const int count : counts) EXPECT_EQ(count, 1000);
  double sum = 0;
  for (int64_t i = 0; i < int64_t{60000} * 784; ++i) sum += data.u8[static_cast<size_t>(i)];
  EXPECT_NEAR(sum / (60000.0 * 784 * 255), 0.2860, 1e-4);  // the published mean of the training images
  expect_partition(data);
}

TEST(Dataset, DataDirIsSearchedFirstAndTellsTheTwoMnistsApart) {
  TemporaryFolder folder;
  fs::create_directories(folder / "mnist");
  write_idx(folder / "mnist" / "train-images-idx3-ubyte", {4, 2, 2});
  write_idx(folder / "mnist" / "train-labels-idx1-ubyte", {4});
  write_idx(folder / "mnist" / "t10k-images.idx3-ubyte", {2, 2, 2});
  DataOptions options{.spec = "mnist", .data_dir = folder.path()};
  EXPECT_EQ(load_dataset(options).train.size(), 4u);
  options.data_dir = folder / "mnist";
  EXPECT_EQ(load_dataset(options).train.size(), 4u);
  setenv("HOURGLASS_DATA", folder.path().c_str(), 1);
  options.data_dir.clear();
  EXPECT_EQ(load_dataset(options).label_names[7], "7");
  unsetenv("HOURGLASS_DATA");
  NEED_FASHION_MNIST();
  if (fs::exists("/usr/share/datasets/mnist")) GTEST_SKIP() << "MNIST is installed";
  options.data_dir = kFashion;
  expect_error([&] { load_dataset(options); }, Exit::kData, {"data set mnist is not there"});
}

TEST(Dataset, UnpackedFilesOfTheOtherMnistAreKnownToo) {
  NEED_FASHION_MNIST();
  if (fs::exists("/usr/share/datasets/mnist")) GTEST_SKIP() << "MNIST is installed";
  unsetenv("HOURGLASS_DATA");
  TemporaryFolder folder;
  const HostArray images = read_idx(kFashion / "train-images-idx3-ubyte.gz");
  std::vector<uint8_t> bytes = {0, 0, 8, 3, 0, 0, 0xea, 0x60, 0, 0, 0, 28, 0, 0, 0, 28};  // 60,000 of 28 x 28
  bytes.insert(bytes.end(), images.data.begin(), images.data.end());
  write_file_atomic(folder / "train-images-idx3-ubyte", bytes);
  write_idx(folder / "t10k-images-idx3-ubyte", {2, 28, 28});
  expect_error([&] { load_dataset({.spec = "mnist", .data_dir = folder.path()}); }, Exit::kData,
               {"data set mnist is not there"});
  EXPECT_EQ(load_dataset({.data_dir = folder.path()}).size(), 60002);
}

TEST(Dataset, AMissingOneIsAnsweredWithWhatToGetAndWhereToPutIt) {
  const std::string fashion = missing_dataset_text("fashion-mnist");
  for (const char* text : {"train-images-idx3-ubyte.gz  sha256 b0564c3e", "train-labels-idx1-ubyte.gz  sha256 0ae29f65",
                           "t10k-images-idx3-ubyte.gz  sha256 cc1d090a", "t10k-labels-idx1-ubyte.gz  sha256 8d3605d1",
                           "/usr/share/datasets/fashion-mnist", "--data-dir", "HOURGLASS_DATA", "--data shapes"}) {
    EXPECT_NE(fashion.find(text), std::string::npos) << text << " not in:\n" << fashion;
  }
  const std::string mnist = missing_dataset_text("mnist");
  for (const char* text :
       {"train-images-idx3-ubyte.gz  md5 f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "t10k-labels-idx1-ubyte.gz  md5 ec29112dd5afa0611ce80d1b7f02629c", "/usr/share/datasets/mnist"}) {
    EXPECT_NE(mnist.find(text), std::string::npos) << text << " not in:\n" << mnist;
  }
  if (fs::exists("/usr/share/datasets/mnist")) GTEST_SKIP() << "MNIST is installed";
  unsetenv("HOURGLASS_DATA");
  expect_error([] { load_dataset({.spec = "mnist"}); }, Exit::kData, {mnist.c_str()});
}

// ---------------------------------------------------------------- shapes

TEST(Dataset, ShapesNeedNoFilesAndAreAlwaysTheSame) {
  const Dataset data = load_dataset({.spec = "shapes:16:200", .split_seed = 5});
  EXPECT_EQ(data.size(), 220);
  EXPECT_EQ(data.train.size(), 200u);
  EXPECT_EQ(data.height, 16);
  EXPECT_EQ(data.channels, 1);
  EXPECT_EQ(data.label_names, shape_names());
  EXPECT_EQ(data.labels.size(), 220u);
  const Dataset again = load_dataset({.spec = "shapes:16:200", .split_seed = 6});
  EXPECT_EQ(again.checksum, data.checksum);
  EXPECT_EQ(again.u8, data.u8);
  EXPECT_EQ(load_dataset({.spec = "shapes", .image_size = 8}).dim(), 64);
  for (const char* spec :
       {"shapes:", "shapes:x", "shapes:7", "shapes:64:0", "shapes:64:100:3", "shapes:64x", "shapes:99999"}) {
    expect_error([&] { load_dataset({.spec = spec}); }, Exit::kUsage, {spec, "shapes[:SIZE[:COUNT]]"});
  }
  expect_error([] { load_dataset({.spec = "shapes:64", .image_size = 32}); }, Exit::kUsage, {"--image-size"});
}

// ---------------------------------------------------------------- splits, sizes, memory

TEST(Dataset, SplitsAreAKeyedPermutation) {
  TemporaryFolder folder;
  write_u8(folder / "a.npy", {1000, 5});
  const DataOptions options{.test_fraction = 0.25, .val_fraction = 0.2, .split_seed = 3};
  const Dataset data = load(folder / "a.npy", options);
  EXPECT_EQ(data.test.size(), 250u);
  EXPECT_EQ(data.val.size(), 150u);
  EXPECT_EQ(data.train.size(), 600u);
  expect_partition(data);
  const Dataset again = load(folder / "a.npy", options);
  EXPECT_EQ(again.test, data.test);
  EXPECT_EQ(again.val, data.val);
  EXPECT_EQ(again.checksum, data.checksum);
  DataOptions other = options;
  other.split_seed = 4;
  EXPECT_NE(load(folder / "a.npy", other).test, data.test);
  other.split_seed = 3, other.val_fraction = 0;
  EXPECT_EQ(load(folder / "a.npy", other).test, data.test);  // holding out does not move the test set
  // Not a block of neighbors: the mean row is that of a uniform choice, within five standard deviations.
  const double mean = std::accumulate(data.test.begin(), data.test.end(), 0.0) / 250;
  EXPECT_NEAR(mean, 499.5, 5 * 289 / std::sqrt(250.0));
  EXPECT_EQ(data.split("val"), data.val);
  EXPECT_EQ(std::ssize(data.split("all")), data.size());
  expect_error([&] { data.split("tset"); }, Exit::kUsage, {"--split", "tset"});
  expect_error([&] { load(folder / "a.npy").split("val"); }, Exit::kData, {"val", "--split all"});
}

TEST(Dataset, OptionsOutOfRange) {
  TemporaryFolder folder;
  write_u8(folder / "a.npy", {2, 5});
  for (const double bad : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    expect_error([&] { load(folder / "a.npy", {.test_fraction = bad}); }, Exit::kUsage, {"--test-fraction"});
    expect_error([&] { load(folder / "a.npy", {.val_fraction = bad}); }, Exit::kUsage, {"--val-fraction"});
  }
  expect_error([&] { load(folder / "a.npy", {.image_size = -3}); }, Exit::kUsage, {"--image-size", "-3"});
  expect_error([&] { load(folder / "a.npy", {.image_size = 3}); }, Exit::kUsage, {"--image-size", "5 values"});
  expect_error([&] { load(folder / "a.npy", {.test_fraction = 0.9}); }, Exit::kData,
               {"no samples left for training", "2 are for test"});
}

TEST(Dataset, TheChecksumCoversNamesAndContents) {
  TemporaryFolder folder;
  write_gray(folder / "1.png", 2, 2, 5);
  write_gray(folder / "2.png", 2, 2, 6);
  const std::string checksum = load(folder.path(), {.test_fraction = 0}).checksum;
  EXPECT_EQ(checksum.size(), 64u);
  fs::rename(folder / "2.png", folder / "3.png");
  const std::string renamed = load(folder.path(), {.test_fraction = 0}).checksum;
  EXPECT_NE(renamed, checksum);
  write_gray(folder / "3.png", 2, 2, 7);
  EXPECT_NE(load(folder.path(), {.test_fraction = 0}).checksum, renamed);
}

TEST(Dataset, LargerThanMemoryNamesBothSizesAndImageSize) {
  TemporaryFolder folder;
  for (int i = 0; i < 4; ++i) write_gray(folder / ("png/" + std::to_string(i) + ".png"), 64, 64, 1);
  const DataOptions small{.memory_limit = 10 * 1024};
  expect_error([&] { load(folder / "png", small); }, Exit::kDevice, {"16.0 KiB", "10.0 KiB", "--image-size"});
  EXPECT_EQ(load(folder / "png", {.image_size = 32, .memory_limit = 10 * 1024}).dim(), 1024);
  expect_error([&] { load_dataset({.spec = "shapes:64:100", .memory_limit = 10 * 1024}); }, Exit::kDevice,
               {"--image-size"});
  write_u8(folder / "a.npy", {1024, 20});
  expect_error([&] { load(folder / "a.npy", small); }, Exit::kDevice,
               {"a.npy", "20.1 KiB", "10.0 KiB", "--image-size"});
  write_idx(folder / "a-images-idx3-ubyte", {20, 32, 32});
  expect_error([&] { load(folder / "a-images-idx3-ubyte", small); }, Exit::kDevice,
               {"a-images", "10.0 KiB", "--image-size"});
}

TEST(Dataset, RowsBecomeFloatImages) {
  TemporaryFolder folder;
  write_u8(folder / "a.npy", {51, 5});
  const Dataset data = load(folder / "a.npy");
  const std::vector<int32_t> rows = {50, 0};
  const std::vector<float> images = data.images(rows);
  ASSERT_EQ(images.size(), 10u);
  EXPECT_EQ(images[4], 254.f / 255.f);
  EXPECT_EQ(images[5], 0.f);
}

TEST(CropAndResize, TakesTheCentralSquareAndAveragesAreas) {
  const std::vector<float> wide = {9, 1, 2, 9,  //
                                   9, 3, 4, 9};
  float pixel = 0;
  crop_and_resize(wide.data(), 2, 4, 1, 1, &pixel);
  EXPECT_FLOAT_EQ(pixel, 2.5f);
  std::vector<float> same(4);
  crop_and_resize(wide.data(), 2, 4, 1, 2, same.data());
  EXPECT_EQ(same, (std::vector<float>{1, 2, 3, 4}));
  std::vector<float> larger(16);
  crop_and_resize(wide.data(), 2, 4, 1, 4, larger.data());
  EXPECT_EQ(larger, (std::vector<float>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}));
  const std::vector<float> three = {1, 2, 3, 4, 5, 6, 7, 8, 9};  // onto two: each pixel covers 1.5 x 1.5
  crop_and_resize(three.data(), 3, 3, 1, 2, same.data());
  EXPECT_NEAR(same[0], (1 + 0.5 * 2 + 0.5 * 4 + 0.25 * 5) / 2.25, 1e-5);
  const std::vector<uint8_t> color = {0, 100, 255, 1, 100, 255, 1, 100, 255, 1, 100, 254};
  std::vector<uint8_t> mean(3);
  crop_and_resize(color.data(), 2, 2, 3, 1, mean.data());
  EXPECT_EQ(mean, (std::vector<uint8_t>{1, 100, 255}));
}

TEST(CropAndResize, KeepsTheMeanForEverySize) {
  std::vector<float> image(31 * 31);
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>((i * 7919) % 101);
  const double mean = std::accumulate(image.begin(), image.end(), 0.0) / static_cast<double>(image.size());
  for (int size = 1; size <= 70; ++size) {
    std::vector<float> resized(static_cast<size_t>(size * size));
    crop_and_resize(image.data(), 31, 31, 1, size, resized.data());
    EXPECT_NEAR(std::accumulate(resized.begin(), resized.end(), 0.0) / (size * size), mean, 1e-3) << size;
  }
}

}  // namespace
}  // namespace hourglass
