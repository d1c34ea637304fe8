// SPDX-License-Identifier: Apache-2.0

#include "engine/dataset_files.h"
#include "engine/io/checksum.h"
#include "engine/io/files.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 32, kChannels = 3, kClasses = 10;
constexpr int64_t kPlane = kSide * kSide, kImageBytes = kChannels * kPlane, kRecordBytes = 1 + kImageBytes;
constexpr int kTrainingBatches = 5;

std::string batch_name(int batch) {
  return batch == kTrainingBatches ? "test_batch.bin" : "data_batch_" + std::to_string(batch + 1) + ".bin";
}

// Three planes of one color each to pixels of three colors.
void interleave(const uint8_t* planes, uint8_t* pixels) {
  for (int64_t p = 0; p < kPlane; ++p) {
    for (int64_t c = 0; c < kChannels; ++c) pixels[kChannels * p + c] = planes[c * kPlane + p];
  }
}

void append_batch(Dataset& data, const fs::path& path, int64_t records, std::string& list) {
  const Bytes bytes = read_file(path);
  const int64_t expected = records * kRecordBytes, size = static_cast<int64_t>(bytes.size());
  if (size != expected) {
    throw Error(Exit::kData, path.string() + ": a CIFAR-10 batch of " + std::to_string(records) + " images has " +
                                 std::to_string(expected) + " bytes, this file has " + std::to_string(size) +
                                 (size < expected ? ": it is truncated" : ""));
  }
  list += path.filename().string() + " " + sha256(bytes) + "\n";
  const size_t before = data.u8.size();
  data.u8.resize(before + static_cast<size_t>(records * kImageBytes));
  for (int64_t i = 0; i < records; ++i) {
    const uint8_t* const record = bytes.data() + i * kRecordBytes;
    if (record[0] >= kClasses) {
      throw Error(Exit::kData, path.string() + ": the label of image " + std::to_string(i) + " is " +
                                   std::to_string(record[0]) + "; expected 0 to 9, as in CIFAR-10's binary version");
    }
    data.labels.push_back(record[0]);
    interleave(record + 1, data.u8.data() + before + static_cast<size_t>(i * kImageBytes));
  }
  ++data.files;
}

}  // namespace

bool is_cifar_folder(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / batch_name(0), ignored) || fs::exists(folder / batch_name(kTrainingBatches), ignored);
}

Dataset load_cifar(const fs::path& path, const DataOptions& options, int64_t records) {
  Dataset data;
  data.height = data.width = kSide;
  data.channels = kChannels;
  std::error_code ignored;
  const bool folder = fs::is_directory(path, ignored);
  const int batches = folder ? kTrainingBatches + 1 : 1;
  check_memory(path.string(), batches * records * kImageBytes, options.memory_limit,
               "one data_batch_N.bin alone needs less");
  std::string list;
  for (int batch = 0; batch < batches; ++batch) {
    append_batch(data, folder ? path / batch_name(batch) : path, records, list);
  }
  if (folder) {
    const int64_t training = kTrainingBatches * records;
    for (int64_t i = 0; i < data.size(); ++i) {
      (i < training ? data.train : data.test).push_back(static_cast<int32_t>(i));
    }
  }
  data.checksum = checksum_of_list(list);
  adapt_samples(data, options);
  return data;
}

}  // namespace hourglass
