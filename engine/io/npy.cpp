// SPDX-License-Identifier: Apache-2.0
#include "engine/io/npy.h"

#include <cstring>
#include <optional>
#include <string_view>

namespace hourglass {
namespace {

constexpr size_t kMaxHeaderBytes = 10000;
constexpr size_t kMaxRank = 8;

[[noreturn]] void refuse(const std::string& what, const std::string& message) {
  throw Error(Exit::kData, what + ": " + message);
}

struct Header {
  ElementType type;
  bool fortran_order;
  std::vector<int64_t> shape;
  size_t data_begin;
};

struct TypeCode {
  const char* code;  ///< without the byte order
  ElementType type;
};
constexpr TypeCode kTypeCodes[] = {{"b1", ElementType::kBool}, {"u1", ElementType::kU8},  {"i1", ElementType::kI8},
                                   {"u2", ElementType::kU16},  {"i2", ElementType::kI16}, {"f2", ElementType::kF16},
                                   {"u4", ElementType::kU32},  {"i4", ElementType::kI32}, {"f4", ElementType::kF32},
                                   {"u8", ElementType::kU64},  {"i8", ElementType::kI64}, {"f8", ElementType::kF64}};

ElementType element_type_of_descr(const std::string& descr, const std::string& what) {
  if (descr.find('O') != std::string::npos) refuse(what, "object arrays ('" + descr + "') are pickles: refused");
  if (!descr.empty() && descr[0] == '>') {
    refuse(what, "dtype '" + descr + "' is big-endian: expected little-endian (array.astype('<f4'), say)");
  }
  for (const TypeCode& entry : kTypeCodes) {
    const bool one_byte = element_bytes(entry.type) == 1;
    if (descr == std::string("<") + entry.code || (one_byte && descr == std::string("|") + entry.code)) {
      return entry.type;
    }
  }
  refuse(what, "dtype '" + descr + "' is not supported: expected |b1 |u1 |i1 <u2 <i2 <f2 <u4 <i4 <f4 <u8 <i8 <f8");
}

/// Reads the dict literal that NumPy writes: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& what) : text_(text), what_(what) {}

  void parse(Header& header) {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      const bool repeated =
          (key == "descr" && descr) || (key == "fortran_order" && fortran_order) || (key == "shape" && shape);
      if (repeated) fail("the key '" + key + "' is there twice");
      if (key == "descr") {
        descr = dtype();
      } else if (key == "fortran_order") {
        fortran_order = boolean();
      } else if (key == "shape") {
        shape = tuple();
      } else {
        fail("unknown key '" + key + "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (next_ != text_.size()) fail("text after the header's dictionary");
    if (!descr || !fortran_order || !shape) fail("expected the keys descr, fortran_order and shape");
    header.type = element_type_of_descr(*descr, what_);
    header.fortran_order = *fortran_order;
    header.shape = *shape;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { refuse(what_, "bad NPY header: " + message); }

  void skip_space() {
    while (next_ < text_.size() && (text_[next_] == ' ' || text_[next_] == '\n')) ++next_;
  }
  char peek() {
    skip_space();
    return next_ < text_.size() ? text_[next_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++next_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "' at byte " + std::to_string(next_) + " of the dictionary");
  }
  std::string string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("expected a string at byte " + std::to_string(next_));
    const size_t end = text_.find(quote, next_ + 1);
    if (end == std::string_view::npos) fail("a string has no end");
    const std::string value(text_.substr(next_ + 1, end - next_ - 1));
    next_ = end + 1;
    return value;
  }
  std::string dtype() {
    if (peek() == '[') fail("structured dtypes are not supported");
    return string();
  }
  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(next_, word.size()) == word) {
        next_ += word.size();
        return value;
      }
    }
    fail("fortran_order: expected True or False");
  }
  int64_t extent() {
    skip_space();
    const size_t begin = next_;
    int64_t value = 0;
    for (; next_ < text_.size() && text_[next_] >= '0' && text_[next_] <= '9'; ++next_) {
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[next_] - '0', &value)) {
        fail("an extent does not fit 63 bits");
      }
    }
    // As in Python, "03" is no number.
    if (next_ == begin || (text_[begin] == '0' && next_ > begin + 1))
      fail("shape: expected an extent at byte " + std::to_string(next_));
    return value;
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> extents;
    expect('(');
    while (!accept(')')) {
      extents.push_back(extent());
      if (extents.size() > kMaxRank) fail("more than " + std::to_string(kMaxRank) + " dimensions");
      if (!accept(',')) {
        // "(5)" is a number in parentheses, not a tuple of one.
        if (extents.size() == 1) fail("shape: expected a tuple");
        expect(')');
        break;
      }
    }
    return extents;
  }

  std::string_view text_;
  const std::string& what_;
  size_t next_ = 0;
};

Header parse_header(std::span<const uint8_t> bytes, const std::string& what) {
  static constexpr uint8_t kMagic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  if (bytes.size() < 8 || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) refuse(what, "not an NPY file");
  const int major = bytes[6], minor = bytes[7];
  if (major < 1 || major > 3 || minor != 0) {
    refuse(what, "NPY version " + std::to_string(major) + "." + std::to_string(minor) + ": expected 1.0, 2.0 or 3.0");
  }
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (bytes.size() < 8 + length_bytes) refuse(what, "truncated: no NPY header length");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= size_t{bytes[8 + i]} << (8 * i);
  if (length > kMaxHeaderBytes) {
    refuse(what,
           "NPY header of " + std::to_string(length) + " bytes: expected at most " + std::to_string(kMaxHeaderBytes));
  }
  Header header{};
  header.data_begin = 8 + length_bytes + length;
  if (bytes.size() < header.data_begin) {
    refuse(what, "truncated: the NPY header ends at byte " + std::to_string(header.data_begin) + ", the file has " +
                     std::to_string(bytes.size()));
  }
  HeaderParser({reinterpret_cast<const char*>(bytes.data()) + 8 + length_bytes, length}, what).parse(header);
  return header;
}

/// Column-major to row-major: walks the destination in order, with the source's stride of each dimension.
template <class T>
void transpose_from_fortran(const uint8_t* source, const std::vector<int64_t>& shape, uint8_t* destination) {
  const size_t rank = shape.size();
  std::vector<int64_t> index(rank, 0), stride(rank, 1);
  int64_t count = 1;
  for (size_t i = 0; i < rank; ++i) {
    stride[i] = count;
    count *= shape[i];
  }
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(destination + i * static_cast<int64_t>(sizeof(T)), source + offset * static_cast<int64_t>(sizeof(T)),
                sizeof(T));
    for (size_t d = rank; d-- > 0;) {
      offset += stride[d];
      if (++index[d] < shape[d]) break;
      offset -= stride[d] * shape[d];
      index[d] = 0;
    }
  }
}

void copy_in_c_order(const uint8_t* source, const Header& header, Bytes& destination) {
  if (destination.empty()) return;
  if (!header.fortran_order || header.shape.size() < 2) {
    std::memcpy(destination.data(), source, destination.size());
    return;
  }
  switch (element_bytes(header.type)) {
    case 1:
      return transpose_from_fortran<uint8_t>(source, header.shape, destination.data());
    case 2:
      return transpose_from_fortran<uint16_t>(source, header.shape, destination.data());
    case 4:
      return transpose_from_fortran<uint32_t>(source, header.shape, destination.data());
    default:
      return transpose_from_fortran<uint64_t>(source, header.shape, destination.data());
  }
}

template <class T>
void write_array(const std::filesystem::path& path, const char* descr, std::span<const T> values,
                 std::span<const int64_t> shape) {
  const int64_t bytes = checked_array_bytes(shape, element_type_of<T>());
  if (bytes < 0 || static_cast<size_t>(bytes) != values.size_bytes()) {
    throw Error(Exit::kInternal, path.string() + ": shape " + shape_text(shape) + " given for " +
                                     std::to_string(values.size()) + " elements");
  }
  std::string dictionary =
      std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': " + shape_text(shape) + ", }";
  // Magic, version and length are 10 bytes; the data begins at a multiple of 64, after a newline.
  dictionary.append(63 - (10 + dictionary.size()) % 64, ' ').push_back('\n');
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(dictionary.size() & 255);
  head += static_cast<char>(dictionary.size() >> 8);
  AtomicFile file(path);
  file.write(head.data(), head.size());
  file.write(dictionary.data(), dictionary.size());
  file.write(values.data(), values.size_bytes());
  file.commit();
}

}  // namespace

HostArray parse_npy(std::span<const uint8_t> bytes, const std::string& what, int64_t max_bytes) {
  const Header header = parse_header(bytes, what);
  const int64_t size = checked_array_bytes(header.shape, header.type);
  if (size < 0) refuse(what, "shape " + shape_text(header.shape) + " is too large");
  const size_t given = bytes.size() - header.data_begin;
  if (given != static_cast<size_t>(size)) {
    refuse(what, "shape " + shape_text(header.shape) + " of " + element_name(header.type) + " needs " +
                     std::to_string(size) + " bytes, the file holds " + std::to_string(given));
  }
  if (size > max_bytes) {
    throw Error(Exit::kDevice, what + ": the array needs " + std::to_string(size) + " bytes of memory, " +
                                   std::to_string(max_bytes) + " are allowed");
  }
  HostArray array{header.type, header.shape, Bytes(static_cast<size_t>(size))};
  copy_in_c_order(bytes.data() + header.data_begin, header, array.data);
  return array;
}

HostArray read_npy(const std::filesystem::path& path, int64_t max_bytes) {
  return parse_npy(read_file(path), path.string(), max_bytes);
}

void write_npy(const std::filesystem::path& path, std::span<const float> values, std::span<const int64_t> shape) {
  write_array(path, "<f4", values, shape);
}
void write_npy(const std::filesystem::path& path, std::span<const int32_t> values, std::span<const int64_t> shape) {
  write_array(path, "<i4", values, shape);
}
void write_npy(const std::filesystem::path& path, std::span<const int64_t> values, std::span<const int64_t> shape) {
  write_array(path, "<i8", values, shape);
}
void write_npy(const std::filesystem::path& path, std::span<const uint8_t> values, std::span<const int64_t> shape) {
  write_array(path, "|u1", values, shape);
}

}  // namespace hourglass
