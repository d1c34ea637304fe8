// SPDX-License-Identifier: Apache-2.0
// CIFAR-10's binary version: small batches of the right format for the reader, full-sized ones for the command's way.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "engine/dataset_files.h"
#include "tests/dataset_checks.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using namespace test;

constexpr int64_t kSmall = 4, kRecord = 3073;
const DataOptions kUnlimited{.memory_limit = int64_t{1} << 30};

uint8_t value_at(int batch, int64_t image, int channel, int64_t pixel) {
  return static_cast<uint8_t>(50 * batch + 7 * image + 100 * channel + pixel);
}

/// A row of pixels is a piece of one ramp: full batches have 184 million values.
void write_batch(const fs::path& path, int batch, int64_t records) {
  Bytes ramp(256 + 1024), bytes;
  std::iota(ramp.begin(), ramp.end(), uint8_t{0});
  bytes.reserve(static_cast<size_t>(records * kRecord));
  for (int64_t i = 0; i < records; ++i) {
    bytes.push_back(static_cast<uint8_t>((batch + i) % 10));
    for (int c = 0; c < 3; ++c) {
      const auto first = ramp.begin() + value_at(batch, i, c, 0);
      bytes.insert(bytes.end(), first, first + 1024);
    }
  }
  write_file_atomic(path, bytes);
}

void write_folder(const fs::path& folder, int64_t records) {
  fs::create_directories(folder);
  for (int b = 0; b < 5; ++b) write_batch(folder / ("data_batch_" + std::to_string(b + 1) + ".bin"), b, records);
  write_batch(folder / "test_batch.bin", 5, records);
}

TEST(Cifar, PlanesBecomePixelsAndBatchesSplits) {
  TemporaryFolder folder;
  write_folder(folder.path(), kSmall);
  const Dataset data = load_cifar(folder.path(), kUnlimited, kSmall);
  EXPECT_EQ(data.size(), 6 * kSmall);
  EXPECT_EQ(data.height, 32);
  EXPECT_EQ(data.width, 32);
  EXPECT_EQ(data.channels, 3);
  EXPECT_EQ(data.files, 6);
  EXPECT_EQ(data.train.size(), 20u);
  EXPECT_EQ(data.test, (std::vector<int32_t>{20, 21, 22, 23}));
  expect_partition(data);
  for (const int image : {0, 7, 23}) {
    const int batch = image / kSmall, i = image % kSmall;
    EXPECT_EQ(data.labels[static_cast<size_t>(image)], (batch + i) % 10);
    for (const int pixel : {0, 33, 1023}) {
      for (int c = 0; c < 3; ++c) {
        EXPECT_EQ(data.u8[static_cast<size_t>((image * 1024 + pixel) * 3 + c)], value_at(batch, i, c, pixel));
      }
    }
  }
}

TEST(Cifar, OneFileIsABatchThatIsSplitLikeOwnData) {
  TemporaryFolder folder;
  write_batch(folder / "data_batch_3.bin", 2, kSmall);
  const Dataset data = load_cifar(folder / "data_batch_3.bin", kUnlimited, kSmall);
  EXPECT_EQ(data.size(), kSmall);
  EXPECT_TRUE(data.train.empty());
  EXPECT_TRUE(data.test.empty());
}

TEST(Cifar, EveryWrongLengthIsRefusedWithBothSizes) {
  TemporaryFolder folder;
  const fs::path path = folder / "data_batch_1.bin";
  write_batch(path, 0, 2);
  Bytes bytes = read_file(path);
  for (const int64_t length : {int64_t{0}, int64_t{1}, kRecord, 2 * kRecord - 1}) {
    write_file_atomic(path, std::span(bytes).first(static_cast<size_t>(length)));
    expect_error([&] { load_cifar(path, kUnlimited, 2); }, Exit::kData,
                 {path.string().c_str(), "6146 bytes", std::to_string(length).c_str(), "truncated"});
  }
  bytes.push_back(0);
  write_file_atomic(path, bytes);
  expect_error([&] { load_cifar(path, kUnlimited, 2); }, Exit::kData, {path.string().c_str(), "6146 bytes", "6147"});
}

TEST(Cifar, ABatchThatIsMissingAndALabelAboveNineAreNamed) {
  TemporaryFolder folder;
  write_folder(folder.path(), kSmall);
  fs::remove(folder / "data_batch_4.bin");
  expect_error([&] { load_cifar(folder.path(), kUnlimited, kSmall); }, Exit::kData, {"data_batch_4.bin"});
  write_batch(folder / "data_batch_4.bin", 3, kSmall);
  Bytes bytes = read_file(folder / "test_batch.bin");
  bytes[2 * kRecord] = 10;
  write_file_atomic(folder / "test_batch.bin", bytes);
  expect_error([&] { load_cifar(folder.path(), kUnlimited, kSmall); }, Exit::kData,
               {"test_batch.bin", "image 2", "10", "0 to 9"});
}

TEST(Cifar, MemoryAndChecksum) {
  TemporaryFolder folder;
  write_folder(folder.path(), kSmall);
  expect_error([&] { load_cifar(folder.path(), {.memory_limit = 10 * 1024}, kSmall); }, Exit::kDevice,
               {folder.path().string().c_str(), "72.0 KiB", "10.0 KiB"});
  const std::string checksum = load_cifar(folder.path(), kUnlimited, kSmall).checksum;
  write_batch(folder / "data_batch_2.bin", 7, kSmall);
  EXPECT_NE(load_cifar(folder.path(), kUnlimited, kSmall).checksum, checksum);
}

// What the command runs takes files of the published size only.
TEST(Cifar, ItIsFoundByNameAndByPath) {
#if defined(HOURGLASS_SANITIZED)
  GTEST_SKIP() << "184 MB take a minute under the sanitizers, and small batches the same way";
#endif
  TemporaryFolder folder;
  write_folder(folder / "cifar-10" / "cifar-10-batches-bin", 10000);
  const DataOptions by_name{.spec = "cifar-10", .data_dir = folder.path()};
  const Dataset data = load_dataset(by_name);
  EXPECT_EQ(data.name, "cifar-10");
  EXPECT_EQ(data.train.size(), 50000u);
  EXPECT_EQ(data.test.size(), 10000u);
  EXPECT_EQ(data.label_names.at(9), "truck");
  const fs::path batches = folder / "cifar-10" / "cifar-10-batches-bin";
  EXPECT_EQ(load(batches).checksum, data.checksum);
  EXPECT_EQ(load(batches / "test_batch.bin").test.size(), 1000u);
  EXPECT_EQ(load(batches / "test_batch.bin", {.image_size = 8}).dim(), 192);
  fs::resize_file(batches / "data_batch_5.bin", 30729999);
  expect_error([&] { load_dataset(by_name); }, Exit::kData, {"data_batch_5.bin", "30730000", "30729999", "truncated"});
  write_folder(batches, kSmall);
  expect_error([&] { load_dataset(by_name); }, Exit::kData, {"data_batch_1.bin", "30730000", "12292"});
}

TEST(Cifar, MissingItIsAnsweredWithTheArchiveAndWhereToPutIt) {
  const std::string text = missing_dataset_text("cifar-10");
  for (const char* part : {"cifar-10-binary.tar.gz  md5 c32a1d4ab5d03f1284b67883e8d87530", "data_batch_5.bin",
                           "test_batch.bin", "/usr/share/datasets/cifar-10", "--data-dir", "HOURGLASS_DATA"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " not in:\n" << text;
  }
  if (fs::exists("/usr/share/datasets/cifar-10")) GTEST_SKIP() << "CIFAR-10 is installed";
  unsetenv("HOURGLASS_DATA");
  expect_error([] { load_dataset({.spec = "cifar-10"}); }, Exit::kData, {text.c_str()});
}

}  // namespace
}  // namespace hourglass
