// SPDX-License-Identifier: Apache-2.0
#include "engine/dataset.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "engine/buffer.h"
#include "engine/dataset_files.h"
#include "engine/io/checksum.h"
#include "engine/shapes.h"
#include "kernels/base/error.h"
#include "kernels/base/permutation.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystemFolder = "/usr/share/datasets";

struct NamedDataset {
  const char* name;
  const char* origin;
  const char* checksum_kind;
  std::array<std::array<const char*, 2>, 4> files;  // name, checksum
  std::vector<std::string> label_names;
};

const std::vector<NamedDataset>& named_datasets() {
  static const std::vector<NamedDataset> datasets = {
      {"fashion-mnist",
       "github.com/zalandoresearch/fashion-mnist; Debian: package dataset-fashion-mnist",
       "sha256",
       {{{"train-images-idx3-ubyte.gz", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"},
         {"train-labels-idx1-ubyte.gz", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"},
         {"t10k-images-idx3-ubyte.gz", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"},
         {"t10k-labels-idx1-ubyte.gz", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"}}},
       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}},
      {"mnist",
       "the MNIST database of handwritten digits, LeCun, Cortes and Burges",
       "md5",
       {{{"train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"},
         {"train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"},
         {"t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"},
         {"t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"}}},
       {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
  };
  return datasets;
}

const NamedDataset* find_named(const std::string& name) {
  for (const NamedDataset& known : named_datasets()) {
    if (name == known.name) return &known;
  }
  return nullptr;
}

// Both data sets have files of the same names: one that is published as another data set's is not this one's.
bool belongs_to_another(const fs::path& train_images, const std::string& name) {
  const std::string checksum = sha256_of_file(train_images);
  return std::any_of(named_datasets().begin(), named_datasets().end(),
                     [&](const NamedDataset& other) { return name != other.name && checksum == other.files[0][1]; });
}

Dataset load_named(const NamedDataset& known, const DataOptions& options) {
  std::vector<fs::path> folders;
  const auto add = [&](const fs::path& folder) {
    folders.push_back(folder / known.name);
    folders.push_back(folder);
  };
  if (!options.data_dir.empty()) add(options.data_dir);
  if (const char* variable = std::getenv("HOURGLASS_DATA"); variable && *variable) add(variable);
  folders.push_back(fs::path(kSystemFolder) / known.name);
  for (const fs::path& folder : folders) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    const std::optional<IdxFiles> files = find_idx_files(folder);
    if (!files || files->test.empty() || belongs_to_another(files->train, known.name)) continue;
    Dataset data = load_idx(*files, options);
    data.label_names = known.label_names;
    return data;
  }
  throw Error(Exit::kData, missing_dataset_text(known.name));
}

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
  const int size = options.image_size ? options.image_size : numbers.empty() ? kSize : numbers[0];
  const int training = numbers.size() > 1 ? numbers[1] : kTraining;
  const bool conflict = options.image_size && !numbers.empty() && numbers[0] != options.image_size;
  if (numbers.size() > 2 || size < 8 || size > kMaxSize || training < 1 || training > kMaxTraining || conflict) {
    throw Error(Exit::kUsage, "--data " + options.spec + ": expected shapes[:SIZE[:COUNT]] with SIZE from 8 to " +
                                  std::to_string(kMaxSize) +
                                  " (and equal to --image-size if both are given) and COUNT from 1 to " +
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
  return data;
}

Dataset load_path(const DataOptions& options) {
  const fs::path path = options.spec;
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw Error(Exit::kData, "--data " + options.spec +
                                 ": no such file or folder, and not one of the names fashion-mnist, mnist, shapes");
  }
  if (fs::is_directory(path, error)) {
    if (const std::optional<IdxFiles> files = find_idx_files(path)) return load_idx(*files, options);
    return load_png_folder(path, options);
  }
  if (path.extension() == ".npy") return load_npy(path, options);
  if (path.extension() == ".png") {
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
  if (options.image_size < 0 || options.image_size > kMaxSide) {
    throw Error(Exit::kUsage, "--image-size: expected 1 to " + std::to_string(kMaxSide) + ", got " +
                                  std::to_string(options.image_size));
  }
}

}  // namespace

const std::vector<int32_t>& Dataset::split(const std::string& which) const {
  const std::vector<int32_t>* rows = which == "train"  ? &train
                                     : which == "val"  ? &val
                                     : which == "test" ? &test
                                                       : nullptr;
  if (!rows) throw Error(Exit::kUsage, "--split: expected train, val or test, got " + which);
  if (rows->empty()) {
    throw Error(Exit::kData, name + ": the " + which + " split is empty" +
                                 (which == "val"    ? " (--val-fraction makes one)"
                                  : which == "test" ? " (--test-fraction makes one)"
                                                    : ""));
  }
  return *rows;
}

std::vector<float> Dataset::images(std::span<const int32_t> rows) const {
  std::vector<float> result;
  result.reserve(rows.size() * static_cast<size_t>(dim()));
  for (const int32_t row : rows) {
    for (int64_t i = int64_t{row} * dim(); i < (int64_t{row} + 1) * dim(); ++i) {
      const size_t at = static_cast<size_t>(i);
      result.push_back(u8.empty() ? f32[at] : static_cast<float>(u8[at]) / 255.f);
    }
  }
  return result;
}

Dataset load_dataset(const DataOptions& given) {
  DataOptions options = given;
  check_options(options);
  if (options.memory_limit == 0) options.memory_limit = static_cast<int64_t>(available_memory() / 2);
  const NamedDataset* known = find_named(options.spec);
  const bool shapes = options.spec == "shapes" || options.spec.starts_with("shapes:");
  Dataset data = known ? load_named(*known, options) : shapes ? load_shapes(options) : load_path(options);
  data.name = options.spec;
  split_samples(data, options);
  return data;
}

std::string missing_dataset_text(const std::string& name) {
  const NamedDataset* known = find_named(name);
  if (!known) throw Error(Exit::kInternal, "no data set is named " + name);
  std::string text = "data set " + name + " is not there. Its four files (" + known->origin + "):\n";
  for (const auto& [file, checksum] : known->files) {
    text += "  " + std::string(file) + "  " + known->checksum_kind + " " + checksum + "\n";
  }
  const char* variable = std::getenv("HOURGLASS_DATA");
  text += "Put them, gzipped or not, into " + std::string(kSystemFolder) + "/" + name + ", or into DIR/" + name +
          " and say --data-dir DIR or set HOURGLASS_DATA=DIR";
  text += variable && *variable ? " (now " + std::string(variable) + ")." : ".";
  return text + "\nWithout any files: --data shapes";
}

}  // namespace hourglass
