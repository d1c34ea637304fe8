// SPDX-License-Identifier: Apache-2.0
// What the tests of data sets share: small files to load, and what holds for every data set.
#pragma once

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "engine/dataset.h"
#include "engine/io/files.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "tests/file_checks.h"

namespace hourglass::test {

inline Dataset load(const std::filesystem::path& path, DataOptions options = {}) {
  options.spec = path.string();
  return load_dataset(options);
}

// An IDX file of u8 whose elements count 0, 1, 2, ... from `first`.
inline void write_idx(const std::filesystem::path& path, const std::vector<uint32_t>& extents, int first = 0) {
  std::vector<uint8_t> bytes = {0, 0, 8, static_cast<uint8_t>(extents.size())};
  uint32_t count = 1;
  for (const uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(extent >> shift));
    count *= extent;
  }
  for (uint32_t i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(first + static_cast<int>(i)));
  write_file_atomic(path, bytes);
}

inline void write_gray(const std::filesystem::path& path, int height, int width, uint8_t value) {
  std::filesystem::create_directories(path.parent_path());
  write_png(path, {height, width, 1, std::vector<uint8_t>(static_cast<size_t>(height * width), value)});
}

inline void write_u8(const std::filesystem::path& path, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  std::vector<uint8_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), uint8_t{0});
  write_npy(path, values, shape);
}

inline bool noticed(const Dataset& data, const std::string& text) {
  return std::any_of(data.notices.begin(), data.notices.end(),
                     [&](const std::string& notice) { return notice.find(text) != std::string::npos; });
}

// Every row in exactly one list, each list ascending.
inline void expect_partition(const Dataset& data) {
  std::set<int32_t> rows;
  for (const auto* list : {&data.train, &data.val, &data.test}) {
    EXPECT_TRUE(std::is_sorted(list->begin(), list->end()));
    for (const int32_t row : *list) EXPECT_TRUE(rows.insert(row).second) << row;
  }
  ASSERT_EQ(static_cast<int64_t>(rows.size()), data.size());
  EXPECT_EQ(*rows.begin(), 0);
  EXPECT_EQ(*rows.rbegin(), data.size() - 1);
}

}  // namespace hourglass::test
