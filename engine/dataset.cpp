// SPDX-License-Identifier: Apache-2.0
#include "engine/dataset.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "engine/buffer.h"
#include "engine/dataset_files.h"
#include "engine/io/checksum.h"
#include "engine/shapes.h"
#include "kernels/base/error.h"
#include "kernels/base/permutation.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

// "shapes:SIZE:COUNT": the numbers after the name.
std::vector<int> shape_numbers(const std::string& spec) {
  std::vector<int> numbers;
  for (size_t at = spec.find(':'); at != std::string::npos; at = spec.find(':', at + 1)) {
    const char* const first = spec.data() + at + 1;
    const char* const last = spec.data() + std::min(spec.find(':', at + 1), spec.size());
    int number = 0;
    const auto [end, code] = std::from_chars(first, last, number);
    if (code != std::errc() || end != last) number = 0;
    numbers.push_back(number);
  }
  return numbers;
}

Dataset load_shapes(const DataOptions& options) {
  constexpr int kSize = 28, kTraining = 20000, kMaxSize = 1024, kMaxTraining = 10000000;
  constexpr uint32_t kSeed = 0;  // the same images in every run, as if they were a file
  const std::vector<int> numbers = shape_numbers(options.spec);
  const int size = options.image_size ? options.image_size.height : numbers.empty() ? kSize : numbers[0];
  const int training = numbers.size() > 1 ? numbers[1] : kTraining;
  const bool conflict = options.image_size && (options.image_size.width != size ||
                                               (!numbers.empty() && numbers[0] != options.image_size.height));
  if (numbers.size() > 2 || size < 8 || size > kMaxSize || training < 1 || training > kMaxTraining || conflict) {
    throw Error(Exit::kUsage, "--data " + options.spec + ": expected shapes[:SIZE[:COUNT]] with SIZE from 8 to " +
                                  std::to_string(kMaxSize) +
                                  " (and equal to --image-size, a square, if both are given) and COUNT from 1 to " +
                                  std::to_string(kMaxTraining));
  }
  const int count = training + std::max(1, training / 10);
  Dataset data;
  data.height = data.width = size;
  data.channels = 1;
  check_memory(options.spec, int64_t{count} * data.dim(), options.memory_limit, "--image-size SIDE draws them smaller");
  data.u8.resize(static_cast<size_t>(count) * static_cast<size_t>(data.dim()));
  data.label_names = shape_names();
  for (int32_t i = 0; i < count; ++i) {
    const ShapeFactors factors = shape_factors(kSeed, i);
    draw_shape(factors, size, data.u8.data() + int64_t{i} * data.dim());
    data.labels.push_back(factors.shape);
    (i < training ? data.train : data.test).push_back(i);
  }
  data.checksum = sha256(data.u8);
  DataOptions channels = options;
  channels.image_size = 0;  // they were drawn in that size
  adapt_samples(data, channels);
  return data;
}

Dataset load_path(const DataOptions& options) {
  const fs::path path = options.spec;
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw Error(Exit::kData,
                "--data " + options.spec +
                    ": no such file or folder, and not one of the names fashion-mnist, mnist, cifar-10, shapes");
  }
  if (fs::is_directory(path, error)) {
    if (is_cifar_folder(path)) return load_cifar(path, options);
    if (const std::optional<IdxFiles> files = find_idx_files(path)) return load_idx(*files, options);
    return load_image_folder(path, options);
  }
  if (path.extension() == ".npy") return load_npy(path, options);
  if (path.extension() == ".bin") return load_cifar(path, options);
  if (is_picture(path)) {
    throw Error(Exit::kData, options.spec + ": one image is not a data set; give the folder it lies in");
  }
  return load_idx({path, {}}, options);
}

// Moves round(share * rows) rows, chosen by a keyed permutation, out of `rows`; both lists stay ascending.
std::vector<int32_t> hold_out(std::vector<int32_t>& rows, double share, uint32_t seed, uint32_t purpose) {
  const uint32_t count = static_cast<uint32_t>(rows.size());
  const uint32_t held = static_cast<uint32_t>(std::lround(share * count));
  std::vector<bool> out(count);
  for (uint32_t i = 0; i < held; ++i) out[permute(i, count, seed, purpose)] = true;
  std::vector<int32_t> kept, chosen;
  for (uint32_t i = 0; i < count; ++i) (out[i] ? chosen : kept).push_back(rows[i]);
  rows = std::move(kept);
  return chosen;
}

void split_samples(Dataset& data, const DataOptions& options) {
  if (data.train.empty() && data.test.empty()) {
    for (int64_t i = 0; i < data.size(); ++i) data.train.push_back(static_cast<int32_t>(i));
    data.test = hold_out(data.train, options.test_fraction, options.split_seed, 0);
  }
  data.val = hold_out(data.train, options.val_fraction, options.split_seed, 1);
  if (data.train.empty()) {
    throw Error(Exit::kData, options.spec + ": no samples left for training: of " + std::to_string(data.size()) + ", " +
                                 std::to_string(data.test.size()) + " are for test and " +
                                 std::to_string(data.val.size()) + " for validation");
  }
}

void check_options(const DataOptions& options) {
  const auto fraction = [](const char* option, double value) {
    if (!(value >= 0 && value < 1)) {
      throw Error(Exit::kUsage,
                  std::string(option) + ": expected a fraction from 0 to below 1, got " + std::to_string(value));
    }
  };
  fraction("--test-fraction", options.test_fraction);
  fraction("--val-fraction", options.val_fraction);
  constexpr int kMaxSide = 8192;
  const auto in_range = [](int side) { return side >= 1 && side <= kMaxSide; };
  const ImageSize size = options.image_size;
  if (size != ImageSize{} && !(in_range(size.height) && in_range(size.width))) {
    throw Error(Exit::kUsage,
                "--image-size: expected sides from 1 to " + std::to_string(kMaxSide) + ", got " + to_text(size));
  }
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    throw Error(Exit::kUsage, "--channels: expected 1 or 3, got " + std::to_string(options.channels));
  }
}

}  // namespace

std::vector<int32_t> Dataset::split(const std::string& which) const {
  if (which == "all") {
    std::vector<int32_t> rows(static_cast<size_t>(size()));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }
  const std::vector<int32_t>* rows = which == "train"  ? &train
                                     : which == "val"  ? &val
                                     : which == "test" ? &test
                                                       : nullptr;
  if (!rows) throw Error(Exit::kUsage, "--split: expected train, val, test or all, got " + which);
  if (rows->empty()) {
    throw Error(Exit::kData, name + ": the " + which + " split is empty (--split all takes all of the data)");
  }
  return *rows;
}

int64_t Dataset::size() const {
  if (dim() == 0) return 0;
  return file ? file->rows() : static_cast<int64_t>(u8.empty() ? f32.size() : u8.size()) / dim();
}

const void* Dataset::data() const {
  if (file) return nullptr;
  return u8.empty() ? static_cast<const void*>(f32.data()) : u8.data();
}

std::vector<float> Dataset::images(std::span<const int32_t> rows) const {
  const size_t columns = static_cast<size_t>(dim());
  std::vector<float> result;
  result.reserve(rows.size() * columns);
  std::vector<uint8_t> of_file(file ? columns : 0);
  for (const int32_t row : rows) {
    const size_t first = static_cast<size_t>(row) * columns;
    if (file) file->read(row, 1, of_file.data());
    const uint8_t* const bytes = file ? of_file.data() : u8.data() + first;
    for (size_t i = 0; i < columns; ++i) {
      result.push_back(f32.empty() ? static_cast<float>(bytes[i]) / 255.f : f32[first + i]);
    }
  }
  return result;
}

namespace {

bool is_shapes(const std::string& spec) { return spec == "shapes" || spec.starts_with("shapes:"); }

}  // namespace

std::string located(const std::string& spec) {
  return is_named_dataset(spec) || is_shapes(spec) ? spec : fs::absolute(spec).lexically_normal().string();
}

Dataset load_dataset(const DataOptions& given) {
  DataOptions options = given;
  check_options(options);
  if (options.memory_limit == 0) options.memory_limit = static_cast<int64_t>(available_memory() / 2);
  Dataset data = is_named_dataset(options.spec) ? load_named(options)
                 : is_shapes(options.spec)      ? load_shapes(options)
                                                : load_path(options);
  data.name = options.spec;
  split_samples(data, options);
  return data;
}

}  // namespace hourglass
