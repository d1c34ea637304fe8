// SPDX-License-Identifier: Apache-2.0
// What the tests of file formats share: a folder that goes away, damaged copies.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "tests/harness.h"

namespace hourglass::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hourglass-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  size_t entries() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) ++count;
    return count;
  }

 private:
  std::filesystem::path path_;
};

using Parser = std::function<void(const std::vector<uint8_t>&)>;

/// Every proper prefix must be refused with this exit code and a message that names the source "sample".
inline void expect_prefixes_refused(const std::vector<uint8_t>& bytes, Exit exit, const Parser& parse) {
  for (size_t length = 0; length < bytes.size(); ++length) {
    SCOPED_TRACE("prefix of " + std::to_string(length) + " bytes");
    const std::vector<uint8_t> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    expect_error([&] { parse(prefix); }, exit, {"sample"});
  }
}

/// Flips each bit of bytes [begin, end) in turn. A flip is refused with this exit code and a message that names
/// "sample", or parse() returns, having made sure that what it read may pass; the number of those is returned.
inline int count_accepted_flips(std::vector<uint8_t> bytes, size_t begin, size_t end, Exit exit, const Parser& parse) {
  int accepted = 0;
  for (size_t bit = 8 * begin; bit < 8 * end; ++bit) {
    SCOPED_TRACE("flip of bit " + std::to_string(bit % 8) + " of byte " + std::to_string(bit / 8));
    const auto mask = static_cast<uint8_t>(1u << (bit % 8));
    bytes[bit / 8] ^= mask;
    try {
      parse(bytes);
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), static_cast<int>(exit)) << error.what();
      EXPECT_NE(std::string(error.what()).find("sample"), std::string::npos) << error.what();
    }
    bytes[bit / 8] ^= mask;
  }
  return accepted;
}

/// "0a ff" -> {10, 255}; spaces are skipped.
inline std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace hourglass::test
