// SPDX-License-Identifier: Apache-2.0
// hourglass rate-distortion FOLDER: what the runs of a sweep cost in bits against what they lose, as a table and a
// plot.
#include <algorithm>
#include <filesystem>

#include "apps/commands.h"
#include "apps/facts.h"
#include "engine/io/files.h"
#include "engine/io/png.h"
#include "engine/plot.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

/// What encode wrote about each run of the folder that is a VQ-VAE's, by the bits of a pixel.
std::vector<Json> records_of(const fs::path& folder, const std::string& split) {
  std::vector<std::pair<double, Json>> found;
  std::error_code error;
  std::vector<fs::path> runs;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) runs.push_back(entry.path());
  if (error) throw Error(Exit::kData, folder.string() + ": " + error.message());
  std::sort(runs.begin(), runs.end());
  for (const fs::path& run : runs) {
    const fs::path file = run / "codes" / ("codes-" + split + ".json");
    if (!fs::exists(file, error)) continue;
    Json record = Json::parse(read_text_file(file), file.string());
    if (!record.find("bits_per_pixel")) continue;
    record.set("run", run.filename().string());
    const double rate = record.get_number("bits_per_pixel");
    found.emplace_back(rate, std::move(record));
  }
  if (found.empty()) {
    throw Error(Exit::kData, folder.string() + ": expected runs of the model vqvae with codes/codes-" + split +
                                 ".json, which hourglass encode RUN writes; found none");
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Json> records;
  for (auto& [rate, record] : found) records.push_back(std::move(record));
  return records;
}

LinePlot plot(const std::vector<Json>& records, const std::string& title, const char* key, const char* y_label) {
  LinePlot p;
  p.title = title;
  p.x_label = "bits per pixel";
  p.y_label = y_label;
  for (const auto& [name, rate] : {std::pair{"codes of one length", "bits_per_pixel"},
                                   std::pair{"entropy of the codes", "entropy_bits_per_pixel"}}) {
    Series s;
    s.name = name;
    s.markers = true;
    for (const Json& record : records) {
      s.x.push_back(record.get_number(rate));
      s.y.push_back(record.get_number(key));
    }
    p.series.push_back(std::move(s));
  }
  return p;
}

}  // namespace

int run_rate_distortion(const RateDistortionOptions& options) {
  const std::vector<Json> records = records_of(options.folder, options.split);
  Json runs = Json::object();
  for (const Json& record : records) {
    Json line = Json::object();
    for (const char* key : {"codebook_size", "bits_per_image", "entropy_bits_per_image", "mse", "psnr"}) {
      line.set(key, record.at(key));
    }
    runs.set(record.get_string("run"), line);
  }
  const fs::path picture =
      options.out.empty() ? fs::path(options.folder) / "rate-distortion.png" : fs::path(options.out);
  if (picture.has_parent_path()) make_folders(picture.parent_path());
  write_png(picture,
            draw_line_plots({plot(records, "Rate and distortion, " + options.split + " split", "psnr", "PSNR, dB"),
                             plot(records, "Mean squared error", "mse", "per pixel")}));
  const Json facts =
      Json::object({{"folder", options.folder}, {"runs", runs}, {"figures", Json::array({picture.string()})}});
  if (options.json || !options.quiet) print_facts(facts, options.json);
  return 0;
}

}  // namespace hourglass
