// SPDX-License-Identifier: Apache-2.0
// The one exception type of Hourglass. It carries the exit code that the program documents for its cause.
#pragma once

#include <stdexcept>
#include <string>

namespace hourglass {

/// Exit codes of the `hourglass` program, and the class of every error the library throws. A run that a signal stopped
/// after saving exits with 128 + its number.
enum class Exit : int {
  kDone = 0,
  kInternal = 1,     ///< a defect of Hourglass: please report
  kUsage = 2,        ///< unknown model, command or option; option or shape out of range
  kData = 3,         ///< data missing, unreadable, truncated, empty, non-finite, or of the wrong shape
  kDevice = 4,       ///< device absent or not in this build; out of memory
  kIo = 5,           ///< disk full, I/O error, run folder locked or unwritable
  kNotFinite = 6,    ///< loss or gradient not finite
  kCheckpoint = 7,   ///< no run or checkpoint, or one that is corrupt, newer, or of another model
  kDeviceFault = 8,  ///< the device reported an unrecoverable error
};

class Error : public std::runtime_error {
 public:
  Error(Exit exit, const std::string& message) : std::runtime_error(message), exit_(exit) {}
  Exit exit() const noexcept { return exit_; }
  int exit_code() const noexcept { return static_cast<int>(exit_); }

 private:
  Exit exit_;
};

}  // namespace hourglass
