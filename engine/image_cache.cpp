// SPDX-License-Identifier: Apache-2.0
#include "engine/image_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "engine/io/checksum.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr std::array<char, 8> kMagic = {'H', 'G', 'I', 'M', 'A', 'G', 'E', '1'};

struct Trailer {
  std::array<char, 8> magic = kMagic;
  uint64_t sample_bytes = 0, fact_bytes = 0;
  uint32_t sample_checksum = 0, fact_checksum = 0;
};
static_assert(sizeof(Trailer) == 32);

[[noreturn]] void refuse(const std::string& why) { throw Error(Exit::kData, why); }

const fs::path& with_folder(const fs::path& path) {
  if (path.has_parent_path()) make_folders(path.parent_path());
  return path;
}

uint32_t checksum_of(const SampleFile& bytes, int64_t count) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  std::vector<uint8_t> piece(static_cast<size_t>(std::min(kPiece, count)));
  uint32_t checksum = 0;
  for (int64_t at = 0; at < count; at += kPiece) {
    const int64_t length = std::min(kPiece, count - at);
    bytes.read(at, length, piece.data());
    checksum = crc32c(piece.data(), static_cast<size_t>(length), checksum);
  }
  return checksum;
}

Trailer read_trailer(const SampleFile& bytes, uint64_t size) {
  Trailer trailer;
  if (size < sizeof trailer) refuse("it is truncated");
  bytes.read(static_cast<int64_t>(size - sizeof trailer), sizeof trailer, &trailer);
  const uint64_t content = size - sizeof trailer;
  if (trailer.magic != kMagic) refuse("it is truncated, or no cache of images");
  if (trailer.fact_bytes > content || trailer.sample_bytes != content - trailer.fact_bytes) {
    refuse("its parts do not add up to its size");
  }
  return trailer;
}

Json read_facts(const SampleFile& bytes, const Trailer& trailer, const std::string& key) {
  std::string text(trailer.fact_bytes, ' ');
  bytes.read(static_cast<int64_t>(trailer.sample_bytes), static_cast<int64_t>(text.size()), text.data());
  if (crc32c(text.data(), text.size()) != trailer.fact_checksum) refuse("its description is damaged");
  Json facts = Json::parse(text, "its description");
  if (facts.get_string("key") != key) refuse("it is of other images");
  return facts;
}

ImageCache open_or_refuse(const fs::path& path, const std::string& key) {
  const uint64_t size = fs::file_size(path);
  const SampleFile bytes(path, static_cast<int64_t>(size), 1);
  const Trailer trailer = read_trailer(bytes, size);
  Json facts = read_facts(bytes, trailer, key);
  const int64_t row = facts.get_integer("height") * facts.get_integer("width") * facts.get_integer("channels");
  const int64_t rows = facts.get_integer("rows");
  if (row < 1 || rows < 1 || static_cast<int64_t>(trailer.sample_bytes) / row != rows ||
      trailer.sample_bytes % static_cast<uint64_t>(row) != 0) {
    refuse("its size is not that of its images");
  }
  if (checksum_of(bytes, static_cast<int64_t>(trailer.sample_bytes)) != trailer.sample_checksum) {
    refuse("its images are damaged");
  }
  return {std::make_shared<SampleFile>(path, rows, row), std::move(facts)};
}

}  // namespace

ImageCacheWriter::ImageCacheWriter(const fs::path& path) : file_(with_folder(path)) {}

void ImageCacheWriter::append(std::span<const uint8_t> samples) {
  file_.write(samples.data(), samples.size());
  checksum_ = crc32c(samples.data(), samples.size(), checksum_);
  bytes_ += samples.size();
}

void ImageCacheWriter::commit(Json facts, const std::string& key) {
  facts.set("key", key);
  const std::string text = facts.dump();
  Trailer trailer;
  trailer.sample_bytes = bytes_;
  trailer.fact_bytes = text.size();
  trailer.sample_checksum = checksum_;
  trailer.fact_checksum = crc32c(text.data(), text.size());
  file_.write(text.data(), text.size());
  file_.write(&trailer, sizeof trailer);
  file_.commit();
}

std::optional<ImageCache> open_image_cache(const fs::path& path, const std::string& key, std::string& why) {
  why.clear();
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    return open_or_refuse(path, key);
  } catch (const Error& error) {
    why = error.what();
  } catch (const fs::filesystem_error& error) {
    why = error.code().message();
  }
  return std::nullopt;
}

}  // namespace hourglass
