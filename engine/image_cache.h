// SPDX-License-Identifier: Apache-2.0
// The decoded images of a folder in one file, so that they are decoded once.
//
//   samples   (rows, H, W, C) u8, from the file's first byte
//   facts     a JSON object: key, height, width, channels, rows, and what else the writer was given
//   trailer   "HGIMAGE1", bytes of samples (u64), bytes of facts (u64), CRC-32C of samples (u32), CRC-32C of facts
//   (u32),
//             little-endian
//
// `key` names what the images were made of and how; a cache of another key is not taken.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/sample_file.h"

namespace hourglass {

/// Writes beside, and replaces the file in one step: a reader sees the whole old cache or the whole new one.
class ImageCacheWriter {
 public:
  /// Makes the folder. Throws Error(kIo).
  explicit ImageCacheWriter(const std::filesystem::path& path);
  void append(std::span<const uint8_t> samples);
  /// `facts` must have height, width, channels and rows.
  void commit(Json facts, const std::string& key);

 private:
  AtomicFile file_;
  uint64_t bytes_ = 0;
  uint32_t checksum_ = 0;
};

struct ImageCache {
  std::shared_ptr<const SampleFile> samples;
  Json facts;
};

/// Opens a cache and reads it once to see that it is whole. Nothing where it cannot be used, and `why`, empty where
/// there is no such file.
std::optional<ImageCache> open_image_cache(const std::filesystem::path& path, const std::string& key, std::string& why);

}  // namespace hourglass
