// SPDX-License-Identifier: Apache-2.0
#include "apps/run_source.h"

#include "apps/facts.h"
#include "apps/run_folder.h"
#include "apps/run_setup.h"
#include "apps/terminal.h"
#include "engine/io/files.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

std::string size_text(int height, int width, int channels) {
  return std::to_string(height) + " x " + std::to_string(width) + " x " + std::to_string(channels);
}

}  // namespace

RunSource::RunSource(const RunOptions& options)
    : options_(options), model_(Inference::load(options.run, {options.device, options.threads})) {
  for (const std::string& line : model_.notices()) notice(line);
  if (!model_.runtime().warning().empty()) notice(model_.runtime().warning());
}

Json RunSource::metadata(const std::string& key) const {
  const std::string what = model_.checkpoint().string() + ": " + key;
  const auto found = model_.metadata().find(key);
  if (found == model_.metadata().end()) throw Error(Exit::kCheckpoint, what + ": not in the checkpoint");
  return Json::parse(found->second, what, Exit::kCheckpoint);
}

Dataset RunSource::load_data() const {
  const Json record = metadata("data");
  const std::string& trained_on = record.get_string("data");
  DataOptions data;
  data.spec = options_.data.empty() ? trained_on : options_.data;
  data.data_dir = options_.data_dir;
  const std::string& size = record.get_string("image_size");
  if (!parse_image_size(size, data.image_size)) {
    throw Error(Exit::kCheckpoint, options_.run + ": image_size: expected N or HxW, given " + size);
  }
  data.crop = crop_of(record.get_string("crop"));
  data.channels = channels_of(record.get_string("channels_option"));
  data.cache_dir = cache_folder(options_.cache_dir, run_folder());
  data.threads = options_.threads;
  data.data_memory = options_.data_memory.bytes;
  data.test_fraction = record.get_number("test_fraction");
  data.val_fraction = record.get_number("val_fraction");
  data.skip_bad = record.get_bool("skip_bad");
  data.unit_range = needs_unit_range(name_of(config().likelihood), objective());
  Dataset dataset = load_dataset(data);
  for (const std::string& line : dataset.notices) notice(line);
  const ModelConfig& c = config();
  if (dataset.height != c.height || dataset.width != c.width || dataset.channels != c.channels) {
    throw Error(Exit::kData, "--data " + data.spec + ": images of " +
                                 size_text(dataset.height, dataset.width, dataset.channels) + ", and the model of " +
                                 options_.run + " expects " + size_text(c.height, c.width, c.channels));
  }
  // The split is drawn from the list of images: on other ones, training images would count as test images.
  if (options_.data.empty() && dataset.checksum != record.get_string("checksum")) {
    throw Error(Exit::kData, data.spec + ": the data have changed since the training of " + options_.run +
                                 ": expected the checksum " + record.get_string("checksum") + ", given " +
                                 dataset.checksum + "; --data " + data.spec + " takes them as they are");
  }
  dataset.split(options_.split);
  return dataset;
}

fs::path RunSource::run_folder() const {
  std::error_code ignored;
  const fs::path run = options_.run;
  if (fs::is_directory(run, ignored)) return run;
  const fs::path beside = fs::absolute(run).lexically_normal().parent_path();
  return beside.filename() == "checkpoints" && is_run_folder(beside.parent_path()) ? beside.parent_path() : "";
}

fs::path RunSource::folder(const char* name) const {
  const fs::path folder = options_.out.empty() ? run_folder() / name : fs::path(options_.out);
  make_folders(folder);
  return folder;
}

fs::path RunSource::picture(const std::string& name) const {
  const fs::path out = options_.out;
  if (out.extension() != ".png") return folder("figures") / name;
  if (out.has_parent_path()) make_folders(out.parent_path());
  return out;
}

Corruption RunSource::corruption() const { return parse_corruption("corrupt", objective().get_string("corrupt")); }

Json RunSource::facts() const {
  return Json::object(
      {{"model", name_of(config().kind)}, {"checkpoint", model_.checkpoint().string()}, {"step", model_.step()}});
}

Json RunSource::facts(const Dataset& data, int64_t n) const {
  Json all =
      Json::object({{"model", name_of(config().kind)}, {"data", data.name}, {"split", options_.split}, {"n", n}});
  const Json model = facts();
  for (const JsonMember& member : model.members()) all.set(member.key, member.value);
  return all;
}

void show_facts(const RunOptions& options, const Json& facts) {
  if (options.json || !options.quiet) print_facts(facts, options.json);
}

}  // namespace hourglass
