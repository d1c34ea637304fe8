// SPDX-License-Identifier: Apache-2.0
#include "engine/sample_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kernels/base/error.h"

namespace hourglass {

SampleFile::SampleFile(std::filesystem::path path, int64_t rows, int64_t row_bytes)
    : path_(std::move(path)),
      rows_(rows),
      row_bytes_(row_bytes),
      descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    throw Error(Exit::kData, path_.string() + ": cannot open: " + std::generic_category().message(errno));
  }
}

SampleFile::~SampleFile() { ::close(descriptor_); }

void SampleFile::read(int64_t first, int64_t count, void* to) const {
  char* next = static_cast<char*>(to);
  int64_t left = count * row_bytes_, at = first * row_bytes_;
  while (left > 0) {
    const ssize_t got = ::pread(descriptor_, next, static_cast<size_t>(left), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(Exit::kData, path_.string() + ": cannot read: " + std::generic_category().message(errno));
    if (got == 0) throw Error(Exit::kData, path_.string() + ": it became shorter while it was in use");
    next += got;
    at += got;
    left -= got;
  }
}

}  // namespace hourglass
