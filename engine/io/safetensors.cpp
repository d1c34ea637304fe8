// SPDX-License-Identifier: Apache-2.0
#include "engine/io/safetensors.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "engine/io/checksum.h"
#include "engine/io/json.h"

namespace hourglass {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::string_view kMetadata = "__metadata__";
constexpr std::string_view kChecksum = "crc32c";              ///< of the length and the header
constexpr std::string_view kChecksumEntry = "\"crc32c\":\"";  ///< what stands before its digits
constexpr std::string_view kTensorChecksum = "crc32c/";       ///< + name: of the tensor's bytes
constexpr std::string_view kNoDigits = "00000000";

struct DtypeName {
  std::string_view name;
  ElementType type;
};
constexpr DtypeName kDtypes[] = {{"BOOL", ElementType::kBool}, {"U8", ElementType::kU8},   {"I8", ElementType::kI8},
                                 {"U16", ElementType::kU16},   {"I16", ElementType::kI16}, {"F16", ElementType::kF16},
                                 {"BF16", ElementType::kBF16}, {"U32", ElementType::kU32}, {"I32", ElementType::kI32},
                                 {"F32", ElementType::kF32},   {"U64", ElementType::kU64}, {"I64", ElementType::kI64},
                                 {"F64", ElementType::kF64}};

std::string_view dtype_name(ElementType type) {
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.type == type) return dtype.name;
  }
  throw Error(Exit::kInternal, "safetensors: element type out of range");
}

std::string hex(uint32_t value) {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", value);
  return digits;
}

bool is_checksum_key(std::string_view key) { return key == kChecksum || key.starts_with(kTensorChecksum); }

}  // namespace

/// The checks of a file, in the order in which its bytes can be trusted: length, header, tensors, checksums.
class SafetensorsFile::Header {
 public:
  Header(SafetensorsFile& file, bool require_checksums) : file_(file), require_checksums_(require_checksums) {}

  void read() {
    read_length();
    const Json header = Json::parse(text(), file_.what_, file_.on_error_);
    if (!header.is_object()) file_.fail("the safetensors header is not an object");
    for (const JsonMember& member : header.members()) {
      if (member.key == kMetadata) {
        read_metadata(member.value);
      } else {
        read_tensor(member.key, member.value);
      }
    }
    check_layout();
    for (size_t i = 0; i < file_.tensors_.size(); ++i) file_.index_.emplace(file_.tensors_[i].name, i);
    check_checksums();
  }

 private:
  std::string_view text() const { return {reinterpret_cast<const char*>(file_.bytes_.data()) + 8, length_}; }
  size_t buffer_bytes() const { return file_.bytes_.size() - 8 - length_; }

  void read_length() {
    if (file_.bytes_.size() < 8) file_.fail("truncated: a safetensors file has at least 8 bytes");
    uint64_t length = 0;
    std::memcpy(&length, file_.bytes_.data(), 8);
    if (length > kMaxHeaderBytes || length > file_.bytes_.size() - 8) {
      file_.fail("the safetensors header has " + std::to_string(length) + " bytes: expected at most " +
                 std::to_string(std::min<uint64_t>(kMaxHeaderBytes, file_.bytes_.size() - 8)) + " in a file of " +
                 std::to_string(file_.bytes_.size()));
    }
    length_ = static_cast<size_t>(length);
  }

  void read_metadata(const Json& metadata) {
    if (!metadata.is_object()) file_.fail("__metadata__ is not an object");
    for (const JsonMember& member : metadata.members()) {
      if (!member.value.is_string()) file_.fail("__metadata__ \"" + member.key + "\" is not a string");
      (is_checksum_key(member.key) ? checksums_ : file_.metadata_)[member.key] = member.value.as_string();
    }
  }

  ElementType element_type(const std::string& name, const std::string& dtype) const {
    for (const DtypeName& entry : kDtypes) {
      if (entry.name == dtype) return entry.type;
    }
    file_.fail("tensor " + name + ": dtype \"" + dtype + "\" is not supported");
  }

  void read_tensor(const std::string& name, const Json& json) {
    if (!json.is_object()) file_.fail("tensor " + name + " is not described by an object");
    if (json.members().size() != 3) file_.fail("tensor " + name + ": expected dtype, shape and data_offsets only");
    SafetensorsView view;
    view.name = name;
    view.type = element_type(name, json.get_string("dtype"));
    for (const Json& extent : json.at("shape").elements()) view.shape.push_back(extent.as_integer());
    const std::vector<Json>& offsets = json.at("data_offsets").elements();
    if (offsets.size() != 2) file_.fail("tensor " + name + ": data_offsets must have two numbers");
    const int64_t begin = offsets[0].as_integer(), end = offsets[1].as_integer();
    const int64_t size = checked_array_bytes(view.shape, view.type);
    if (begin < 0 || end < begin || static_cast<uint64_t>(end) > buffer_bytes()) {
      file_.fail("tensor " + name + ": bytes " + std::to_string(begin) + " to " + std::to_string(end) +
                 " lie outside the " + std::to_string(buffer_bytes()) + " bytes of data");
    }
    if (size != end - begin) {
      file_.fail("tensor " + name + ": shape " + shape_text(view.shape) + " of " + element_name(view.type) +
                 (size < 0 ? " is no size" : " needs " + std::to_string(size) + " bytes") + ", data_offsets give " +
                 std::to_string(end - begin));
    }
    view.bytes = std::span<const uint8_t>(file_.bytes_)
                     .subspan(8 + length_ + static_cast<size_t>(begin), static_cast<size_t>(size));
    file_.tensors_.push_back(std::move(view));
  }

  /// In the order of their bytes each tensor begins where the last one ended, and the last one ends the file.
  void check_layout() {
    std::vector<SafetensorsView>& tensors = file_.tensors_;
    // An empty tensor has the same first byte as its successor, and comes before it.
    std::stable_sort(tensors.begin(), tensors.end(), [](const SafetensorsView& a, const SafetensorsView& b) {
      return a.bytes.data() != b.bytes.data() ? a.bytes.data() < b.bytes.data() : a.bytes.size() < b.bytes.size();
    });
    const uint8_t* expected = file_.bytes_.data() + 8 + length_;
    for (const SafetensorsView& tensor : tensors) {
      if (tensor.bytes.data() != expected) {
        file_.fail("tensor " + tensor.name + (tensor.bytes.data() < expected ? " overlaps" : " leaves a hole after") +
                   " the tensor before it");
      }
      expected += tensor.bytes.size();
    }
    const auto unused = file_.bytes_.data() + file_.bytes_.size() - expected;
    if (unused != 0) file_.fail(std::to_string(unused) + " bytes after the last tensor");
  }

  void check_checksums() {
    if (checksums_.empty() && !require_checksums_) return;
    check_header_checksum();
    if (checksums_.size() != file_.tensors_.size() + 1) file_.fail("there is not one checksum for each tensor");
    for (const SafetensorsView& tensor : file_.tensors_) {
      const auto stored = checksums_.find(std::string(kTensorChecksum) + tensor.name);
      if (stored == checksums_.end()) file_.fail("tensor " + tensor.name + " has no checksum");
      const std::string computed = hex(crc32c(tensor.bytes.data(), tensor.bytes.size()));
      if (stored->second != computed) {
        file_.fail("tensor " + tensor.name + " is damaged: checksum " + computed + ", expected " + stored->second);
      }
    }
  }

  void check_header_checksum() {
    const auto stored = checksums_.find(std::string(kChecksum));
    if (stored == checksums_.end()) file_.fail("the header has no checksum");
    std::string blanked(reinterpret_cast<const char*>(file_.bytes_.data()), 8 + length_);
    const size_t at = blanked.find(std::string(kChecksumEntry) + stored->second);
    if (stored->second.size() != kNoDigits.size() || at == std::string::npos) {
      file_.fail("the header's checksum is not as this format writes it");
    }
    blanked.replace(at + kChecksumEntry.size(), kNoDigits.size(), kNoDigits);
    const std::string computed = hex(crc32c(blanked.data(), blanked.size()));
    if (computed != stored->second) {
      file_.fail("the header is damaged: checksum " + computed + ", expected " + stored->second);
    }
  }

  SafetensorsFile& file_;
  const bool require_checksums_;
  size_t length_ = 0;
  StringMap checksums_;
};

void SafetensorsFile::fail(const std::string& message) const { throw Error(on_error_, what_ + ": " + message); }

SafetensorsFile SafetensorsFile::parse(Bytes bytes, const std::string& what, const SafetensorsReadOptions& options) {
  SafetensorsFile file;
  file.bytes_ = std::move(bytes);
  file.what_ = what;
  file.on_error_ = options.on_error;
  Header(file, options.require_checksums).read();
  return file;
}

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& path, const SafetensorsReadOptions& options) {
  return parse(read_file(path, options.on_error), path.string(), options);
}

const std::string& SafetensorsFile::metadata(const std::string& key) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end()) fail("__metadata__ has no \"" + key + "\"");
  return entry->second;
}

const SafetensorsView* SafetensorsFile::find(std::string_view name) const {
  const auto entry = index_.find(name);
  return entry == index_.end() ? nullptr : &tensors_[entry->second];
}

const SafetensorsView& SafetensorsFile::at(std::string_view name, ElementType type,
                                           std::span<const int64_t> shape) const {
  const SafetensorsView* view = find(name);
  if (!view) fail("there is no tensor " + std::string(name));
  if (view->type != type || !std::equal(shape.begin(), shape.end(), view->shape.begin(), view->shape.end())) {
    fail("tensor " + std::string(name) + ": expected " + element_name(type) + " " + shape_text(shape) + ", it is " +
         element_name(view->type) + " " + shape_text(view->shape));
  }
  return *view;
}

namespace {

size_t bytes_of(const SafetensorsTensor& tensor) {
  return static_cast<size_t>(checked_array_bytes(tensor.shape, tensor.type));
}

void check_before_writing(const std::string& what, const std::vector<SafetensorsTensor>& tensors,
                          const StringMap& metadata) {
  std::map<std::string_view, int> uses;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.name.empty() || tensor.name == kMetadata || ++uses[tensor.name] > 1) {
      throw Error(Exit::kInternal, what + ": tensor name \"" + tensor.name + "\" is reserved or used twice");
    }
    if (checked_array_bytes(tensor.shape, tensor.type) < 0) {
      throw Error(Exit::kInternal, what + ": tensor " + tensor.name + ": shape " + shape_text(tensor.shape));
    }
  }
  for (const auto& [key, value] : metadata) {
    if (is_checksum_key(key)) throw Error(Exit::kInternal, what + ": metadata key " + key + " is reserved");
  }
}

std::string header_text(const std::vector<SafetensorsTensor>& tensors, const StringMap& metadata, bool checksums) {
  Json header = Json::object();
  Json strings = Json::object();
  if (checksums) strings.set(kChecksum, kNoDigits);
  for (const auto& [key, value] : metadata) strings.set(key, value);
  if (checksums) {
    for (const SafetensorsTensor& tensor : tensors) {
      strings.set(std::string(kTensorChecksum) + tensor.name, hex(crc32c(tensor.data, bytes_of(tensor))));
    }
  }
  if (!strings.members().empty()) header.set(kMetadata, strings);
  uint64_t offset = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    Json shape = Json::array();
    for (const int64_t extent : tensor.shape) shape.push_back(extent);
    const uint64_t end = offset + bytes_of(tensor);
    header.set(tensor.name, Json::object({{"dtype", dtype_name(tensor.type)},
                                          {"shape", shape},
                                          {"data_offsets", Json::array({offset, end})}}));
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<SafetensorsTensor> tensors,
                       const StringMap& metadata, bool checksums, unsigned mode) {
  check_before_writing(path.string(), tensors, metadata);
  std::sort(tensors.begin(), tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
    const size_t a_bytes = element_bytes(a.type), b_bytes = element_bytes(b.type);
    return a_bytes != b_bytes ? a_bytes > b_bytes : a.name < b.name;
  });
  const std::string text = header_text(tensors, metadata, checksums);
  std::string head(8, '\0');
  const uint64_t length = text.size();
  std::memcpy(head.data(), &length, 8);
  head += text;
  if (checksums) {
    // The header's own checksum is the first thing in it: {"__metadata__":{"crc32c":"........"
    const size_t at = head.find(kChecksumEntry) + kChecksumEntry.size();
    head.replace(at, kNoDigits.size(), hex(crc32c(head.data(), head.size())));
  }
  AtomicFile file(path, mode);
  file.write(head.data(), head.size());
  for (const SafetensorsTensor& tensor : tensors) file.write(tensor.data, bytes_of(tensor));
  file.commit();
}

}  // namespace hourglass
