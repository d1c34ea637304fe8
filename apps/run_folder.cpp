// SPDX-License-Identifier: Apache-2.0
#include "apps/run_folder.h"

#include "engine/checkpoint.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = ".lock";
constexpr int64_t kMaxJsonBytes = int64_t{16} << 20, kMaxMetricsBytes = int64_t{4} << 30;

template <class F>
void for_each_entry(const fs::path& folder, F&& f) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) f(it->path());
  if (error) throw Error(Exit::kIo, folder.string() + ": cannot list the folder: " + error.message());
}

/// A file, or a folder and all in it; what is not there is no error.
void remove_path(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw Error(Exit::kIo, path.string() + ": cannot remove it: " + error.message());
}

/// Nothing in it but what a start that was killed at once leaves behind.
bool is_blank(const fs::path& folder) {
  bool blank = true;
  for_each_entry(folder, [&](const fs::path& path) {
    const std::string name = path.filename().string();
    if (name != kLock && name.rfind("run.json.tmp-", 0) != 0) blank = false;
  });
  return blank;
}

}  // namespace

bool is_run_folder(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path / "run.json", ignored)) return false;
  try {
    const Json record = Json::parse(read_text_file(path / "run.json", Exit::kData, kMaxJsonBytes), "run.json");
    const Json* program = record.is_object() ? record.find("program") : nullptr;
    return program && program->is_string() && program->as_string() == "hourglass";
  } catch (const Error&) {
    return false;
  }
}

void check_run_folder(const fs::path& path, IfExists if_exists) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  if (!fs::is_directory(path, ignored)) {
    throw Error(Exit::kUsage, path.string() + ": --out expects a folder, and this is a file");
  }
  if (is_blank(path)) return;
  if (!is_run_folder(path)) {
    throw Error(Exit::kUsage, path.string() + ": --out expects a new folder or one of Hourglass, and this one holds " +
                                  "other files (no run.json of Hourglass); --overwrite and --resume leave it alone");
  }
  if (if_exists == IfExists::kRefuse) {
    throw Error(Exit::kUsage, path.string() + ": this run folder exists; --resume goes on with it, --overwrite " +
                                  "removes it first, --out FOLDER takes another");
  }
}

RunFolder::RunFolder(fs::path path, IfExists if_exists) : path_(std::move(path)) {
  // Before the lock file is made: a folder that is refused is left exactly as it is.
  check_run_folder(path_, if_exists);
  make_folders(path_);
  lock_ = std::make_unique<FileLock>(path_ / kLock);
  check_run_folder(path_, if_exists);  // again: it may have changed before the lock was ours
  if (if_exists == IfExists::kOverwrite) empty();
  // From here on the folder is known as a run, whenever the process dies.
  if (!is_run_folder(path_)) write_record(Json::object());
  make_folders(path_ / "checkpoints");
  make_folders(figures());
  remove_temporary_files(path_);
  remove_temporary_files(path_ / "checkpoints");
  remove_temporary_files(figures());
}

void RunFolder::empty() {
  // run.json goes last, so that an interrupted removal can be taken up again.
  for_each_entry(path_, [&](const fs::path& path) {
    if (path.filename() != kLock && path.filename() != "run.json") remove_path(path);
  });
  remove_path(path_ / "run.json");
}

bool RunFolder::has_checkpoint() const { return !checkpoints_of(path_).empty(); }

std::optional<Json> RunFolder::summary() const {
  const fs::path path = path_ / "summary.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  return Json::parse(read_text_file(path, Exit::kCheckpoint, kMaxJsonBytes), path.string(), Exit::kCheckpoint);
}

void RunFolder::write_record(const Json& record) {
  Json marked = Json::object({{"program", "hourglass"}});
  for (const JsonMember& member : record.members()) marked.set(member.key, member.value);
  write_file_atomic(path_ / "run.json", marked.dump(2) + "\n");
}

void RunFolder::write_config(const std::string& text) { write_file_atomic(path_ / "config.toml", text); }

void RunFolder::write_summary(const Json& summary) {
  write_file_atomic(path_ / "summary.json", summary.dump(2) + "\n");
}

void RunFolder::write_profile(const Json& profile) {
  write_file_atomic(path_ / "profile.json", profile.dump(2) + "\n");
}

void RunFolder::open_metrics() {
  if (!metrics_) metrics_ = std::make_unique<AppendFile>(path_ / "metrics.jsonl");
}

void RunFolder::append_metrics(const Json& point) {
  open_metrics();
  metrics_->append(point.dump());
}

void RunFolder::cut_metrics(int64_t step) {
  const fs::path path = path_ / "metrics.jsonl";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  metrics_.reset();
  const std::string text = read_text_file(path, Exit::kCheckpoint, kMaxMetricsBytes);
  size_t kept = 0;
  int64_t line = 1, last = 0;
  for (size_t end; (end = text.find('\n', kept)) != std::string::npos; kept = end + 1, ++line) {
    const std::string what = path.string() + ":" + std::to_string(line);
    try {
      const Json point = Json::parse(text.substr(kept, end - kept), what, Exit::kCheckpoint);
      last = point.get_integer("step");
      if (last > step || point.find("partial")) break;
    } catch (const Error&) {
      if (last < step) throw;
      break;  // of what is cut anyway
    }
  }
  if (kept < text.size()) write_file_atomic(path, text.substr(0, kept));
}

void RunFolder::rewind_to(int64_t step) {
  remove_path(path_ / "summary.json");
  const std::string last = checkpoint_name(step);
  for (const fs::path& path : checkpoints_of(path_)) {
    const std::string name = path.filename().string();
    if (name.size() > last.size() || (name.size() == last.size() && name > last)) remove_path(path);
  }
  cut_metrics(step);
}

void RunFolder::save_checkpoint(int64_t step, int keep, const std::function<void(const fs::path&)>& write) {
  const fs::path folder = path_ / "checkpoints";
  const std::string name = checkpoint_name(step);
  open_metrics();
  metrics_->sync();
  write(folder / name);
  write_file_atomic(folder / "latest", name + "\n");
  const std::vector<fs::path> all = checkpoints_of(path_);  // the new one first, then by falling step
  for (size_t i = static_cast<size_t>(keep); i < all.size(); ++i) remove_path(all[i]);
}

fs::path RunFolder::best_checkpoint() const { return path_ / "checkpoints" / "best.safetensors"; }

}  // namespace hourglass
