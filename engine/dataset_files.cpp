// SPDX-License-Identifier: Apache-2.0
#include "engine/dataset_files.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/buffer.h"
#include "engine/io/checksum.h"
#include "engine/io/files.h"
#include "engine/io/idx.h"
#include "engine/io/npy.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr const char* kArrayMemoryHint = "smaller images need less: a folder of images takes --image-size";

// Meaning of an array's extents; any other shape is an error that names `what`.
struct SampleShape {
  int64_t count;
  int height, width, channels;
  bool square_vector;  // (N, D) with D a square number: shown as an image
};

SampleShape sample_shape(const std::vector<int64_t>& shape, const std::string& what) {
  const auto fail = [&](const std::string& why) -> Error {
    return Error(Exit::kData, what + ": " + why + ", the array is " + shape_text(shape));
  };
  if (shape.size() < 2 || shape.size() > 4) throw fail("expected (N, D), (N, H, W) or (N, H, W, C)");
  int64_t dim = 1;
  for (size_t i = 1; i < shape.size(); ++i) {
    if (shape[i] < 1) throw fail("a sample has no element");
    dim = shape[i] > (int64_t{1} << 31) / dim ? int64_t{1} << 31 : dim * shape[i];
  }
  if (shape[0] < 1) throw fail("no samples");
  if (shape[0] > std::numeric_limits<int32_t>::max() || dim > std::numeric_limits<int32_t>::max()) {
    throw fail("at most 2^31 - 1 samples of as many elements are possible");
  }
  const auto extent = [&](size_t i) { return static_cast<int>(shape[i]); };
  if (shape.size() == 3) return {shape[0], extent(1), extent(2), 1, false};
  if (shape.size() == 4) {
    const auto like_channels = [](int64_t extent) { return extent == 1 || extent == 3; };
    if (like_channels(shape[1]) && !like_channels(shape[3])) {
      throw fail(
          "expected channels last, (N, H, W, C); this looks like (N, C, H, W): save it with np.transpose(a, (0, 2, 3, "
          "1))");
    }
    return {shape[0], extent(1), extent(2), extent(3), false};
  }
  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(shape[1]))));
  if (side > 1 && int64_t{side} * side == shape[1]) return {shape[0], side, side, 1, true};
  return {shape[0], 1, extent(1), 1, false};
}

// Index of the first value that is not finite or, if asked, not within 0..1; -1 if there is none.
int64_t first_bad(std::span<const float> values, bool unit_range) {
  for (size_t i = 0; i < values.size(); ++i) {
    const float v = values[i];
    if (!(unit_range ? v >= 0 && v <= 1 : std::isfinite(v))) return static_cast<int64_t>(i);
  }
  return -1;
}

void check_values(const Dataset& data, std::span<const float> values, bool unit_range, const std::string& what) {
  const int64_t bad = first_bad(values, unit_range);
  if (bad < 0) return;
  const float v = values[static_cast<size_t>(bad)];
  std::string message = what + ": element " + std::to_string(bad % data.dim()) + " of sample " +
                        std::to_string(bad / data.dim()) + " is " + std::to_string(v);
  if (!std::isfinite(v)) throw Error(Exit::kData, message + "; expected finite values");
  throw Error(Exit::kData, message + "; expected values within 0..1 (" + (v > 1 ? "store 0..255 as uint8, or " : "") +
                               "a run of --likelihood gaussian without --binarize and --corrupt takes others)");
}

// Appends an array's samples to the data set; the first array decides shape and element type.
int64_t append_samples(Dataset& data, HostArray array, bool unit_range, const std::string& what) {
  const SampleShape shape = sample_shape(array.shape, what);
  const bool bytes = array.type == ElementType::kU8;
  if (!bytes && array.type != ElementType::kF32 && array.type != ElementType::kF64) {
    throw Error(Exit::kData,
                what + ": expected uint8 (0..255), float32 or float64, the array is " + element_name(array.type));
  }
  const bool first = data.dim() == 0;
  if (first) {
    data.height = shape.height, data.width = shape.width, data.channels = shape.channels;
    if (shape.square_vector) {
      data.notices.push_back("rows of " + std::to_string(data.dim()) + " values are shown as images of " +
                             std::to_string(shape.height) + " x " + std::to_string(shape.width));
    }
  }
  if (shape.height != data.height || shape.width != data.width || shape.channels != data.channels ||
      (!first && bytes != !data.u8.empty())) {
    throw Error(Exit::kData, what + ": " + shape_text(array.shape) + " of " + element_name(array.type) +
                                 " does not match the training images, " + std::to_string(data.height) + " x " +
                                 std::to_string(data.width) + " x " + std::to_string(data.channels) + " of " +
                                 (data.u8.empty() ? "f32" : "u8"));
  }
  if (bytes) {
    if (first)
      data.u8 = std::move(array.data);
    else
      data.u8.insert(data.u8.end(), array.data.begin(), array.data.end());
    return shape.count;
  }
  std::vector<float> values = to_float(array);
  check_values(data, values, unit_range, what);
  if (first) {
    data.f32 = std::move(values);
  } else {
    data.f32.insert(data.f32.end(), values.begin(), values.end());
  }
  return shape.count;
}

void append_labels(Dataset& data, const HostArray& array, int64_t expected, const std::string& what) {
  if (array.shape.size() != 1 || array.shape[0] != expected) {
    throw Error(Exit::kData, what + ": expected one label for each of " + std::to_string(expected) +
                                 " samples, the array is " + shape_text(array.shape));
  }
  for (const int64_t label : to_int64(array, what)) {
    if (label < 0 || label > std::numeric_limits<int32_t>::max()) {
      throw Error(Exit::kData, what + ": expected labels from 0, found " + std::to_string(label));
    }
    data.labels.push_back(static_cast<int32_t>(label));
  }
}

// An array of a file, with the memory error completed by a way out, and the file's line in the checksum.
template <class Read>
HostArray read_array(Read read, const fs::path& path, int64_t limit, std::string& list) {
  std::error_code ignored;  // a file that is not there is read()'s error to report
  const uintmax_t size = fs::file_size(path, ignored);
  if (!ignored) check_memory(path.string(), static_cast<int64_t>(size), limit, kArrayMemoryHint);
  list += path.filename().string() + " " + sha256_of_file(path) + "\n";
  try {
    return read(path, limit);
  } catch (const Error& error) {
    if (error.exit() != Exit::kDevice) throw;
    throw Error(Exit::kDevice, std::string(error.what()) + "; " + kArrayMemoryHint);
  }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// "x-images-idx3-ubyte.gz" -> "x-labels-idx1-ubyte[.gz]" beside it, if it exists.
std::optional<fs::path> label_file(const fs::path& images) {
  const std::string name = images.filename().string();
  if (name.find("images") == std::string::npos) return std::nullopt;
  std::string labels = replaced(replaced(name, "images", "labels"), "idx3", "idx1");
  if (labels.ends_with(".gz")) labels.resize(labels.size() - 3);
  for (const char* ending : {"", ".gz"}) {
    const fs::path path = images.parent_path() / (labels + ending);
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return std::nullopt;
}

// Appends images [and labels] of one part. Whether there are labels must not change between parts.
void append_idx(Dataset& data, const fs::path& images, const DataOptions& options, std::string& list) {
  const int64_t before = data.size();
  const auto read = [](const fs::path& path, int64_t limit) { return read_idx(path, limit); };
  const int64_t used = before * data.dim();
  const int64_t count = append_samples(data, read_array(read, images, options.memory_limit - used, list),
                                       options.unit_range, images.string());
  ++data.files;
  const std::optional<fs::path> labels = label_file(images);
  if (!labels) return;
  const HostArray array = read_array(read, *labels, options.memory_limit, list);
  data.labels.resize(static_cast<size_t>(before), -1);
  append_labels(data, array, count, labels->string());
  ++data.files;
}

}  // namespace

void adapt_samples(Dataset& data, const DataOptions& options) {
  const int channels = options.channels ? options.channels : data.channels;
  const ImageSize size = options.image_size ? options.image_size : ImageSize{data.height, data.width};
  const bool resized = size != ImageSize{data.height, data.width};
  if (!resized && channels == data.channels) return;
  if (resized && data.height == 1) {
    throw Error(Exit::kUsage, "--image-size: the samples of " + options.spec + " are rows of " +
                                  std::to_string(data.dim()) + " values, not images");
  }
  if (channels != data.channels && data.channels != 1 && data.channels != 3) {
    throw Error(Exit::kUsage, "--channels: the images of " + options.spec + " have " + std::to_string(data.channels) +
                                  " channels; expected 1 or 3 to convert");
  }
  const int64_t count = data.size(), pixels = int64_t{data.height} * data.width;
  const int64_t from = data.dim(), to = int64_t{size.height} * size.width * channels;
  const auto adapt = [&](auto& store) {
    using T = typename std::remove_reference_t<decltype(store)>::value_type;
    check_memory(options.spec, count * to * static_cast<int64_t>(sizeof(T)), options.memory_limit,
                 "choose a smaller --image-size");
    std::vector<T> result(static_cast<size_t>(count * to)), image(static_cast<size_t>(pixels * channels));
    for (int64_t n = 0; n < count; ++n) {
      T* const target = resized ? image.data() : result.data() + n * to;
      convert_channels(store.data() + n * from, pixels, data.channels, channels, target);
      if (!resized) continue;
      crop_and_resize(target, data.height, data.width, channels, size, result.data() + n * to, options.crop);
    }
    store = std::move(result);
  };
  if (data.u8.empty())
    adapt(data.f32);
  else
    adapt(data.u8);
  data.height = size.height, data.width = size.width, data.channels = channels;
}

std::string checksum_of_list(const std::string& list) {
  return sha256({reinterpret_cast<const uint8_t*>(list.data()), list.size()});
}

void check_memory(const std::string& what, int64_t bytes, int64_t limit, const std::string& hint) {
  if (bytes <= limit) return;
  throw Error(Exit::kDevice, what + ": the samples need " + format_bytes(static_cast<size_t>(bytes)) +
                                 ", memory allows " + format_bytes(static_cast<size_t>(std::max<int64_t>(limit, 0))) +
                                 "; " + hint);
}

std::optional<IdxFiles> find_idx_files(const fs::path& folder) {
  IdxFiles found;
  std::vector<fs::path> others;
  std::error_code error;
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    const std::string name = path.filename().string();
    const bool idx = name.find("idx") != std::string::npos && name.find("labels") == std::string::npos;
    if (!idx || is_picture(path) || !fs::is_regular_file(path, error)) continue;
    const bool train = name.find("train") != std::string::npos;
    const bool test = name.find("t10k") != std::string::npos || name.find("test") != std::string::npos;
    fs::path& place = train ? found.train : found.test;
    if (!train && !test)
      others.push_back(path);
    else if (place.empty())
      place = path;
    // The same file plain and gzipped is one file; two different ones are a question.
    else if (place.string() + ".gz" != path.string())
      others.push_back(path);
  }
  if (others.empty() && !found.train.empty()) return found;
  if (others.size() == 1 && found.train.empty() && found.test.empty()) return IdxFiles{others[0], {}};
  if (others.empty() && found.test.empty()) return std::nullopt;
  throw Error(Exit::kData, folder.string() +
                               ": expected one IDX file of training images and at most one of test images; give the "
                               "path of the file instead of the folder");
}

Dataset load_idx(const IdxFiles& files, const DataOptions& options) {
  Dataset data;
  std::string list;
  append_idx(data, files.train, options, list);
  if (!files.test.empty()) {
    const int64_t train = data.size();
    append_idx(data, files.test, options, list);
    for (int64_t i = 0; i < data.size(); ++i) (i < train ? data.train : data.test).push_back(static_cast<int32_t>(i));
  }
  if (!data.labels.empty()) data.labels.resize(static_cast<size_t>(data.size()), -1);
  data.checksum = checksum_of_list(list);
  adapt_samples(data, options);
  return data;
}

Dataset load_npy(const fs::path& path, const DataOptions& options) {
  Dataset data;
  std::string list;
  const auto read = [](const fs::path& file, int64_t limit) { return read_npy(file, limit); };
  const int64_t count =
      append_samples(data, read_array(read, path, options.memory_limit, list), options.unit_range, path.string());
  data.files = 1;
  const fs::path labels = path.parent_path() / (path.stem().string() + "-labels.npy");
  std::error_code ignored;
  if (fs::is_regular_file(labels, ignored)) {
    append_labels(data, read_array(read, labels, options.memory_limit, list), count, labels.string());
    ++data.files;
  }
  data.checksum = checksum_of_list(list);
  adapt_samples(data, options);
  return data;
}

}  // namespace hourglass
