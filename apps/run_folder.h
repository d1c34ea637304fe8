// SPDX-License-Identifier: Apache-2.0
// The folder of a training run, kept so that whatever kills the program, the next one can go on or say what is wrong.
//
//   config.toml                       the options, reloadable
//   run.json                          what ran: version, commit, compiler, device, data checksums, command line
//   metrics.jsonl                     one object a log point
//   checkpoints/step-*.safetensors    and `latest`, a text file with the name of the newest
//   checkpoints/best.safetensors      the best epoch's, where there is a validation split
//   figures/                          pictures
//   profile.json                      of `train --profile`
//   summary.json                      last values; only a run that ended has it
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/io/files.h"
#include "engine/io/json.h"

namespace hourglass {

/// What to do with a run folder that exists.
enum class IfExists { kRefuse, kOverwrite, kResume };

class RunFolder {
 public:
  /// Makes the folder, or opens it for resuming, and locks it for the life of this object.
  ///   kRefuse     Error(kUsage), naming --resume and --overwrite, if there is anything in it
  ///   kOverwrite  empties it, if it holds a run.json of Hourglass; Error(kUsage) if it holds anything else
  ///   kResume     leaves it as it is; Error(kUsage) if it holds no run.json of Hourglass but something else
  /// Locked by another process, or unwritable: Error(kIo).
  RunFolder(std::filesystem::path path, IfExists if_exists);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path figures() const { return path_ / "figures"; }

  /// There is something to go on from: a checkpoint file, sound or not.
  bool has_checkpoint() const;
  /// The run ended: its summary.json, which is removed when training goes on.
  std::optional<Json> summary() const;

  // Each replaces its file atomically.
  void write_record(const Json& record);  ///< run.json; adds "program": "hourglass"
  void write_config(const std::string& text);
  void write_summary(const Json& summary);
  void write_profile(const Json& profile);

  /// Appends one line to metrics.jsonl.
  void append_metrics(const Json& point);
  /// `write` writes the file it is given, atomically and durably. Then metrics.jsonl is made durable, `latest` names
  /// the new checkpoint, and all but the newest `keep` are removed.
  void save_checkpoint(int64_t step, int keep, const std::function<void(const std::filesystem::path&)>& write);
  /// checkpoints/best.safetensors, which is never removed.
  std::filesystem::path best_checkpoint() const;

  /// Before training goes on from the checkpoint of `step`: removes what is later than it, checkpoints (which were
  /// passed over because they are broken), summary.json and log points, a "partial" point that closed the log of a run
  /// that ended between two log points, and a last line that a kill has torn.
  void rewind_to(int64_t step);

 private:
  void empty();
  void open_metrics();
  void cut_metrics(int64_t step);

  std::filesystem::path path_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<AppendFile> metrics_;
};

/// Throws as the constructor of RunFolder would for what is there, and changes nothing: a refusal should not come only
/// after the data are loaded.
void check_run_folder(const std::filesystem::path& path, IfExists if_exists);

/// Whether `path` holds a run.json that Hourglass wrote.
bool is_run_folder(const std::filesystem::path& path);

}  // namespace hourglass
