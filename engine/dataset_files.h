// SPDX-License-Identifier: Apache-2.0
// Readers behind load_dataset, one for each kind of source. Each returns the samples with labels, checksum and notices;
// train and test are filled only where the source brings a test set of its own.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/dataset.h"
#include "engine/io/host_array.h"

namespace hourglass {

/// The images of a training and a test set in IDX files; labels lie beside them, "images" in the name read as "labels".
struct IdxFiles {
  std::filesystem::path train, test;  ///< `test` may be empty: no test set
};

/// Recognizes "train-images-idx3-ubyte", "t10k-images.idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte" and the
/// like directly in a folder; a folder with one IDX file of images only is that file. Nothing if it has none.
std::optional<IdxFiles> find_idx_files(const std::filesystem::path& folder);

Dataset load_idx(const IdxFiles& files, const DataOptions& options);
Dataset load_npy(const std::filesystem::path& path, const DataOptions& options);

/// PNGs at any depth in byte order of the path. `train/` and `test/` are the splits where both exist; the immediate
/// subfolders of a split are classes. Gray and RGB together become RGB.
Dataset load_png_folder(const std::filesystem::path& folder, const DataOptions& options);

/// Throws Error(kDevice) with both sizes when `bytes` exceed the limit; `hint` is the way out.
void check_memory(const std::string& what, int64_t bytes, int64_t limit, const std::string& hint);

/// (H, W, C) image to (size, size, C): the central square, each target pixel the mean of the area it covers.
/// T = uint8_t (rounded to nearest) or float.
template <class T>
void crop_and_resize(const T* source, int height, int width, int channels, int size, T* target);

}  // namespace hourglass
