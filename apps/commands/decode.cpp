// SPDX-License-Identifier: Apache-2.0
// hourglass decode RUN: codes of a file back to images.
#include <algorithm>
#include <cstdio>

#include "apps/codes_file.h"
#include "apps/commands.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "engine/figure.h"
#include "engine/io/files.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

Image picture_of(const float* values, const ModelConfig& config) {
  Image image;
  image.height = config.height;
  image.width = config.width;
  image.channels = config.channels;
  for (int i = 0; i < config.pixels(); ++i) image.pixels.push_back(pixel_of(values[i]));
  return image;
}

void expect_pictures(const ModelConfig& config, const std::string& out) {
  if (int64_t{config.height} * config.width > kMaxImagePixels) {
    throw Error(Exit::kUsage, "--out " + out + ": expected a file that ends in .npy, since images of " +
                                  to_string(config.image()) + " are larger than a PNG may be here");
  }
  if (config.channels == 1 || config.channels == 3) return;
  throw Error(Exit::kUsage, "--out " + out + ": expected a file that ends in .npy, since images of " +
                                std::to_string(config.channels) + " channels are no PNGs");
}

/// "000041.png".
std::string picture_name(int64_t n) {
  char name[32];
  std::snprintf(name, sizeof name, "%06lld.png", static_cast<long long>(n));
  return name;
}

}  // namespace

int run_decode(const DecodeOptions& options) {
  if (options.codes.empty()) throw Error(Exit::kUsage, "decode expects --codes FILE.npy, given nothing");
  RunSource source(options);
  const ModelConfig& config = source.config();
  const Codes codes = read_codes(options.codes, source.model());
  const bool array = fs::path(options.out).extension() == ".npy";
  if (!array) expect_pictures(config, options.out);
  const fs::path out = array ? fs::path(options.out) : source.folder("decoded");
  Progress progress(!options.quiet, "decode", codes.n);
  std::vector<float> all;
  for (int64_t first = 0; first < codes.n; first += options.batch) {
    const Matrix y = decode(source.model(), codes, first, std::min<int64_t>(options.batch, codes.n - first));
    if (array) all.insert(all.end(), y.values.begin(), y.values.end());
    for (int64_t i = 0; i < y.rows && !array; ++i) {
      write_png(out / picture_name(first + i), picture_of(y.row(i), config));
    }
    progress.update(first + y.rows, "images");
  }
  if (array) {
    if (out.has_parent_path()) make_folders(out.parent_path());
    const int64_t shape[] = {codes.n, config.height, config.width, config.channels};
    write_npy(out, all, shape);
  }
  Json facts = source.facts();
  facts.set("codes", options.codes);
  facts.set("n", codes.n);
  facts.set("files", Json::array({out.string()}));
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
