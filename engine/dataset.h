// SPDX-License-Identifier: Apache-2.0
// A data set in memory: all samples of all splits in one store, and the splits as lists of its rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/resize.h"
#include "engine/sample_file.h"
#include "engine/sample_store.h"
#include "kernels/base/types.h"

namespace hourglass {

struct Dataset {
  std::string name;  ///< what --data said
  int height = 0, width = 0, channels = 0;

  // The samples (N, H, W, C), row-major: exactly one of the three is filled.
  std::vector<uint8_t> u8;                 ///< 0..255, meaning 0..1
  std::vector<float> f32;                  ///< as stored, finite
  std::shared_ptr<const SampleFile> file;  ///< u8 that stay in a file

  std::vector<int32_t> labels;           ///< (N) class, -1 for a sample without one; empty: no labels at all
  std::vector<std::string> label_names;  ///< by class; empty: the classes have numbers only

  std::vector<int32_t> train, val, test;  ///< rows of the store, ascending; together all rows, each once

  std::string checksum;  ///< SHA-256 over the names and contents of all files, in order (shapes: over their settings)
  int64_t files = 0;     ///< how many files it was read from
  int64_t skipped = 0;   ///< broken files left out by skip_bad
  std::vector<std::string> notices;  ///< sentences the program should print

  int dim() const { return height * width * channels; }
  int64_t size() const;
  SampleStore store() const { return {data(), dtype(), size(), dim(), file.get()}; }
  Dtype dtype() const { return f32.empty() ? Dtype::kU8 : Dtype::kF32; }
  /// Null for samples that stay in a file.
  const void* data() const;

  /// The list of "train", "val", "test" or "all". Error(kUsage) for another name; Error(kData) if it is empty.
  std::vector<int32_t> split(const std::string& which) const;

  /// Rows as float, scaled to 0..1 if stored as u8: (rows.size(), H, W, C), for pictures.
  std::vector<float> images(std::span<const int32_t> rows) const;
};

struct DataOptions {
  /// "fashion-mnist", "mnist", "cifar-10": looked up as <folder>/<name> and <folder> in data_dir, $HOURGLASS_DATA, and
  /// as <name> in /usr/share/datasets. "shapes", "shapes:SIZE", "shapes:SIZE:COUNT": drawn, COUNT for training and
  /// COUNT / 10 for test. Else a path: an IDX or IDX.gz file or folder of such, an .npy file, a .bin file or folder of
  /// CIFAR-10's binary version, a folder of PNGs and JPEGs.
  std::string spec = "fashion-mnist";
  std::filesystem::path data_dir = {};   ///< empty: none
  ImageSize image_size = 0;              ///< resize images to this; 0: as they are
  Crop crop = Crop::kCenter;             ///< what of an image is resized
  int channels = 0;                      ///< 1: gray, 3: RGB; 0: as they are
  double test_fraction = 0.1;            ///< of data that bring no test set of their own
  double val_fraction = 0;               ///< of the training samples
  uint32_t split_seed = 0;               ///< key of the permutations that split; not the seed of training
  bool skip_bad = false;                 ///< leave broken files of a folder out instead of failing
  bool unit_range = true;                ///< refuse floats outside 0..1; false, for the Gaussian: finite is enough
  int64_t memory_limit = 0;              ///< bytes the samples may take; 0: half of the memory available now
  int64_t data_memory = 0;               ///< images of a cache larger than this stay there; 0: memory_limit
  std::filesystem::path cache_dir = {};  ///< where decoded image folders are kept; empty: nowhere, they are in memory
  int threads = 0;                       ///< that decode, with the same result for any number; 0: one per core
};

/// Loads, checks and splits. Errors name the file, what was expected and what was given:
///   kUsage   options out of range, --image-size on data that are not images
///   kData    nothing there (a missing named data set is answered by missing_dataset_text), unreadable, truncated,
///            empty, non-finite or out of range (naming sample and element), images of mixed sizes, labels of another
///            length, (N, C, H, W) order
///   kDevice  larger than memory allows, with both sizes
Dataset load_dataset(const DataOptions& options);

/// A DataOptions::spec that means the same in any folder: a path is made absolute, a name stays, whatever is called so.
std::string located(const std::string& spec);

/// What to download and where to put it: the files of a named data set, their checksums, the folder.
std::string missing_dataset_text(const std::string& name);

}  // namespace hourglass
