// SPDX-License-Identifier: Apache-2.0
// Files as the engine wants them: read whole and bounded, replaced atomically and durably, listed in one fixed order.
// Every failure is an Error that names the path and, where the system said no, its reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/error.h"

namespace hourglass {

using Bytes = std::vector<uint8_t>;

/// The largest file read_file takes unless told otherwise.
inline constexpr int64_t kMaxFileBytes = int64_t{64} << 30;

/// The whole of a regular file. A path that is missing, unreadable, a folder, or longer than `max_bytes` is an
/// Error(`on_error`); a file that memory cannot hold is Exit::kDevice.
Bytes read_file(const std::filesystem::path& path, Exit on_error = Exit::kData, int64_t max_bytes = kMaxFileBytes);

/// The same, as text.
std::string read_text_file(const std::filesystem::path& path, Exit on_error = Exit::kData,
                           int64_t max_bytes = kMaxFileBytes);

/// Replaces a file in one step: bytes go to `<path>.tmp-<random number>` beside it, so that any number of writers may
/// replace one file and the last one wins; commit() syncs them, renames them over `path` and syncs the folder. Whenever
/// the process dies, `path` is the whole old file or the whole new one. Destroyed without commit, or after a failure,
/// it removes its temporary file. Failures are Exit::kIo.
class AtomicFile {
 public:
  /// `mode` is that of a newly created file, before the umask.
  explicit AtomicFile(std::filesystem::path path, unsigned mode = 0644);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void commit();

 private:
  void close_and_remove() noexcept;

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file_atomic(const std::filesystem::path& path, std::span<const uint8_t> bytes, unsigned mode = 0644);
void write_file_atomic(const std::filesystem::path& path, std::string_view text, unsigned mode = 0644);

/// Removes what a killed process left in `folder` (not below it): files named `*.tmp-<digits>`. Call it under the
/// folder's lock, before writing. Returns how many it removed.
int remove_temporary_files(const std::filesystem::path& folder);

/// An append-only text file (metrics.jsonl). append() hands the line and its newline to the system in one write, so
/// a kill tears at most the last line; sync() makes what was appended durable. Failures are Exit::kIo.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path, unsigned mode = 0644);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(std::string_view line);
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// Holds an exclusive lock on a file (created if missing, never removed) for its lifetime; the system drops the lock
/// when the process ends, however it ends. A second holder gets Exit::kIo naming the file and the holder's pid.
class FileLock {
 public:
  explicit FileLock(std::filesystem::path path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// Regular files below `root`, as paths relative to it, in byte order of the path. Symbolic links are followed, but not
/// in circles; a link that leads nowhere is listed as a file. A missing or unreadable folder is Exit::kData.
std::vector<std::string> list_files(const std::filesystem::path& root);

/// mkdir -p. Failure is Exit::kIo.
void make_folders(const std::filesystem::path& path);

}  // namespace hourglass
