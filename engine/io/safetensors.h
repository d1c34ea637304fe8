// SPDX-License-Identifier: Apache-2.0
// safetensors files (github.com/huggingface/safetensors): u64 header length N, N bytes of JSON naming each tensor's
// dtype, shape and byte range, then the tensors, contiguous, row-major, little-endian. Loading runs no code and
// allocates no more than the file.
//
// Ours also carry CRC-32C checksums in `__metadata__`, which other readers ignore: "crc32c/<tensor>" for the bytes of
// each tensor, and "crc32c" for the length and the header themselves, computed while its own eight digits are zeros.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/files.h"
#include "engine/io/host_array.h"

namespace hourglass {

using StringMap = std::map<std::string, std::string>;

/// A tensor inside a SafetensorsFile, valid as long as the file object. `bytes` need not be aligned: copy them out.
struct SafetensorsView {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;  ///< {} is a scalar; extents of zero are legal
  std::span<const uint8_t> bytes;
};

struct SafetensorsReadOptions {
  Exit on_error = Exit::kCheckpoint;
  /// Refuse a file without checksums (a checkpoint of ours). Checksums that are present are always verified.
  bool require_checksums = false;
};

/// A file held in memory, checked in full when read.
class SafetensorsFile {
 public:
  /// Errors name the path, the tensor, and what was expected and given. Refused: a header that is too long, not JSON,
  /// or has duplicate keys; byte ranges that overlap, leave holes, or disagree with dtype and shape; a file longer or
  /// shorter than its tensors; a wrong or incomplete set of checksums; fp8 and smaller dtypes.
  static SafetensorsFile read(const std::filesystem::path& path, const SafetensorsReadOptions& options = {});
  static SafetensorsFile parse(Bytes bytes, const std::string& what, const SafetensorsReadOptions& options = {});

  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  /// `__metadata__` without the checksums.
  const StringMap& metadata() const { return metadata_; }
  /// Error(on_error) naming the key if it is absent.
  const std::string& metadata(const std::string& key) const;

  /// In the order of their bytes.
  const std::vector<SafetensorsView>& tensors() const { return tensors_; }
  const SafetensorsView* find(std::string_view name) const;  ///< null if absent
  /// Error(on_error) if it is absent or has another dtype or shape.
  const SafetensorsView& at(std::string_view name, ElementType type, std::span<const int64_t> shape) const;

 private:
  SafetensorsFile() = default;
  [[noreturn]] void fail(const std::string& message) const;
  class Header;

  Bytes bytes_;
  std::string what_;
  Exit on_error_ = Exit::kCheckpoint;
  StringMap metadata_;
  std::vector<SafetensorsView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

/// A tensor to be written; `data` is read during the call only.
struct SafetensorsTensor {
  std::string name;
  ElementType type = ElementType::kF32;
  std::vector<int64_t> shape;
  const void* data = nullptr;
};

/// Writes atomically. Like the reference writer it orders tensors by falling element size, then name, and pads the
/// header with spaces to a multiple of 8, so that every tensor is aligned. Same input, same bytes. Two tensors of one
/// name, an empty name, `__metadata__`, and metadata keys that begin with "crc32c" are Exit::kInternal.
/// Names and metadata must be UTF-8.
void write_safetensors(const std::filesystem::path& path, std::vector<SafetensorsTensor> tensors,
                       const StringMap& metadata, bool checksums = true, unsigned mode = 0644);

}  // namespace hourglass
