// SPDX-License-Identifier: Apache-2.0
#include "engine/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <list>

#include "engine/transfer.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace fs = std::filesystem;

std::vector<StateTensor> model_tensors(const Parameters& parameters) {
  const ElementType type = parameters.dtype() == Dtype::kF64 ? ElementType::kF64 : ElementType::kF32;
  std::vector<StateTensor> tensors;
  for (const Parameter& p : parameters.all())
    tensors.push_back({"model/" + p.name, type, extents(p.shape), p.var.data, parameters.device()});
  for (const State& s : parameters.states())
    tensors.push_back({"model/" + s.name, type, extents(s.shape), s.var.data, parameters.device()});
  return tensors;
}

namespace {

/// How to reach a tensor: device memory through the context, the host's directly.
Context context_of(const StateTensor& t, const Context& ctx) { return t.device == Device::kCpu ? Context{} : ctx; }

}  // namespace

void save_checkpoint(const fs::path& path, const std::vector<StateTensor>& tensors, StringMap metadata,
                     const Context& ctx) {
  metadata["format_version"] = std::to_string(kCheckpointFormat);
  std::vector<SafetensorsTensor> list;
  std::list<Bytes> copies;
  for (const StateTensor& t : tensors) {
    const void* data = t.data;
    if (t.device != Device::kCpu) {
      Bytes& copy = copies.emplace_back(static_cast<size_t>(checked_array_bytes(t.shape, t.type)));
      to_host(ctx, copy.data(), t.data, copy.size());
      data = copy.data();
    }
    list.push_back({t.name, t.type, t.shape, data});
  }
  write_safetensors(path, std::move(list), metadata);
}

SafetensorsFile open_checkpoint(const fs::path& path) {
  SafetensorsFile file = SafetensorsFile::read(path, {Exit::kCheckpoint, true});
  const std::string& text = file.metadata("format_version");
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1) {
    throw Error(Exit::kCheckpoint, path.string() + ": format_version expects a number, found \"" + text + "\"");
  }
  if (version > kCheckpointFormat) {
    throw Error(Exit::kCheckpoint, path.string() + ": written by a newer Hourglass (format " + text +
                                       "; this one reads up to " + std::to_string(kCheckpointFormat) + ")");
  }
  return file;
}

void restore(const SafetensorsFile& file, const std::vector<StateTensor>& tensors, const Context& ctx) {
  // All are checked before the first is written: a refused file changes nothing.
  for (const StateTensor& t : tensors) file.at(t.name, t.type, t.shape);
  for (const StateTensor& t : tensors) {
    const SafetensorsView& view = file.at(t.name, t.type, t.shape);
    to_device(context_of(t, ctx), t.data, view.bytes.data(), view.bytes.size());
  }
}

std::string checkpoint_name(int64_t step) {
  char name[64];
  std::snprintf(name, sizeof name, "step-%08lld.safetensors", static_cast<long long>(step));
  return name;
}

std::vector<fs::path> checkpoints_of(const fs::path& run) {
  const fs::path folder = run / "checkpoints";
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    if (name.rfind("step-", 0) == 0 && it->path().extension() == ".safetensors") paths.push_back(it->path());
  }
  const auto by_falling_step = [](const fs::path& a, const fs::path& b) {
    const std::string x = a.filename().string(), y = b.filename().string();
    return x.size() != y.size() ? x.size() > y.size() : x > y;
  };
  std::sort(paths.begin(), paths.end(), by_falling_step);
  if (fs::exists(folder / "latest", ignored)) {
    std::string latest;
    try {
      latest = read_text_file(folder / "latest", Exit::kCheckpoint, 4096);
    } catch (const Error&) {
      return paths;  // a damaged hint: the newest by name
    }
    while (!latest.empty() && (latest.back() == '\n' || latest.back() == '\r')) latest.pop_back();
    // Only a name of the folder's own listing is followed: a file never names a path.
    const auto found =
        std::find_if(paths.begin(), paths.end(), [&](const fs::path& p) { return p.filename() == latest; });
    if (found != paths.end()) std::rotate(paths.begin(), found, found + 1);
  }
  return paths;
}

FoundCheckpoint find_checkpoint(const fs::path& run_or_file) {
  std::error_code ignored;
  if (fs::is_regular_file(run_or_file, ignored)) return {run_or_file, open_checkpoint(run_or_file), {}};
  if (!fs::exists(run_or_file, ignored)) {
    throw Error(Exit::kCheckpoint, run_or_file.string() + ": no such run folder or checkpoint");
  }
  std::vector<std::string> notices;
  for (const fs::path& path : checkpoints_of(run_or_file)) {
    try {
      SafetensorsFile file = open_checkpoint(path);
      return {path, std::move(file), notices};
    } catch (const Error& error) {
      notices.push_back(std::string("passed over a checkpoint: ") + error.what());
    }
  }
  std::string message = run_or_file.string() + ": expected a run folder with a sound checkpoint, found none";
  for (const std::string& notice : notices) message += "\n  " + notice;
  throw Error(Exit::kCheckpoint, message);
}

}  // namespace hourglass
