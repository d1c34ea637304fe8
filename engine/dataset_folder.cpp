// SPDX-License-Identifier: Apache-2.0
// The folder of images: listed, decoded on all threads, and kept in a cache.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "engine/buffer.h"
#include "engine/dataset_files.h"
#include "engine/image_cache.h"
#include "engine/io/checksum.h"
#include "engine/io/files.h"
#include "engine/io/jpeg.h"
#include "engine/io/png.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_pool.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

// An image of the folder: its path below the folder, its split, and its class or "".
struct Entry {
  std::string path;
  bool test = false;
  std::string label;
};

struct Listing {
  std::vector<Entry> entries;
  bool split = false;  // train/ and test/ both hold images
  int64_t ignored = 0;
};

bool below(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }

Listing list_images(const fs::path& folder) {
  const std::vector<std::string> files = list_files(folder);
  std::vector<std::string> images;
  std::copy_if(files.begin(), files.end(), std::back_inserter(images), is_picture);
  const auto holds = [&](const char* part) {
    return std::any_of(images.begin(), images.end(), [&](const std::string& path) { return below(path, part); });
  };
  Listing listing;
  listing.split = holds("train") && holds("test");
  for (const std::string& path : images) {
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

std::string size_text(int height, int width) { return std::to_string(width) + " x " + std::to_string(height); }

// A file as a worker leaves it.
struct Decoded {
  Image image;  // of the size asked for, if one was
  int stored_height = 0, stored_width = 0;
  bool alpha = false;
  std::string checksum;
  std::string broken;  // why it cannot be read; empty: it can
};

Image parse_image(const Bytes& bytes, const std::string& what, bool* alpha) {
  // By content: photographs are often misnamed.
  if (bytes.size() >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8) return parse_jpeg(bytes, what);
  return parse_png(bytes, what, alpha);
}

Image converted(Image image, const DataOptions& options) {
  const int channels = options.channels ? options.channels : image.channels;
  if (channels != image.channels) {
    const int64_t pixels = int64_t{image.height} * image.width;
    std::vector<uint8_t> other(static_cast<size_t>(pixels * channels));
    convert_channels(image.pixels.data(), pixels, image.channels, channels, other.data());
    image.pixels = std::move(other);
    image.channels = channels;
  }
  const ImageSize size = options.image_size;
  if (!size || size == ImageSize{image.height, image.width}) return image;
  Image resized{size.height, size.width, channels, {}};
  resized.pixels.resize(static_cast<size_t>(size.height) * static_cast<size_t>(size.width) *
                        static_cast<size_t>(channels));
  crop_and_resize(image.pixels.data(), image.height, image.width, channels, size, resized.pixels.data(), options.crop);
  return resized;
}

Decoded decode(const fs::path& path, const DataOptions& options) {
  Decoded result;
  try {
    const Bytes bytes = read_file(path);
    result.checksum = sha256(bytes);
    Image image = parse_image(bytes, path.string(), &result.alpha);
    result.stored_height = image.height;
    result.stored_width = image.width;
    result.image = converted(std::move(image), options);
  } catch (const Error& error) {
    if (error.exit() != Exit::kData) throw;
    result.broken = error.what();
  }
  return result;
}

/// Decodes all files of a listing, in its order, into memory or into a cache.
class FolderReader {
 public:
  FolderReader(const fs::path& folder, const Listing& listing, const DataOptions& options, const fs::path& cache)
      : folder_(folder), listing_(listing), options_(options), cache_(cache), pool_(options.threads) {
    ctx_.threads = &pool_;
  }

  /// What was read but the samples: extents, files, checksum, notices, rows, and the entries left out.
  Json read(std::vector<uint8_t>& samples, const std::string& key) {
    // A color image after gray ones begins it all again, once, with three channels.
    while (!read_all()) channels_ = 3;
    if (files_ == 0) {
      throw Error(Exit::kData, folder_.string() + ": all " + std::to_string(listing_.entries.size()) +
                                   " image files are broken; first: " + first_broken_);
    }
    const Json facts = describe();
    if (writer_) writer_->commit(facts, key);
    samples = std::move(samples_);
    return facts;
  }

 private:
  bool read_all() {
    height_ = width_ = 0;
    files_ = alpha_ = 0;
    widened_ = channels_ != 0;
    list_.clear();
    left_out_.clear();
    samples_.clear();
    writer_.reset();
    if (!cache_.empty()) writer_.emplace(cache_);
    constexpr size_t kAtOnce = 32;
    std::vector<Decoded> decoded;
    const size_t count = listing_.entries.size();
    for (size_t first = 0; first < count; first += kAtOnce) {
      decoded.assign(std::min(kAtOnce, count - first), {});
      parallel_for(ctx_, static_cast<int64_t>(decoded.size()), [&](int64_t i) {
        const size_t at = static_cast<size_t>(i);
        decoded[at] = decode(folder_ / listing_.entries[first + at].path, options_);
      });
      for (size_t i = 0; i < decoded.size(); ++i) {
        if (!take(decoded[i], first + i)) return false;
      }
    }
    return true;
  }

  /// False where it has more channels than those before.
  bool take(const Decoded& decoded, size_t entry) {
    const std::string& path = listing_.entries[entry].path;
    if (!decoded.broken.empty()) {
      if (!options_.skip_bad) throw Error(Exit::kData, decoded.broken + "; --skip-bad leaves broken files out");
      if (left_out_.empty()) first_broken_ = decoded.broken;
      left_out_.push_back(static_cast<int64_t>(entry));
      list_ += path + " broken\n";
      return true;
    }
    list_ += path + " " + decoded.checksum + "\n";
    const Image& image = decoded.image;
    if (files_ == 0) begin(decoded, path);
    check_size(decoded, path);
    if (image.channels > channels_) return false;
    widened_ |= image.channels < channels_;
    alpha_ += decoded.alpha;
    ++files_;
    append(image);
    return true;
  }

  void begin(const Decoded& first, const std::string& path) {
    first_path_ = path;
    height_ = first.image.height;
    width_ = first.image.width;
    if (channels_ == 0) channels_ = first.image.channels;
    if (writer_) return;
    const int64_t bytes = static_cast<int64_t>(listing_.entries.size()) * height_ * width_ * channels_;
    check_memory(folder_.string(), bytes, options_.memory_limit, "--image-size SIDE loads them smaller");
    samples_.reserve(static_cast<size_t>(bytes));
  }

  void check_size(const Decoded& decoded, const std::string& path) const {
    if (decoded.image.height == height_ && decoded.image.width == width_) return;
    throw Error(Exit::kData, folder_.string() + ": images of mixed sizes: " + first_path_ + " is " +
                                 size_text(height_, width_) + ", " + path + " is " +
                                 size_text(decoded.stored_height, decoded.stored_width) +
                                 "; --image-size SIDE crops and resizes all of them");
  }

  void append(const Image& image) {
    std::vector<uint8_t> wide;
    std::span<const uint8_t> pixels = image.pixels;
    if (image.channels < channels_) {
      wide.resize(3 * pixels.size());
      convert_channels(pixels.data(), static_cast<int64_t>(pixels.size()), 1, 3, wide.data());
      pixels = wide;
    }
    if (writer_) {
      writer_->append(pixels);
    } else {
      samples_.insert(samples_.end(), pixels.begin(), pixels.end());
    }
  }

  Json describe() const {
    Json notices = Json::array(), left_out = Json::array();
    const std::string count = std::to_string(left_out_.size());
    if (!left_out_.empty()) {
      notices.push_back("left out " + count + " of " + std::to_string(listing_.entries.size()) +
                        " files that cannot be read; first: " + first_broken_);
    }
    if (alpha_ > 0) notices.push_back("dropped the alpha channel of " + std::to_string(alpha_) + " images");
    if (widened_) notices.push_back("gray and color images are mixed: the gray ones were made RGB");
    for (const int64_t entry : left_out_) left_out.push_back(entry);
    return Json::object({{"height", height_},
                         {"width", width_},
                         {"channels", channels_},
                         {"rows", files_},
                         {"checksum", checksum_of_list(list_)},
                         {"left_out", left_out},
                         {"notices", notices}});
  }

  const fs::path& folder_;
  const Listing& listing_;
  const DataOptions& options_;
  const fs::path cache_;
  ThreadPool pool_;
  Context ctx_;
  std::vector<uint8_t> samples_;
  std::optional<ImageCacheWriter> writer_;
  int height_ = 0, width_ = 0, channels_ = 0;
  int64_t files_ = 0, alpha_ = 0;
  bool widened_ = false;
  std::vector<int64_t> left_out_;
  std::string list_, first_path_, first_broken_;
};

/// What the decoded images are made of: the files as the system knows them, and the options that change pixels.
std::string cache_key(const fs::path& folder, const Listing& listing, const DataOptions& options) {
  std::string text = "image-size " + to_text(options.image_size) + " crop " +
                     (options.crop == Crop::kCenter ? "center" : "none") + " channels " +
                     std::to_string(options.channels) + " skip-bad " + (options.skip_bad ? "yes" : "no") + "\n";
  for (const Entry& entry : listing.entries) {
    std::error_code ignored;
    const fs::path path = folder / entry.path;
    text += entry.path + " " + std::to_string(fs::file_size(path, ignored)) + " " +
            std::to_string(fs::last_write_time(path, ignored).time_since_epoch().count()) + "\n";
  }
  return checksum_of_list(text);
}

/// Opens the cache, or decodes the folder into it.
ImageCache cached(const fs::path& folder, const Listing& listing, const DataOptions& options,
                  std::vector<std::string>& notices) {
  const std::string key = cache_key(folder, listing, options);
  const fs::path path = options.cache_dir / ("images-" + key.substr(0, 16) + ".cache");
  std::string why;
  if (std::optional<ImageCache> cache = open_image_cache(path, key, why)) return std::move(*cache);
  if (!why.empty()) notices.push_back(path.string() + ": " + why + "; the images are decoded again");
  std::vector<uint8_t> none;
  try {
    FolderReader(folder, listing, options, path).read(none, key);
  } catch (const Error& error) {
    if (error.exit() != Exit::kIo) throw;
    throw Error(Exit::kIo, std::string(error.what()) +
                               "; --cache-dir FOLDER keeps the decoded images elsewhere, and "
                               "--cache-dir none in memory");
  }
  if (std::optional<ImageCache> cache = open_image_cache(path, key, why)) return std::move(*cache);
  throw Error(Exit::kIo, path.string() + ": just written, and " + (why.empty() ? "gone" : why));
}

void fill(Dataset& data, const Json& facts) {
  data.height = static_cast<int>(facts.get_integer("height"));
  data.width = static_cast<int>(facts.get_integer("width"));
  data.channels = static_cast<int>(facts.get_integer("channels"));
  data.checksum = facts.get_string("checksum");
  data.files = facts.get_integer("rows");
  data.skipped = static_cast<int64_t>(facts.at("left_out").elements().size());
  for (const Json& text : facts.at("notices").elements()) data.notices.push_back(text.as_string());
}

/// Into memory where they fit; else the samples stay in the cache.
void take_samples(Dataset& data, const ImageCache& cache, const DataOptions& options) {
  const int64_t bytes = cache.samples->rows() * cache.samples->row_bytes();
  if (bytes > options.memory_limit || (options.data_memory > 0 && bytes > options.data_memory)) {
    data.file = cache.samples;
    data.notices.push_back("the images, " + format_bytes(static_cast<size_t>(bytes)) + ", stay in " +
                           cache.samples->path().string() + " and are read as they are needed");
    return;
  }
  data.u8.resize(static_cast<size_t>(bytes));
  cache.samples->read(0, cache.samples->rows(), data.u8.data());
}

/// Labels, class names and splits, of the entries that were not left out.
void assign_entries(Dataset& data, const Listing& listing, const Json& facts) {
  std::set<std::string> names;
  for (const Entry& entry : listing.entries) {
    if (!entry.label.empty()) names.insert(entry.label);
  }
  std::map<std::string, int32_t> classes;
  for (const std::string& name : names) classes.emplace(name, static_cast<int32_t>(classes.size()));
  std::set<int64_t> left_out;
  for (const Json& entry : facts.at("left_out").elements()) left_out.insert(entry.as_integer());
  int32_t row = 0;
  for (size_t i = 0; i < listing.entries.size(); ++i) {
    if (left_out.contains(static_cast<int64_t>(i))) continue;
    const Entry& entry = listing.entries[i];
    if (!classes.empty()) data.labels.push_back(entry.label.empty() ? -1 : classes.at(entry.label));
    if (listing.split) (entry.test ? data.test : data.train).push_back(row);
    ++row;
  }
  data.label_names.assign(names.begin(), names.end());
}

}  // namespace

bool is_picture(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

Dataset load_image_folder(const fs::path& folder, const DataOptions& options) {
  const Listing listing = list_images(folder);
  if (listing.entries.empty()) {
    throw Error(Exit::kData, folder.string() +
                                 ": expected PNG, JPEG, IDX or CIFAR-10 files, found none among its files (an .npy "
                                 "array is named by its own path)");
  }
  Dataset data;
  Json facts;
  if (options.cache_dir.empty()) {
    facts = FolderReader(folder, listing, options, {}).read(data.u8, "");
    fill(data, facts);
  } else {
    const ImageCache cache = cached(folder, listing, options, data.notices);
    facts = cache.facts;
    fill(data, facts);
    take_samples(data, cache, options);
  }
  assign_entries(data, listing, facts);
  if (listing.ignored > 0) {
    data.notices.push_back(
        "ignored " + std::to_string(listing.ignored) +
        (listing.split ? " files outside train/ and test/ or not PNG or JPEG" : " files that are not PNG or JPEG"));
  }
  return data;
}

}  // namespace hourglass
