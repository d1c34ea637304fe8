// SPDX-License-Identifier: Apache-2.0
#include "apps/loaded_run.h"

#include <algorithm>

#include "apps/facts.h"
#include "apps/run_folder.h"
#include "apps/terminal.h"
#include "kernels/base/error.h"
#include "kernels/base/permutation.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

Json metadata_json(const Inference& model, const char* key) {
  const std::string where = model.checkpoint().string() + ": " + key;
  const auto found = model.metadata().find(key);
  if (found == model.metadata().end()) {
    throw Error(Exit::kCheckpoint, where + ": missing; this checkpoint was not written by hourglass train");
  }
  return Json::parse(found->second, where, Exit::kCheckpoint);
}

/// The folder that RUN means: itself, the run that holds the checkpoint, or else the checkpoint's own folder.
fs::path home_of(const std::string& run) {
  const fs::path path = fs::path(run);
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return path;
  const fs::path folder = fs::absolute(path).parent_path();
  return is_run_folder(folder.parent_path()) ? folder.parent_path() : folder;
}

std::string size_text(int height, int width, int channels) {
  return std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
}

}  // namespace

LoadedRun::LoadedRun(const RunOptions& options)
    : options_(options), model_(Inference::load(options.run, {options.device, options.threads})) {
  for (const std::string& line : model_.notices()) notice(line);
  objective_ = metadata_json(model_, "objective");
  record_ = metadata_json(model_, "data");
}

const Dataset& LoadedRun::data() {
  if (dataset_.size() > 0) return dataset_;
  DataOptions data;
  data.spec = options_.data.empty() ? record_.get_string("data") : options_.data;
  data.data_dir = options_.data_dir;
  data.image_size = static_cast<int>(record_.get_integer("image_size"));
  data.test_fraction = record_.get_number("test_fraction");
  data.val_fraction = record_.get_number("val_fraction");
  data.skip_bad = record_.get_bool("skip_bad");
  data.unit_range = config().likelihood == LikelihoodKind::kBernoulli;
  dataset_ = load_dataset(data);
  for (const std::string& line : dataset_.notices) notice(line);
  const std::string& checksum = record_.get_string("checksum");
  if (options_.data.empty() && dataset_.checksum != checksum) {
    throw Error(Exit::kData, data.spec + ": these are not the data of the run any more, so its splits are lost: " +
                                 "expected checksum " + checksum + ", found " + dataset_.checksum + "; --data " +
                                 data.spec + " takes them as they are");
  }
  const ModelConfig& c = config();
  if (dataset_.height != c.height || dataset_.width != c.width || dataset_.channels != c.channels) {
    throw Error(Exit::kData, data.spec + ": the model expects images of " + size_text(c.height, c.width, c.channels) +
                                 ", given " + size_text(dataset_.height, dataset_.width, dataset_.channels));
  }
  return dataset_;
}

const std::vector<int32_t>& LoadedRun::split() { return data().split(options_.split); }

Matrix LoadedRun::chosen_images(int64_t n) {
  const std::vector<int32_t>& rows = split();
  const auto size = static_cast<uint32_t>(rows.size());
  std::vector<int32_t> chosen;
  for (uint32_t i = 0; i < size && i < n; ++i) {
    chosen.push_back(rows[permute(i, size, static_cast<uint32_t>(options_.seed), 0)]);
  }
  Matrix images;
  images.rows = static_cast<int64_t>(chosen.size());
  images.cols = config().pixels();
  images.values = data().images(chosen);
  return images;
}

fs::path LoadedRun::picture(const std::string& name) const {
  const fs::path out = options_.out;
  if (out.extension() == ".png") {
    if (out.has_parent_path()) make_folders(out.parent_path());
    return out;
  }
  const fs::path folder = out.empty() ? home_of(options_.run) / "figures" : out;
  make_folders(folder);
  return folder / name;
}

fs::path LoadedRun::folder(const std::string& name) const {
  const fs::path folder = options_.out.empty() ? home_of(options_.run) / name : fs::path(options_.out);
  make_folders(folder);
  return folder;
}

Json LoadedRun::facts() const {
  return Json::object({{"model", name_of(config().kind)},
                       {"data", options_.data.empty() ? record_.get_string("data") : options_.data},
                       {"split", options_.split},
                       {"checkpoint", model_.checkpoint().string()},
                       {"step", model_.step()}});
}

void print_answer(const RunOptions& options, const Json& facts) {
  if (options.json || !options.quiet) print_facts(facts, options.json);
}

}  // namespace hourglass
