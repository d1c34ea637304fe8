// SPDX-License-Identifier: Apache-2.0
// Every format of data, and every refusal with its message.
#include <gtest/gtest.h>

#include <limits>

#include "engine/dataset_files.h"
#include "tests/dataset_checks.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using namespace test;

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
  expect_error([&] { load(folder / "own-images-idx3-ubyte"); }, Exit::kData, {"own-labels-idx1-ubyte", "20", "(19,)"});
}

TEST(Dataset, AnIdxFolderMustBeUnambiguous) {
  TemporaryFolder folder;
  write_idx(folder / "a-images-idx3-ubyte", {4, 2, 2});
  write_idx(folder / "b-images-idx3-ubyte", {4, 2, 2});
  expect_error([&] { load(folder.path()); }, Exit::kData, {folder.path().string().c_str(), "training images"});
  TemporaryFolder shapes;
  write_idx(shapes / "train-images-idx3-ubyte", {4, 2, 2});
  write_idx(shapes / "t10k-images-idx3-ubyte", {4, 2, 3});
  expect_error([&] { load(shapes.path()); }, Exit::kData, {"t10k-images", "(4, 2, 3)", "2 x 2 x 1"});
  write_file_atomic(shapes / "other", "neither IDX nor anything else");
  expect_error([&] { load(shapes / "other"); }, Exit::kData, {"other"});
}

TEST(Dataset, APictureIsNoIdxFileWhateverItsName) {
  TemporaryFolder folder;
  for (const char* name : {"img_idx_1.png", "img_idx_2.PNG"}) write_gray(folder / name, 2, 2, 7);
  EXPECT_EQ(load(folder.path(), {.test_fraction = 0}).size(), 2);
  TemporaryFolder one;
  for (const char* name : {"a.png", "idx.png"}) write_gray(one / name, 2, 2, 7);
  EXPECT_EQ(load(one.path(), {.test_fraction = 0}).size(), 2);
}

/// Names that are still allowed, while those of the labels beside them would be too long.
TEST(Dataset, TheLongestNamesHaveNoLabels) {
  TemporaryFolder folder;
  const fs::path npy = folder / (std::string(248, 'n') + ".npy"),
                 idx = folder / ("images-idx3" + std::string(242, 'x'));
  write_u8(folder / "short", {4, 2});
  fs::rename(folder / "short", npy);
  EXPECT_TRUE(load(npy).labels.empty());
  write_idx(folder / "short", {4, 2, 2});
  fs::rename(folder / "short", idx);
  EXPECT_TRUE(load(idx).labels.empty());
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
  const auto refused = [&](const std::vector<int64_t>& shape, std::initializer_list<const char*> texts) {
    write_u8(path, shape);
    expect_error([&] { load(path); }, Exit::kData, texts);
  };
  refused({10, 3, 8, 8}, {path.c_str(), "(N, H, W, C)", "(10, 3, 8, 8)", "np.transpose(a, (0, 2, 3, 1))"});
  refused({10, 1, 8, 8}, {"(N, C, H, W)"});
  refused({10}, {"(N, D)", "(10,)"});
  refused({2, 2, 2, 2, 2}, {"(2, 2, 2, 2, 2)"});
  refused({0, 5}, {"no samples", "(0, 5)"});
  refused({5, 0}, {"no element"});
  write_npy(path, std::vector<int32_t>(20), std::vector<int64_t>{10, 2});
  expect_error([&] { load(path); }, Exit::kData, {path.string().c_str(), "uint8", "i32"});
  expect_error([&] { load(folder / "missing.npy"); }, Exit::kData, {"missing.npy", "no such file"});
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
  expect_error([&] { load(path); }, Exit::kData, {path.string().c_str(), "element 1 of sample 3", "nan"});
  expect_error([&] { load(path, {.unit_range = false}); }, Exit::kData, {"element 1 of sample 3", "finite"});
  write(39, 17);
  expect_error([&] { load(path); }, Exit::kData,
               {"element 3 of sample 9", "17.0", "0..1 (", "uint8", "--likelihood gaussian"});
  EXPECT_EQ(load(path, {.unit_range = false}).f32[39], 17);
  write(4, -0.001f);
  expect_error([&] { load(path); }, Exit::kData, {"element 0 of sample 1", "-0.001"});
}

TEST(Dataset, NpyLabelsLieBesideIt) {
  TemporaryFolder folder;
  write_u8(folder / "a.npy", {6, 5});
  write_npy(folder / "a-labels.npy", std::vector<int64_t>{0, 1, 2, 0, 1, 2}, std::vector<int64_t>{6});
  const Dataset data = load(folder / "a.npy");
  EXPECT_EQ(data.labels, (std::vector<int32_t>{0, 1, 2, 0, 1, 2}));
  write_npy(folder / "a-labels.npy", std::vector<int64_t>{0, 1, 2}, std::vector<int64_t>{3});
  expect_error([&] { load(folder / "a.npy"); }, Exit::kData, {"a-labels.npy", "6 samples", "(3,)"});
  write_npy(folder / "a-labels.npy", std::vector<int64_t>{0, 1, -2, 0, 1, 2}, std::vector<int64_t>{6});
  expect_error([&] { load(folder / "a.npy"); }, Exit::kData, {"a-labels.npy", "-2"});
  write_npy(folder / "a-labels.npy", std::vector<float>(6), std::vector<int64_t>{6});
  expect_error([&] { load(folder / "a.npy"); }, Exit::kData, {"a-labels.npy"});
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
  expect_error([&] { load(folder.path()); }, Exit::kData,
               {"mixed sizes", "1.png is 4 x 4", "3.png is 6 x 4", "--image-size"});
  const Dataset data = load(folder.path(), {.image_size = 3, .test_fraction = 0});
  EXPECT_EQ(data.size(), 4);
  EXPECT_EQ(data.u8, std::vector<uint8_t>(36, 7));
}

TEST(Dataset, ABrokenFileStopsOrIsCounted) {
  TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) write_gray(folder / (std::to_string(i) + ".png"), 2, 2, static_cast<uint8_t>(i));
  write_file_atomic(folder / "3.png", "not a PNG at all");
  write_file_atomic(folder / "4.png", "");
  expect_error([&] { load(folder.path()); }, Exit::kData, {(folder / "3.png").string().c_str(), "--skip-bad"});
  const Dataset data = load(folder.path(), {.test_fraction = 0, .skip_bad = true});
  EXPECT_EQ(data.size(), 3);
  EXPECT_EQ(data.skipped, 2);
  EXPECT_EQ(data.files, 3);
  EXPECT_TRUE(noticed(data, "left out 2 of 5 files"));
  expect_partition(data);
  for (int i = 0; i < 3; ++i) write_file_atomic(folder / (std::to_string(i) + ".png"), "x");
  expect_error([&] { load(folder.path(), {.skip_bad = true}); }, Exit::kData,
               {"all 5 image files are broken", "0.png"});
}

TEST(Dataset, FoldersAndFilesThatHoldNoData) {
  TemporaryFolder folder;
  expect_error([&] { load(folder.path()); }, Exit::kData, {folder.path().string().c_str(), "PNG"});
  write_gray(folder / "a.png", 2, 2, 0);
  expect_error([&] { load(folder / "a.png"); }, Exit::kData, {"a.png", "folder"});
  expect_error([] { load("fashion-minst"); }, Exit::kData, {"fashion-minst", "fashion-mnist, mnist, cifar-10, shapes"});
}

}  // namespace
}  // namespace hourglass
