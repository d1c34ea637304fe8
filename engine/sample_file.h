// SPDX-License-Identifier: Apache-2.0
// Samples that stay in a file: rows of equal length, read where they are wanted.
#pragma once

#include <cstdint>
#include <filesystem>

namespace hourglass {

class SampleFile {
 public:
  /// `rows` rows of `row_bytes` from the beginning of the file. Throws Error(kData) for a file that cannot be opened.
  SampleFile(std::filesystem::path path, int64_t rows, int64_t row_bytes);
  ~SampleFile();
  SampleFile(const SampleFile&) = delete;
  SampleFile& operator=(const SampleFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int64_t rows() const { return rows_; }
  int64_t row_bytes() const { return row_bytes_; }

  /// Rows first .. first + count - 1. Any thread may call it. Throws Error(kData) naming the file.
  void read(int64_t first, int64_t count, void* to) const;

 private:
  std::filesystem::path path_;
  int64_t rows_, row_bytes_;
  int descriptor_;
};

}  // namespace hourglass
