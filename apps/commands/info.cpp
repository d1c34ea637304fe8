// SPDX-License-Identifier: Apache-2.0
// hourglass info PATH: what a run, a checkpoint or a data set is made of.
#include <algorithm>
#include <filesystem>

#include "apps/commands.h"
#include "apps/facts.h"
#include "apps/run_folder.h"
#include "apps/terminal.h"
#include "engine/checkpoint.h"
#include "engine/dataset.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

/// Values of the metadata are texts; those that hold a JSON document (the model) are shown as what they mean.
Json metadata_value(const std::string& text) {
  try {
    return Json::parse(text, "metadata");
  } catch (const Error&) {
    return text;
  }
}

Json describe_checkpoint(const fs::path& path, const SafetensorsFile& file) {
  Json facts = Json::object({{"checkpoint", path.string()}});
  for (const auto& [key, text] : file.metadata()) facts.set(key, metadata_value(text));
  int64_t bytes = 0;
  Json tensors = Json::object();
  for (const SafetensorsView& tensor : file.tensors()) {
    bytes += static_cast<int64_t>(tensor.bytes.size());
    tensors.set(tensor.name, std::string(element_name(tensor.type)) + " " + shape_text(tensor.shape));
  }
  facts.set("bytes", bytes);
  facts.set("tensors", tensors);
  return facts;
}

Json describe_run(const fs::path& path) {
  const auto stored = [&](const char* name) {
    const fs::path file = path / name;
    std::error_code ignored;
    if (!fs::exists(file, ignored)) return Json();
    return Json::parse(read_text_file(file, Exit::kCheckpoint), file.string(), Exit::kCheckpoint);
  };
  Json facts = Json::object({{"kind", "run"}, {"path", path.string()}, {"run", stored("run.json")}});
  if (Json summary = stored("summary.json"); !summary.is_null()) facts.set("summary", std::move(summary));
  if (!checkpoints_of(path).empty()) {
    const FoundCheckpoint found = find_checkpoint(path);
    for (const std::string& text : found.notices) notice(text);
    facts.set("latest", describe_checkpoint(found.path, found.file));
  }
  return facts;
}

Json describe_data(const InfoOptions& options) {
  const Dataset data = load_dataset({.spec = options.path, .data_dir = options.data_dir, .unit_range = false});
  for (const std::string& text : data.notices) notice(text);
  Json facts = Json::object({{"kind", "data"},
                             {"path", options.path},
                             {"images", data.size()},
                             {"height", data.height},
                             {"width", data.width},
                             {"channels", data.channels},
                             {"stored_as", data.dtype() == Dtype::kF32 ? "f32" : "u8"},
                             {"train", static_cast<int64_t>(data.train.size())},
                             {"test", static_cast<int64_t>(data.test.size())},
                             {"files", data.files},
                             {"checksum", data.checksum}});
  if (!data.labels.empty()) {
    const int64_t classes = 1 + int64_t{*std::max_element(data.labels.begin(), data.labels.end())};
    facts.set("classes", classes);
    if (!data.label_names.empty()) {
      Json names = Json::array();
      for (const std::string& name : data.label_names) names.push_back(name);
      facts.set("class_names", names);
    }
  }
  return facts;
}

Json describe(const InfoOptions& options) {
  const fs::path path = options.path;
  if (is_run_folder(path)) return describe_run(path);
  if (path.extension() == ".safetensors") {
    Json facts = Json::object({{"kind", "checkpoint"}});
    const FoundCheckpoint found = find_checkpoint(path);
    const Json described = describe_checkpoint(found.path, found.file);
    for (const JsonMember& member : described.members()) facts.set(member.key, member.value);
    return facts;
  }
  return describe_data(options);
}

}  // namespace

int run_info(const InfoOptions& options) {
  const Json facts = describe(options);
  if (options.json || !options.quiet) print_facts(facts, options.json);
  return 0;
}

}  // namespace hourglass
