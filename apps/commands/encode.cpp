// SPDX-License-Identifier: Apache-2.0
// hourglass encode RUN: images as codes in a file, what they cost in bits, and what they lose.
#include <algorithm>
#include <bit>
#include <cmath>

#include "apps/codes_file.h"
#include "apps/commands.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "engine/ops.h"
#include "models/evaluation.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

fs::path output_path(const RunSource& source, const EncodeOptions& options) {
  if (options.out.empty()) return source.folder("codes") / ("codes-" + options.split + ".npy");
  if (fs::path(options.out).extension() == ".npy") return options.out;
  throw Error(Exit::kUsage, "--out expects a file that ends in .npy, given " + options.out);
}

struct Encoded {
  Codes codes;
  Distortion sums;
};

Encoded encode_split(RunSource& source, const Dataset& data, const std::vector<int32_t>& rows,
                     const EncodeOptions& options) {
  Encoded all;
  Progress progress(!options.quiet, "encode", static_cast<int64_t>(rows.size()));
  for (size_t first = 0; first < rows.size(); first += static_cast<size_t>(options.batch)) {
    const size_t count = std::min(static_cast<size_t>(options.batch), rows.size() - first);
    Matrix x;
    x.rows = static_cast<int64_t>(count);
    x.cols = data.dim();
    x.values = data.images({rows.data() + first, count});
    const Codes codes = encode(source.model(), x);
    const Distortion lost = distortion(x, decode(source.model(), codes, 0, codes.n));
    all.sums.mse += lost.mse * static_cast<double>(count);
    all.sums.psnr += lost.psnr * static_cast<double>(count);
    all.codes.append(codes);
    progress.update(all.codes.n, "images");
  }
  return all;
}

/// Bits an image: by codes of one length, and by an ideal entropy coder that knows how often each code is used.
void add_rate(const ModelConfig& config, const Codes& codes, Json& facts) {
  std::vector<int64_t> usage(static_cast<size_t>(config.quantizer.codes));
  for (const int32_t code : codes.indices) ++usage[static_cast<size_t>(code)];
  const double positions = config.code_grid().height * config.code_grid().width;
  const double bits = positions * std::bit_width(static_cast<uint32_t>(config.quantizer.codes - 1));
  const double entropy = positions * std::log2(perplexity(usage));
  facts.set("codebook_size", config.quantizer.codes);
  facts.set("positions", static_cast<int64_t>(positions));
  facts.set("bits_per_image", bits);
  facts.set("entropy_bits_per_image", entropy);
  facts.set("bits_per_pixel", bits / (config.height * config.width));
  facts.set("entropy_bits_per_pixel", entropy / (config.height * config.width));
  facts.set("codes_used",
            static_cast<int64_t>(std::count_if(usage.begin(), usage.end(), [](int64_t n) { return n > 0; })));
}

}  // namespace

int run_encode(const EncodeOptions& options) {
  RunSource source(options);
  const fs::path path = output_path(source, options);
  const Dataset data = source.load_data();
  std::vector<int32_t> rows = data.split(options.split);
  if (options.limit > 0 && static_cast<size_t>(options.limit) < rows.size())
    rows.resize(static_cast<size_t>(options.limit));
  const Encoded all = encode_split(source, data, rows, options);
  const double n = static_cast<double>(all.codes.n);
  Json facts = source.facts(data, all.codes.n);
  if (is_quantized(source.model())) add_rate(source.config(), all.codes, facts);
  facts.set("mse", all.sums.mse / n);
  facts.set("psnr", all.sums.psnr / n);
  const Json files = write_codes(path, all.codes, source.model(), facts);
  facts.set("files", files);
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
