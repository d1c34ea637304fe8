// SPDX-License-Identifier: Apache-2.0
// Every source of data, and every refusal with its message.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <set>

#include "engine/buffer.h"
#include "engine/dataset.h"
#include "engine/dataset_files.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "engine/shapes.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TemporaryFolder;

const fs::path kFashion = "/usr/share/datasets/fashion-mnist";

#define NEED_FASHION_MNIST() \
  if (!fs::exists(kFashion / "train-images-idx3-ubyte.gz")) GTEST_SKIP() << "Fashion-MNIST is not in " << kFashion

Dataset load(const fs::path& path, DataOptions options = {}) {
  options.spec = path.string();
  return load_dataset(options);
}

// An IDX file of u8 whose elements count 0, 1, 2, ... from `first`.
void write_idx(const fs::path& path, const std::vector<uint32_t>& extents, int first = 0) {
  std::vector<uint8_t> bytes = {0, 0, 8, static_cast<uint8_t>(extents.size())};
  uint32_t count = 1;
  for (const uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(extent >> shift));
    count *= extent;
  }
  for (uint32_t i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(first + static_cast<int>(i)));
  write_file_atomic(path, bytes);
}

void write_gray(const fs::path& path, int height, int width, uint8_t value) {
  fs::create_directories(path.parent_path());
  write_png(path, {height, width, 1, std::vector<uint8_t>(static_cast<size_t>(height * width), value)});
}

void write_u8(const fs::path& path, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  std::vector<uint8_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), uint8_t{0});
  write_npy(path, values, shape);
}

bool noticed(const Dataset& data, const std::string& text) {
  return std::any_of(data.notices.begin(), data.notices.end(),
                     [&](const std::string& notice) { return notice.find(text) != std::string::npos; });
}

// Every row in exactly one list, each list ascending.
void expect_partition(const Dataset& data) {
  std::set<int32_t> rows;
  for (const auto* list : {&data.train, &data.val, &data.test}) {
    EXPECT_TRUE(std::is_sorted(list->begin(), list->end()));
    for (const int32_t row : *list) EXPECT_TRUE(rows.insert(row).second) << row;
  }
  ASSERT_EQ(static_cast<int64_t>(rows.size()), data.size());
  EXPECT_EQ(*rows.begin(), 0);
  EXPECT_EQ(*rows.rbegin(), data.size() - 1);
}

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
  expect_error(Exit::kData, {"data set mnist is not there"}, [&] { load_dataset(options); });
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
  expect_error(Exit::kData, {mnist}, [] { load_dataset({.spec = "mnist"}); });
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
    expect_error(Exit::kUsage, {spec, "shapes[:SIZE[:COUNT]]"}, [&] { load_dataset({.spec = spec}); });
  }
  expect_error(Exit::kUsage, {"--image-size"}, [] { load_dataset({.spec = "shapes:64", .image_size = 32}); });
}

// ---------------------------------------------------------------- IDX

TEST(Dataset, AnIdxFileWithLabelsBesideItIsSplit) {
  TemporaryFolder folder;
  write_idx(folder / "own-images-idx3-ubyte", {20, 3, 4});
  write_idx(folder / "own-labels-idx1-ubyte", {20});
  const Dataset data = load(folder / "own-images-idx3-ubyte");
  EXPECT_EQ(data.height, 3);
  EXPECT_EQ(data.width, 4);
  EXPECT_EQ(data.u8[25], 25);
  EXPECT_EQ(data.labels[13], 13);
  EXPECT_EQ(data.files, 2);
  EXPECT_EQ(data.test.size(), 2u);
  expect_partition(data);
  EXPECT_EQ(load(folder.path()).checksum, data.checksum);
  write_idx(folder / "own-labels-idx1-ubyte", {19});
  expect_error(Exit::kData, {"own-labels-idx1-ubyte", "20", "(19,)"}, [&] { load(folder / "own-images-idx3-ubyte"); });
}

TEST(Dataset, AnIdxFolderMustBeUnambiguous) {
  TemporaryFolder folder;
  write_idx(folder / "a-images-idx3-ubyte", {4, 2, 2});
  write_idx(folder / "b-images-idx3-ubyte", {4, 2, 2});
  expect_error(Exit::kData, {folder.path().string(), "training images"}, [&] { load(folder.path()); });
  TemporaryFolder shapes;
  write_idx(shapes / "train-images-idx3-ubyte", {4, 2, 2});
  write_idx(shapes / "t10k-images-idx3-ubyte", {4, 2, 3});
  expect_error(Exit::kData, {"t10k-images", "(4, 2, 3)", "2 x 2 x 1"}, [&] { load(shapes.path()); });
  write_file_atomic(shapes / "other", "neither IDX nor anything else");
  expect_error(Exit::kData, {"other"}, [&] { load(shapes / "other"); });
}

// ---------------------------------------------------------------- NPY

TEST(Dataset, NpyShapesAreSamplesRowsAndChannels) {
  TemporaryFolder folder;
  const auto shape = [&](const std::vector<int64_t>& extents) {
    write_u8(folder / "a.npy", extents);
    const Dataset data = load(folder / "a.npy");
    return std::vector<int>{static_cast<int>(data.size()), data.height, data.width, data.channels};
  };
  EXPECT_EQ(shape({10, 5}), (std::vector<int>{10, 1, 5, 1}));
  EXPECT_EQ(shape({10, 9}), (std::vector<int>{10, 3, 3, 1}));
  EXPECT_EQ(shape({10, 4, 6}), (std::vector<int>{10, 4, 6, 1}));
  EXPECT_EQ(shape({10, 4, 6, 3}), (std::vector<int>{10, 4, 6, 3}));
  EXPECT_EQ(shape({10, 1, 6, 3}), (std::vector<int>{10, 1, 6, 3}));
  write_u8(folder / "a.npy", {10, 9});
  EXPECT_TRUE(noticed(load(folder / "a.npy"), "3 x 3"));
}

TEST(Dataset, NpyRefusals) {
  TemporaryFolder folder;
  const fs::path path = folder / "a.npy";
  const auto refused = [&](const std::vector<int64_t>& shape, std::initializer_list<std::string> texts) {
    write_u8(path, shape);
    expect_error(Exit::kData, texts, [&] { load(path); });
  };
  refused({10, 3, 8, 8}, {path.string(), "(N, H, W, C)", "(10, 3, 8, 8)", "np.transpose(a, (0, 2, 3, 1))"});
  refused({10, 1, 8, 8}, {"(N, C, H, W)"});
  refused({10}, {"(N, D)", "(10,)"});
  refused({2, 2, 2, 2, 2}, {"(2, 2, 2, 2, 2)"});
  refused({0, 5}, {"no samples", "(0, 5)"});
  refused({5, 0}, {"no element"});
  write_npy(path, std::vector<int32_t>(20), std::vector<int64_t>{10, 2});
  expect_error(Exit::kData, {path.string(), "uint8", "i32"}, [&] { load(path); });
  expect_error(Exit::kData, {"missing.npy", "no such file"}, [&] { load(folder / "missing.npy"); });
}

TEST(Dataset, FloatsMustBeFiniteAndForBernoulliWithinZeroAndOne) {
  TemporaryFolder folder;
  const fs::path path = folder / "a.npy";
  std::vector<float> values(40, 0.5f);
  const auto write = [&](size_t at, float value) {
    std::vector<float> changed = values;
    changed[at] = value;
    write_npy(path, changed, std::vector<int64_t>{10, 4});
  };
  write(0, 1);
  EXPECT_EQ(load(path).dtype(), Dtype::kF32);
  write(13, std::numeric_limits<float>::quiet_NaN());
  expect_error(Exit::kData, {path.string(), "element 1 of sample 3", "nan"}, [&] { load(path); });
  expect_error(Exit::kData, {"element 1 of sample 3", "finite"}, [&] { load(path, {.unit_range = false}); });
  write(39, 17);
  expect_error(Exit::kData, {"element 3 of sample 9", "17.0", "0..1", "uint8", "--likelihood gaussian"},
               [&] { load(path); });
  EXPECT_EQ(load(path, {.unit_range = false}).f32[39], 17);
  write(4, -0.001f);
  expect_error(Exit::kData, {"element 0 of sample 1", "-0.001"}, [&] { load(path); });
}

TEST(Dataset, NpyLabelsLieBesideIt) {
  TemporaryFolder folder;
  write_u8(folder / "a.npy", {6, 5});
  write_npy(folder / "a-labels.npy", std::vector<int64_t>{0, 1, 2, 0, 1, 2}, std::vector<int64_t>{6});
  const Dataset data = load(folder / "a.npy");
  EXPECT_EQ(data.labels, (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
  write_npy(folder / "a-labels.npy", std::vector<int64_t>{0, 1, 2}, std::vector<int64_t>{3});
  expect_error(Exit::kData, {"a-labels.npy", "6 samples", "(3,)"}, [&] { load(folder / "a.npy"); });
  write_npy(folder / "a-labels.npy", std::vector<int64_t>{0, 1, -2, 0, 1, 2}, std::vector<int64_t>{6});
  expect_error(Exit::kData, {"a-labels.npy", "-2"}, [&] { load(folder / "a.npy"); });
  write_npy(folder / "a-labels.npy", std::vector<float>(6), std::vector<int64_t>{6});
  expect_error(Exit::kData, {"a-labels.npy"}, [&] { load(folder / "a.npy"); });
}

// ---------------------------------------------------------------- folders of PNGs

TEST(Dataset, PngFolderIsReadInByteOrderOfThePath) {
  TemporaryFolder folder;
  write_gray(folder / "b" / "1.png", 3, 2, 10);
  write_gray(folder / "B" / "2.PNG", 3, 2, 20);
  write_gray(folder / "a.png", 3, 2, 30);
  write_gray(folder / "b" / "deep" / "er" / "0.png", 3, 2, 40);
  write_file_atomic(folder / "notes.txt", "not a picture");
  const Dataset data = load(folder.path(), {.test_fraction = 0});
  ASSERT_EQ(data.size(), 4);
  EXPECT_EQ(data.height, 3);
  EXPECT_EQ(data.width, 2);
  EXPECT_EQ(data.u8[0], 20);   // B/2.PNG
  EXPECT_EQ(data.u8[6], 30);   // a.png
  EXPECT_EQ(data.u8[12], 10);  // b/1.png
  EXPECT_EQ(data.u8[18], 40);
  EXPECT_EQ(data.label_names, (std::vector<std::string>{"B", "b"}));
  EXPECT_EQ(data.labels, (std::vector<int32_t>{0, -1, 1, 1}));
  EXPECT_TRUE(noticed(data, "ignored 1 file"));
}

TEST(Dataset, TrainAndTestFoldersAreTheSplits) {
  TemporaryFolder folder;
  for (const char* name : {"train/cat/1.png", "train/dog/2.png", "train/cat/3.png", "test/dog/4.png", "extra/5.png"}) {
    write_gray(folder / name, 2, 2, static_cast<uint8_t>(name[std::string(name).size() - 5] - '0'));
  }
  const Dataset data = load(folder.path(), {.test_fraction = 0.5});
  EXPECT_EQ(data.size(), 4);
  EXPECT_EQ(data.test, (std::vector<int32_t>{0}));  // "test" sorts before "train"
  EXPECT_EQ(data.train, (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(data.u8[0], 4);
  EXPECT_EQ(data.label_names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(data.labels, (std::vector<int32_t>{1, 0, 0, 1}));
  EXPECT_TRUE(noticed(data, "outside train/ and test/"));
  expect_partition(data);
}

TEST(Dataset, GrayAndColorTogetherBecomeColor) {
  TemporaryFolder folder;
  write_gray(folder / "1.png", 1, 2, 7);
  write_png(folder / "2.png", {1, 2, 3, {1, 2, 3, 4, 5, 6}});
  write_gray(folder / "3.png", 1, 2, 9);
  const Dataset data = load(folder.path(), {.test_fraction = 0});
  EXPECT_EQ(data.channels, 3);
  EXPECT_EQ(data.u8, (std::vector<uint8_t>{7, 7, 7, 7, 7, 7, 1, 2, 3, 4, 5, 6, 9, 9, 9, 9, 9, 9}));
  EXPECT_TRUE(noticed(data, "RGB"));
}

TEST(Dataset, AlphaIsDroppedWithANotice) {
  // 2 x 2 RGBA: (10, 20, 30, 128), (200, 100, 50, 255) in both rows.
  const std::vector<uint8_t> rgba = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49,
                                     0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x06,
                                     0x00, 0x00, 0x00, 0x72, 0xb6, 0x0d, 0x24, 0x00, 0x00, 0x00, 0x14, 0x49, 0x44,
                                     0x41, 0x54, 0x78, 0x9c, 0x63, 0xe0, 0x12, 0x91, 0x6b, 0x38, 0x91, 0x62, 0xf4,
                                     0x9f, 0x01, 0xc6, 0x00, 0x00, 0x2f, 0x71, 0x06, 0x33, 0xc4, 0x5e, 0x8e, 0x3c,
                                     0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
  TemporaryFolder folder;
  write_file_atomic(folder / "a.png", rgba);
  const Dataset data = load(folder.path(), {.test_fraction = 0});
  EXPECT_EQ(data.u8, (std::vector<uint8_t>{10, 20, 30, 200, 100, 50, 10, 20, 30, 200, 100, 50}));
  EXPECT_TRUE(noticed(data, "alpha channel of 1 image"));
}

TEST(Dataset, MixedSizesNameTheFirstTwoFilesAndTheWayOut) {
  TemporaryFolder folder;
  write_gray(folder / "1.png", 4, 4, 7);
  write_gray(folder / "2.png", 4, 4, 7);
  write_gray(folder / "3.png", 4, 6, 7);
  write_gray(folder / "4.png", 9, 9, 7);
  expect_error(Exit::kData, {"mixed sizes", "1.png is 4 x 4", "3.png is 6 x 4", "--image-size"},
               [&] { load(folder.path()); });
  const Dataset data = load(folder.path(), {.image_size = 3, .test_fraction = 0});
  EXPECT_EQ(data.size(), 4);
  EXPECT_EQ(data.u8, std::vector<uint8_t>(36, 7));
}

TEST(Dataset, ABrokenFileStopsOrIsCounted) {
  TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) write_gray(folder / (std::to_string(i) + ".png"), 2, 2, static_cast<uint8_t>(i));
  write_file_atomic(folder / "3.png", "not a PNG at all");
  write_file_atomic(folder / "4.png", "");
  expect_error(Exit::kData, {(folder / "3.png").string(), "--skip-bad"}, [&] { load(folder.path()); });
  const Dataset data = load(folder.path(), {.test_fraction = 0, .skip_bad = true});
  EXPECT_EQ(data.size(), 3);
  EXPECT_EQ(data.skipped, 2);
  EXPECT_EQ(data.files, 3);
  EXPECT_TRUE(noticed(data, "left out 2 of 5 files"));
  expect_partition(data);
  for (int i = 0; i < 3; ++i) write_file_atomic(folder / (std::to_string(i) + ".png"), "x");
  expect_error(Exit::kData, {"all 5 PNG files are broken", "0.png"}, [&] { load(folder.path(), {.skip_bad = true}); });
}

TEST(Dataset, FoldersAndFilesThatHoldNoData) {
  TemporaryFolder folder;
  expect_error(Exit::kData, {folder.path().string(), "PNG"}, [&] { load(folder.path()); });
  write_gray(folder / "a.png", 2, 2, 0);
  expect_error(Exit::kData, {"a.png", "folder"}, [&] { load(folder / "a.png"); });
  expect_error(Exit::kData, {"fashion-minst", "fashion-mnist, mnist, shapes"}, [] { load("fashion-minst"); });
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
  EXPECT_EQ(&data.split("val"), &data.val);
  expect_error(Exit::kUsage, {"--split", "tset"}, [&] { data.split("tset"); });
  expect_error(Exit::kData, {"val", "--val-fraction"}, [&] { load(folder / "a.npy").split("val"); });
}

TEST(Dataset, OptionsOutOfRange) {
  TemporaryFolder folder;
  write_u8(folder / "a.npy", {2, 5});
  for (const double bad : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    expect_error(Exit::kUsage, {"--test-fraction"}, [&] { load(folder / "a.npy", {.test_fraction = bad}); });
    expect_error(Exit::kUsage, {"--val-fraction"}, [&] { load(folder / "a.npy", {.val_fraction = bad}); });
  }
  expect_error(Exit::kUsage, {"--image-size", "-3"}, [&] { load(folder / "a.npy", {.image_size = -3}); });
  expect_error(Exit::kUsage, {"--image-size", "5 values"}, [&] { load(folder / "a.npy", {.image_size = 3}); });
  expect_error(Exit::kData, {"no samples left for training", "2 are for test"},
               [&] { load(folder / "a.npy", {.test_fraction = 0.9}); });
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
  expect_error(Exit::kDevice, {"16.0 KiB", "10.0 KiB", "--image-size"}, [&] { load(folder / "png", small); });
  EXPECT_EQ(load(folder / "png", {.image_size = 32, .memory_limit = 10 * 1024}).dim(), 1024);
  expect_error(Exit::kDevice, {"--image-size"},
               [&] { load_dataset({.spec = "shapes:64:100", .memory_limit = 10 * 1024}); });
  write_u8(folder / "a.npy", {1024, 20});
  expect_error(Exit::kDevice, {"a.npy", "20.1 KiB", "10.0 KiB", "--image-size"},
               [&] { load(folder / "a.npy", small); });
  write_idx(folder / "a-images-idx3-ubyte", {20, 32, 32});
  expect_error(Exit::kDevice, {"a-images", "10.0 KiB", "--image-size"},
               [&] { load(folder / "a-images-idx3-ubyte", small); });
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
