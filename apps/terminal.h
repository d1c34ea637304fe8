// SPDX-License-Identifier: Apache-2.0
// What the user sees on standard error: notices, tables, and one line of progress.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hourglass {

/// A warning or notice, always shown: "hourglass: ..." on standard error.
void notice(std::string_view text);

/// Rows of two columns, the second ones aligned: "  parameters  1.1 million".
std::string aligned(const std::vector<std::pair<std::string, std::string>>& rows);

/// "0.3 s", "42 s", "12:05", "2:03:59".
std::string time_text(double seconds);
/// With so many digits after the point.
std::string fixed_text(double value, int digits);
/// "60,000".
std::string count_text(int64_t count);

/// The progress bar: one line on standard error, redrawn in place at most ten times a second. Nothing at all is
/// written where standard error is no terminal, or when it is switched off. NO_COLOR is respected.
class Progress {
 public:
  Progress(bool enabled, std::string title, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of the total; `rate` and what follows it ("reconstruction 231.2  kl 14.1") as text. The time left is
  /// estimated from what this object has seen.
  void update(int64_t done, std::string_view text);
  /// Removes the line, so that something else can be written; the next update draws it again.
  void clear();

  bool visible() const { return visible_; }

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(int64_t done, std::string_view text, int columns) const;

  bool visible_, color_, drawn_ = false;
  std::string title_;
  int64_t total_, first_ = -1;
  Clock::time_point start_, last_;
};

}  // namespace hourglass
