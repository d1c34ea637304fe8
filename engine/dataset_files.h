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

inline constexpr const char* kCifar10 = "cifar-10";
bool is_named_dataset(const std::string& name);
/// Looks a named data set up, as DataOptions::spec says.
Dataset load_named(const DataOptions& options);

/// The images of a training and a test set in IDX files; labels lie beside them, "images" in the name read as "labels".
struct IdxFiles {
  std::filesystem::path train, test;  ///< `test` may be empty: no test set
};

/// Recognizes "train-images-idx3-ubyte", "t10k-images.idx3-ubyte.gz", "emnist-letters-test-images-idx3-ubyte" and the
/// like directly in a folder; a folder with one IDX file of images only is that file. Nothing if it has none.
std::optional<IdxFiles> find_idx_files(const std::filesystem::path& folder);

Dataset load_idx(const IdxFiles& files, const DataOptions& options);

/// Whether a folder is CIFAR-10's: it has data_batch_1.bin or test_batch.bin.
bool is_cifar_folder(const std::filesystem::path& folder);

/// CIFAR-10's binary version (Krizhevsky 2009): a record is its label, 0 to 9, and 32 x 32 pixels, all red values, then
/// all green, then all blue; a file has `records` of them. A folder must have data_batch_1.bin to data_batch_5.bin and
/// test_batch.bin, which are the splits; a file is one batch. `records` is another number in tests only.
Dataset load_cifar(const std::filesystem::path& path, const DataOptions& options, int64_t records = 10000);

Dataset load_npy(const std::filesystem::path& path, const DataOptions& options);

/// Whether a file's name is that of a PNG or JPEG, in letters of any case.
bool is_picture(const std::filesystem::path& path);

/// PNGs and JPEGs at any depth in byte order of the path. `train/` and `test/` are the splits where both exist; the
/// immediate subfolders of a split are classes. Gray and RGB together become RGB. With a cache_dir they are decoded
/// once, into a cache keyed by paths, sizes and times of the files and by the options, and stay there where memory does
/// not suffice.
Dataset load_image_folder(const std::filesystem::path& folder, const DataOptions& options);

/// Gives the loaded samples the channels and the size that the options ask for.
void adapt_samples(Dataset& data, const DataOptions& options);

/// The checksum of a list with a line for each file.
std::string checksum_of_list(const std::string& list);

/// Throws Error(kDevice) with both sizes when `bytes` exceed the limit; `hint` is the way out.
void check_memory(const std::string& what, int64_t bytes, int64_t limit, const std::string& hint);

}  // namespace hourglass
