// SPDX-License-Identifier: Apache-2.0
// Data sets known by name: where they are looked for, and what to say when they are not there.
#include <algorithm>
#include <cstdlib>

#include "engine/dataset_files.h"
#include "engine/io/checksum.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSystemFolder = "/usr/share/datasets";

struct NamedDataset {
  struct File {
    const char *name, *checksum;
  };
  const char* name;
  const char* origin;
  const char* files_text;  ///< what `files` are
  std::vector<File> files;
  const char* placing;  ///< what to do with them before they are put into the folder
  std::vector<std::string> label_names;
  std::vector<std::string> training_images = {};  ///< SHA-256 of the first file, gzipped and unpacked
};

const std::vector<NamedDataset>& named_datasets() {
  static const std::vector<NamedDataset> datasets = {
      {"fashion-mnist",
       "github.com/zalandoresearch/fashion-mnist; Debian: package dataset-fashion-mnist",
       "Its four files",
       {{"train-images-idx3-ubyte.gz", "sha256 b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"},
        {"train-labels-idx1-ubyte.gz", "sha256 0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"},
        {"t10k-images-idx3-ubyte.gz", "sha256 cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"},
        {"t10k-labels-idx1-ubyte.gz", "sha256 8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"}},
       "Put them, gzipped or not,",
       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
       {"b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"}},
      {"mnist",
       "the MNIST database of handwritten digits, LeCun, Cortes and Burges",
       "Its four files",
       {{"train-images-idx3-ubyte.gz", "md5 f68b3c2dcbeaaa9fbdd348bbdeb94873"},
        {"train-labels-idx1-ubyte.gz", "md5 d53e105ee54ea40749a09fcbcd1e9432"},
        {"t10k-images-idx3-ubyte.gz", "md5 9fb629c4189551a2d022fa330f9573f3"},
        {"t10k-labels-idx1-ubyte.gz", "md5 ec29112dd5afa0611ce80d1b7f02629c"}},
       "Put them, gzipped or not,",
       {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
       {"440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"}},
      {kCifar10,
       "www.cs.toronto.edu/~kriz/cifar.html, \"binary version\"; Krizhevsky 2009",
       "Its archive",
       {{"cifar-10-binary.tar.gz", "md5 c32a1d4ab5d03f1284b67883e8d87530"}},
       "Unpack it (tar xzf) and put its files data_batch_1.bin to data_batch_5.bin and test_batch.bin, or the folder "
       "cifar-10-batches-bin with them,",
       {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}},
  };
  return datasets;
}

const NamedDataset* find_named(const std::string& name) {
  for (const NamedDataset& known : named_datasets()) {
    if (name == known.name) return &known;
  }
  return nullptr;
}

/// Where a named data set may lie, in the order of the search.
std::vector<fs::path> folders_of(const NamedDataset& known, const DataOptions& options) {
  std::vector<fs::path> folders;
  const auto add = [&](const fs::path& folder) {
    folders.push_back(folder / known.name);
    folders.push_back(folder);
  };
  if (!options.data_dir.empty()) add(options.data_dir);
  if (const char* variable = std::getenv("HOURGLASS_DATA"); variable && *variable) add(variable);
  folders.push_back(fs::path(kSystemFolder) / known.name);
  return folders;
}

// Both MNISTs have files of the same names: one that is published as another data set's is not this one's.
bool belongs_to_another(const fs::path& train_images, const std::string& name) {
  const std::string checksum = sha256_of_file(train_images);
  return std::any_of(named_datasets().begin(), named_datasets().end(), [&](const NamedDataset& other) {
    const std::vector<std::string>& known = other.training_images;
    return name != other.name && std::find(known.begin(), known.end(), checksum) != known.end();
  });
}

std::optional<Dataset> load_from(const fs::path& folder, const NamedDataset& known, const DataOptions& options) {
  if (known.name == std::string(kCifar10)) {
    for (const fs::path& place : {folder, folder / "cifar-10-batches-bin"}) {
      if (is_cifar_folder(place)) return load_cifar(place, options);
    }
    return std::nullopt;
  }
  const std::optional<IdxFiles> files = find_idx_files(folder);
  if (!files || files->test.empty() || belongs_to_another(files->train, known.name)) return std::nullopt;
  return load_idx(*files, options);
}

}  // namespace

bool is_named_dataset(const std::string& name) { return find_named(name) != nullptr; }

Dataset load_named(const DataOptions& options) {
  const NamedDataset& known = *find_named(options.spec);
  for (const fs::path& folder : folders_of(known, options)) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    if (std::optional<Dataset> data = load_from(folder, known, options)) {
      data->label_names = known.label_names;
      return std::move(*data);
    }
  }
  throw Error(Exit::kData, missing_dataset_text(known.name));
}

std::string missing_dataset_text(const std::string& name) {
  const NamedDataset* known = find_named(name);
  if (!known) throw Error(Exit::kInternal, "no data set is named " + name);
  std::string text = "data set " + name + " is not there. " + known->files_text + " (" + known->origin + "):\n";
  for (const NamedDataset::File& file : known->files)
    text += "  " + std::string(file.name) + "  " + file.checksum + "\n";
  const char* variable = std::getenv("HOURGLASS_DATA");
  text += std::string(known->placing) + " into " + kSystemFolder + "/" + name + ", or into DIR/" + name +
          " and say --data-dir DIR or set HOURGLASS_DATA=DIR";
  text += variable && *variable ? " (now " + std::string(variable) + ")." : ".";
  return text + "\nWithout any files: --data shapes";
}

}  // namespace hourglass
