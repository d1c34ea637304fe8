// SPDX-License-Identifier: Apache-2.0
#include "engine/io/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace hourglass {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void throw_errno(Exit exit, const fs::path& path, const char* action) {
  const int error = errno;
  throw Error(exit, path.string() + ": cannot " + action + ": " + reason(error));
}

/// Closes what is still open when an exception passes.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

int open_retry(const fs::path& path, int flags, unsigned mode = 0) {
  int descriptor;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

void write_all(int descriptor, const void* data, size_t bytes, const fs::path& path) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, next, bytes);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_errno(Exit::kIo, path, "write");
    }
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void sync_folder_of(const fs::path& path) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const Descriptor descriptor(open_retry(folder, O_RDONLY | O_DIRECTORY));
  if (descriptor.get() < 0) throw_errno(Exit::kIo, folder, "open the folder");
  // Some network file systems cannot sync a folder and say EINVAL: there is nothing more to be done on them.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL) throw_errno(Exit::kIo, folder, "sync the folder");
}

int64_t regular_file_size(int descriptor, const fs::path& path, Exit on_error) {
  struct stat status;
  if (::fstat(descriptor, &status) != 0) throw_errno(on_error, path, "read");
  if (S_ISDIR(status.st_mode)) throw Error(on_error, path.string() + ": expected a file, it is a folder");
  if (!S_ISREG(status.st_mode)) throw Error(on_error, path.string() + ": not a regular file");
  return status.st_size;
}

template <class Container>
Container read_whole(const fs::path& path, Exit on_error, int64_t max_bytes) {
  // O_NONBLOCK: a named pipe must be refused, not waited for.
  const Descriptor descriptor(open_retry(path, O_RDONLY | O_NONBLOCK));
  if (descriptor.get() < 0) throw_errno(on_error, path, "open");
  const int64_t size = regular_file_size(descriptor.get(), path, on_error);
  if (size > max_bytes) {
    throw Error(on_error, path.string() + ": expected at most " + std::to_string(max_bytes) + " bytes, it has " +
                              std::to_string(size));
  }
  Container content;
  try {
    content.resize(static_cast<size_t>(size));
  } catch (const std::bad_alloc&) {
    throw Error(Exit::kDevice, path.string() + ": no memory for its " + std::to_string(size) + " bytes");
  }
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::read(descriptor.get(), content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_errno(on_error, path, "read");
    if (got == 0) throw Error(on_error, path.string() + ": it became shorter while it was read");
    done += static_cast<size_t>(got);
  }
  return content;
}

bool is_temporary_name(const std::string& name) {
  const size_t at = name.rfind(".tmp-");
  return at != std::string::npos && at + 5 < name.size() &&
         name.find_first_not_of("0123456789", at + 5) == std::string::npos;
}

/// `open` has the folders that are being listed, as canonical paths: a link to one of them would go in circles.
void list_below(const fs::path& folder, const std::string& prefix, std::vector<fs::path>& open,
                std::vector<std::string>& names) {
  std::error_code error, broken;
  const fs::path place = fs::canonical(folder, error);
  if (!error && std::find(open.begin(), open.end(), place) != open.end()) return;
  open.push_back(place);
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = prefix + entry->path().filename().string();
    if (entry->is_directory(broken)) {
      list_below(entry->path(), name + "/", open, names);
    } else if (entry->is_regular_file(broken) || (entry->is_symlink(broken) && !entry->exists(broken))) {
      names.push_back(name);
    }
  }
  if (error) throw Error(Exit::kData, folder.string() + ": cannot list the folder: " + error.message());
  open.pop_back();
}

}  // namespace

Bytes read_file(const fs::path& path, Exit on_error, int64_t max_bytes) {
  return read_whole<Bytes>(path, on_error, max_bytes);
}

std::string read_text_file(const fs::path& path, Exit on_error, int64_t max_bytes) {
  return read_whole<std::string>(path, on_error, max_bytes);
}

AtomicFile::AtomicFile(fs::path path, unsigned mode) : path_(std::move(path)) {
  // Not by pid: two containers that share the folder may have the same. What is there is another writer's, or a link.
  do {
    uint32_t number = 0;
    if (::getentropy(&number, sizeof number) != 0) throw_errno(Exit::kIo, path_, "draw a temporary name");
    temporary_ = path_;
    temporary_ += ".tmp-" + std::to_string(number);
    descriptor_ = open_retry(temporary_, O_WRONLY | O_CREAT | O_EXCL, mode);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) throw_errno(Exit::kIo, path_, "create");
}

AtomicFile::~AtomicFile() { close_and_remove(); }

void AtomicFile::close_and_remove() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::write(const void* data, size_t bytes) {
  if (descriptor_ < 0) throw Error(Exit::kInternal, path_.string() + ": written after its end");
  try {
    write_all(descriptor_, data, bytes, path_);
  } catch (...) {
    close_and_remove();
    throw;
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw Error(Exit::kInternal, path_.string() + ": committed after its end");
  try {
    if (::fsync(descriptor_) != 0) throw_errno(Exit::kIo, path_, "sync");
    // Not retried on EINTR: Linux has released the descriptor by then.
    if (::close(std::exchange(descriptor_, -1)) != 0) throw_errno(Exit::kIo, path_, "close");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_errno(Exit::kIo, path_, "replace");
    temporary_.clear();
    sync_folder_of(path_);
  } catch (...) {
    close_and_remove();
    throw;
  }
}

void write_file_atomic(const fs::path& path, std::span<const uint8_t> bytes, unsigned mode) {
  AtomicFile file(path, mode);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

void write_file_atomic(const fs::path& path, std::string_view text, unsigned mode) {
  AtomicFile file(path, mode);
  file.write(text.data(), text.size());
  file.commit();
}

int remove_temporary_files(const fs::path& folder) {
  int removed = 0;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.is_regular_file() && !entry.is_symlink() && is_temporary_name(entry.path().filename().string())) {
        removed += fs::remove(entry.path());
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(Exit::kIo, folder.string() + ": cannot remove leftover files: " + error.code().message());
  }
  return removed;
}

AppendFile::AppendFile(fs::path path, unsigned mode) : path_(std::move(path)) {
  descriptor_ = open_retry(path_, O_WRONLY | O_CREAT | O_APPEND, mode);
  if (descriptor_ < 0) throw_errno(Exit::kIo, path_, "open for appending");
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::string_view line) {
  std::string text(line);
  text += '\n';
  write_all(descriptor_, text.data(), text.size(), path_);
}

void AppendFile::sync() {
  if (::fsync(descriptor_) != 0) throw_errno(Exit::kIo, path_, "sync");
}

FileLock::FileLock(fs::path path) {
  Descriptor descriptor(open_retry(path, O_RDWR | O_CREAT, 0644));
  if (descriptor.get() < 0) throw_errno(Exit::kIo, path, "open the lock file");
  int result;
  do {
    result = ::flock(descriptor.get(), LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) {
    char holder[32] = {};
    const ssize_t got = ::pread(descriptor.get(), holder, sizeof holder - 1, 0);
    const std::string pid(holder, got > 0 ? std::strcspn(holder, "\n") : 0);
    throw Error(Exit::kIo, path.string() + ": locked by another process, pid " + (pid.empty() ? "unknown" : pid));
  }
  if (result != 0) throw_errno(Exit::kIo, path, "lock");
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor.get(), 0) != 0) throw_errno(Exit::kIo, path, "write");
  write_all(descriptor.get(), pid.data(), pid.size(), path);
  descriptor_ = descriptor.release();
}

FileLock::~FileLock() { ::close(descriptor_); }

std::vector<std::string> list_files(const fs::path& root) {
  std::vector<std::string> names;
  std::vector<fs::path> open;
  list_below(root, "", open, names);
  std::sort(names.begin(), names.end());  // std::string compares bytes as unsigned: no locale
  return names;
}

void make_folders(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw Error(Exit::kIo, path.string() + ": cannot create the folder: " + error.message());
}

}  // namespace hourglass
