// SPDX-License-Identifier: Apache-2.0
#include "engine/io/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace hourglass {
namespace {

constexpr size_t kMaxRank = 4;

[[noreturn]] void refuse(const std::string& what, const std::string& message) {
  throw Error(Exit::kData, what + ": " + message);
}

/// The bytes of a file from its beginning, whether they are packed or not.
class Source {
 public:
  virtual ~Source() = default;
  /// Fills `destination`; returns how many bytes there were.
  virtual size_t read(uint8_t* destination, size_t bytes) = 0;
  /// The most bytes that can still come: known before any of them is read.
  virtual uint64_t at_most() const = 0;
};

class PlainSource final : public Source {
 public:
  explicit PlainSource(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  size_t read(uint8_t* destination, size_t bytes) override {
    const size_t taken = std::min(bytes, bytes_.size());
    if (taken > 0) std::memcpy(destination, bytes_.data(), taken);
    bytes_ = bytes_.subspan(taken);
    return taken;
  }
  uint64_t at_most() const override { return bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
};

/// One gzip member. Its own length and CRC-32 are checked by zlib when the end is read.
class GzipSource final : public Source {
 public:
  GzipSource(std::span<const uint8_t> bytes, const std::string& what) : bytes_(bytes), what_(what) {
    constexpr int kGzipOnly = 15 + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw Error(Exit::kDevice, what + ": no memory to unpack it");
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  size_t read(uint8_t* destination, size_t bytes) override {
    size_t done = 0;
    // When all is delivered, one more call with room for a byte makes zlib read and check the trailer.
    while (done < bytes && !ended_) {
      refill();
      const size_t room = std::min<size_t>(bytes - done, std::numeric_limits<uInt>::max());
      stream_.next_out = destination + done;
      stream_.avail_out = static_cast<uInt>(room);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      const size_t got = room - stream_.avail_out;
      done += got;
      if (result == Z_STREAM_END) {
        ended_ = true;
        if (stream_.avail_in > 0 || !bytes_.empty()) refuse(what_, "bytes after the end of the gzip data");
      } else if (result == Z_BUF_ERROR || (result == Z_OK && got == 0 && stream_.avail_in == 0 && bytes_.empty())) {
        refuse(what_, "truncated gzip data");
      } else if (result != Z_OK) {
        refuse(what_, std::string("bad gzip data: ") + (stream_.msg ? stream_.msg : "damaged"));
      }
    }
    return done;
  }

  /// Deflate spends at least two bits on 258 bytes.
  uint64_t at_most() const override {
    return (uint64_t{bytes_.size()} + stream_.avail_in) * 1032 + (uint64_t{1} << 16);
  }

 private:
  void refill() {
    if (stream_.avail_in > 0) return;
    const size_t taken = std::min<size_t>(bytes_.size(), size_t{1} << 30);
    stream_.next_in = const_cast<Bytef*>(bytes_.data());
    stream_.avail_in = static_cast<uInt>(taken);
    bytes_ = bytes_.subspan(taken);
  }

  std::span<const uint8_t> bytes_;
  const std::string& what_;
  z_stream stream_{};
  bool ended_ = false;
};

ElementType element_type_of_code(uint8_t code, const std::string& what) {
  switch (code) {
    case 0x08:
      return ElementType::kU8;
    case 0x09:
      return ElementType::kI8;
    case 0x0B:
      return ElementType::kI16;
    case 0x0C:
      return ElementType::kI32;
    case 0x0D:
      return ElementType::kF32;
    case 0x0E:
      return ElementType::kF64;
    default:
      refuse(what, "IDX type " + std::to_string(code) + ": expected 8, 9, 11, 12, 13 or 14");
  }
}

HostArray read_header(Source& source, const std::string& what) {
  uint8_t magic[4];
  if (source.read(magic, 4) != 4 || magic[0] != 0 || magic[1] != 0) refuse(what, "not an IDX file, plain or gzipped (other data: an .npy file or a folder of PNGs)");
  HostArray array;
  array.type = element_type_of_code(magic[2], what);
  const size_t rank = magic[3];
  if (rank < 1 || rank > kMaxRank) {
    refuse(what, "IDX rank " + std::to_string(rank) + ": expected 1 to " + std::to_string(kMaxRank));
  }
  uint8_t extents[4 * kMaxRank];
  if (source.read(extents, 4 * rank) != 4 * rank) refuse(what, "truncated in the IDX header");
  for (size_t i = 0; i < rank; ++i) {
    const uint8_t* e = extents + 4 * i;
    array.shape.push_back(int64_t{e[0]} << 24 | int64_t{e[1]} << 16 | int64_t{e[2]} << 8 | int64_t{e[3]});
  }
  return array;
}

void swap_bytes(Bytes& data, size_t element) {
  if (element == 1) return;
  for (size_t i = 0; i < data.size(); i += element) std::reverse(data.data() + i, data.data() + i + element);
}

HostArray read_array(Source& source, const std::string& what, int64_t max_bytes) {
  HostArray array = read_header(source, what);
  const int64_t size = checked_array_bytes(array.shape, array.type);
  const std::string needed = "shape " + shape_text(array.shape) + " of " + element_name(array.type) + " needs ";
  if (size < 0 || static_cast<uint64_t>(size) > source.at_most()) {
    refuse(what, "truncated: " + needed + (size < 0 ? "more than 2^63" : std::to_string(size)) +
                     " bytes, the file holds at most " + std::to_string(source.at_most()));
  }
  if (size > max_bytes) {
    throw Error(Exit::kDevice, what + ": " + needed + std::to_string(size) + " bytes of memory, " +
                                   std::to_string(max_bytes) + " are allowed");
  }
  array.data.resize(static_cast<size_t>(size));
  const size_t got = source.read(array.data.data(), array.data.size());
  if (got != array.data.size()) {
    refuse(what, "truncated: " + needed + std::to_string(size) + " bytes, the file holds " + std::to_string(got));
  }
  uint8_t more;
  if (source.read(&more, 1) != 0) refuse(what, needed + std::to_string(size) + " bytes, the file holds more");
  swap_bytes(array.data, element_bytes(array.type));
  return array;
}

}  // namespace

HostArray parse_idx(std::span<const uint8_t> bytes, const std::string& what, int64_t max_bytes) {
  if (bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
    GzipSource source(bytes, what);
    return read_array(source, what, max_bytes);
  }
  PlainSource source(bytes);
  return read_array(source, what, max_bytes);
}

HostArray read_idx(const std::filesystem::path& path, int64_t max_bytes) {
  return parse_idx(read_file(path), path.string(), max_bytes);
}

}  // namespace hourglass
