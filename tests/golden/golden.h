// SPDX-License-Identifier: Apache-2.0
// Reads the golden files of this folder (README.md lists their tensors).
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "engine/io/safetensors.h"

namespace hourglass::test {

class Golden {
 public:
  /// tests/golden/<name>.safetensors
  explicit Golden(const std::string& name)
      : file_(SafetensorsFile::read(std::string(HOURGLASS_SOURCE_DIR "/tests/golden/") + name + ".safetensors")) {}

  const std::vector<int64_t>& shape(const std::string& name) const { return view(name).shape; }
  int extent(const std::string& name, size_t axis) const { return static_cast<int>(shape(name).at(axis)); }

  /// The elements of a tensor, stored as float (exact in both) or double, as T.
  template <class T>
  std::vector<T> values(const std::string& name) const {
    const SafetensorsView& tensor = view(name);
    return tensor.type == ElementType::kF64 ? read<double, T>(tensor) : read<float, T>(tensor);
  }

 private:
  const SafetensorsView& view(const std::string& name) const {
    const SafetensorsView* found = file_.find(name);
    if (!found) throw Error(Exit::kData, "golden file: no tensor " + name);
    return *found;
  }

  template <class Stored, class T>
  static std::vector<T> read(const SafetensorsView& tensor) {
    std::vector<Stored> stored(tensor.bytes.size() / sizeof(Stored));
    std::memcpy(stored.data(), tensor.bytes.data(), tensor.bytes.size());
    return std::vector<T>(stored.begin(), stored.end());
  }

  SafetensorsFile file_;
};

}  // namespace hourglass::test
