// SPDX-License-Identifier: Apache-2.0
// The folder of PNGs, and the resizing of images.
#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "engine/dataset_files.h"
#include "engine/io/checksum.h"
#include "engine/io/files.h"
#include "engine/io/png.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

bool is_png(const std::string& path) {
  std::string ending = fs::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".png";
}

// A PNG of the folder: its path below the folder, its split, and its class or "".
struct Entry {
  std::string path;
  bool test = false;
  std::string label;
};

struct Listing {
  std::vector<Entry> entries;
  bool split = false;  // train/ and test/ both hold PNGs
  int64_t ignored = 0;
};

bool below(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }

Listing list_pngs(const fs::path& folder) {
  const std::vector<std::string> files = list_files(folder);
  std::vector<std::string> pngs;
  std::copy_if(files.begin(), files.end(), std::back_inserter(pngs), is_png);
  const auto holds = [&](const char* part) {
    return std::any_of(pngs.begin(), pngs.end(), [&](const std::string& path) { return below(path, part); });
  };
  Listing listing;
  listing.split = holds("train") && holds("test");
  for (const std::string& path : pngs) {
    Entry entry{path, listing.split && below(path, "test"), ""};
    if (listing.split && !entry.test && !below(path, "train")) continue;
    const size_t start = listing.split ? path.find('/') + 1 : 0;
    const size_t end = path.find('/', start);
    if (end != std::string::npos) entry.label = path.substr(start, end - start);
    listing.entries.push_back(entry);
  }
  listing.ignored = static_cast<int64_t>(files.size() - listing.entries.size());
  return listing;
}

std::string size_text(const Image& image) { return std::to_string(image.width) + " x " + std::to_string(image.height); }

// Reads the files one after the other into the store of a data set.
class PngReader {
 public:
  PngReader(const fs::path& folder, const DataOptions& options, size_t files)
      : folder_(folder), options_(options), files_(files) {}

  // False for a broken file that was left out.
  bool read(const std::string& path) {
    const fs::path full = folder_ / path;
    Image image;
    bool alpha = false;
    try {
      const Bytes bytes = read_file(full);
      list_ += path + " " + sha256(bytes) + "\n";
      image = parse_png(bytes, full.string(), &alpha);
    } catch (const Error& error) {
      if (error.exit() != Exit::kData) throw;
      if (!options_.skip_bad)
        throw Error(Exit::kData, error.what() + std::string("; --skip-bad leaves broken files out"));
      if (data_.skipped++ == 0) first_bad_ = error.what();
      list_ += path + " broken\n";
      return false;
    }
    alpha_dropped_ += alpha;
    append(image, path);
    ++data_.files;
    return true;
  }

  Dataset finish() {
    if (data_.files == 0) {
      throw Error(Exit::kData,
                  folder_.string() + ": all " + std::to_string(files_) + " PNG files are broken; first: " + first_bad_);
    }
    if (data_.skipped > 0) {
      data_.notices.push_back("left out " + std::to_string(data_.skipped) + " of " + std::to_string(files_) +
                              " files that cannot be read; first: " + first_bad_);
    }
    if (alpha_dropped_ > 0) {
      data_.notices.push_back("dropped the alpha channel of " + std::to_string(alpha_dropped_) + " images");
    }
    if (widened_) data_.notices.push_back("gray and color images are mixed: the gray ones were made RGB");
    data_.checksum = sha256({reinterpret_cast<const uint8_t*>(list_.data()), list_.size()});
    return std::move(data_);
  }

 private:
  void append(const Image& image, const std::string& path) {
    if (data_.files == 0) {
      first_path_ = path;
      first_size_ = size_text(image);
      data_.height = options_.image_size ? options_.image_size : image.height;
      data_.width = options_.image_size ? options_.image_size : image.width;
      set_channels(image.channels);
    } else if (!options_.image_size && (image.height != data_.height || image.width != data_.width)) {
      throw Error(Exit::kData, folder_.string() + ": images of mixed sizes: " + first_path_ + " is " + first_size_ +
                                   ", " + path + " is " + size_text(image) +
                                   "; --image-size SIDE crops and resizes all of them");
    }
    if (image.channels > data_.channels) widen();
    const size_t at = data_.u8.size();
    const bool gray_into_rgb = image.channels < data_.channels;
    widened_ |= gray_into_rgb;
    const size_t pixels = static_cast<size_t>(data_.height) * static_cast<size_t>(data_.width);
    data_.u8.resize(at + pixels * static_cast<size_t>(image.channels));
    uint8_t* target = data_.u8.data() + at;
    if (options_.image_size) {
      crop_and_resize(image.pixels.data(), image.height, image.width, image.channels, options_.image_size, target);
    } else {
      std::copy(image.pixels.begin(), image.pixels.end(), target);
    }
    if (gray_into_rgb) spread(at, pixels);
  }

  void set_channels(int channels) {
    data_.channels = channels;
    check_memory(folder_.string(), static_cast<int64_t>(files_) * data_.dim(), options_.memory_limit,
                 "--image-size SIDE loads them smaller");
    data_.u8.reserve(files_ * static_cast<size_t>(data_.dim()));
  }

  // Turns the last `pixels` gray values, which begin at `at`, into as many RGB pixels.
  void spread(size_t at, size_t pixels) {
    data_.u8.resize(at + 3 * pixels);
    for (size_t i = pixels; i-- > 0;)
      std::fill_n(data_.u8.begin() + static_cast<ptrdiff_t>(at + 3 * i), 3, data_.u8[at + i]);
  }

  // The first RGB image after gray ones.
  void widen() {
    widened_ = true;
    set_channels(3);
    spread(0, data_.u8.size());
  }

  const fs::path& folder_;
  const DataOptions& options_;
  size_t files_;
  Dataset data_;
  std::string list_, first_path_, first_size_, first_bad_;
  int64_t alpha_dropped_ = 0;
  bool widened_ = false;
};

// Weights of the source pixels of each target pixel along one axis: the central `cropped` of `extent` source pixels
// onto `size` target pixels.
struct Coverage {
  int first;
  std::vector<float> weights;
};

std::vector<Coverage> coverage(int extent, int cropped, int size) {
  std::vector<Coverage> result;
  const double step = static_cast<double>(cropped) / size, offset = (extent - cropped) / 2;
  for (int i = 0; i < size; ++i) {
    const double from = offset + i * step, to = from + step;
    Coverage c{std::min(static_cast<int>(from), extent - 1), {}};
    for (int j = c.first; j < extent && (j < to || c.weights.empty()); ++j) {
      const double covered = std::min(to, j + 1.0) - std::max(from, static_cast<double>(j));
      c.weights.push_back(static_cast<float>(std::max(covered, 0.0) / step));
    }
    result.push_back(std::move(c));
  }
  return result;
}

}  // namespace

template <class T>
void crop_and_resize(const T* source, int height, int width, int channels, int size, T* target) {
  const int cropped = std::min(height, width);
  const std::vector<Coverage> rows = coverage(height, cropped, size), columns = coverage(width, cropped, size);
  for (const Coverage& row : rows) {
    for (const Coverage& column : columns) {
      for (int c = 0; c < channels; ++c) {
        float sum = 0;
        for (size_t i = 0; i < row.weights.size(); ++i) {
          const T* line = source + (int64_t{row.first} + static_cast<int64_t>(i)) * width * channels;
          for (size_t j = 0; j < column.weights.size(); ++j) {
            const int64_t x = column.first + static_cast<int64_t>(j);
            sum += row.weights[i] * column.weights[j] * static_cast<float>(line[x * channels + c]);
          }
        }
        if constexpr (std::is_same_v<T, uint8_t>) sum = std::min(sum + 0.5f, 255.f);
        *target++ = static_cast<T>(sum);
      }
    }
  }
}
template void crop_and_resize(const uint8_t*, int, int, int, int, uint8_t*);
template void crop_and_resize(const float*, int, int, int, int, float*);

Dataset load_png_folder(const fs::path& folder, const DataOptions& options) {
  const Listing listing = list_pngs(folder);
  if (listing.entries.empty()) {
    throw Error(Exit::kData,
                folder.string() +
                    ": expected PNG or IDX files, found none among its files (an .npy array is named by its own path)");
  }
  std::set<std::string> names;
  for (const Entry& entry : listing.entries) {
    if (!entry.label.empty()) names.insert(entry.label);
  }
  std::map<std::string, int32_t> classes;
  for (const std::string& name : names) classes.emplace(name, static_cast<int32_t>(classes.size()));

  PngReader reader(folder, options, listing.entries.size());
  std::vector<int32_t> labels, train, test;
  for (const Entry& entry : listing.entries) {
    if (!reader.read(entry.path)) continue;
    (entry.test ? test : train).push_back(static_cast<int32_t>(train.size() + test.size()));
    labels.push_back(entry.label.empty() ? -1 : classes.at(entry.label));
  }
  Dataset data = reader.finish();
  if (!classes.empty()) {
    data.labels = std::move(labels);
    data.label_names.assign(names.begin(), names.end());
  }
  if (listing.split) {
    data.train = std::move(train);
    data.test = std::move(test);
  }
  if (listing.ignored > 0) {
    data.notices.push_back("ignored " + std::to_string(listing.ignored) +
                           (listing.split ? " files outside train/ and test/ or not PNG" : " files that are not PNG"));
  }
  return data;
}

}  // namespace hourglass
