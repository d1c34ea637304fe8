// SPDX-License-Identifier: Apache-2.0
#include "apps/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace hourglass {
namespace {

constexpr int kBarCells = 20, kLeastBarCells = 4;
constexpr auto kBetweenDraws = std::chrono::milliseconds(100);

void print_error(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

int terminal_columns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// https://no-color.org: any text that is not empty switches colors off.
bool colors_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (!no_color || !*no_color) && terminal && std::string_view(terminal) != "dumb";
}

std::string formatted(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string two_digits(int64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); }

}  // namespace

void notice(std::string_view text) { print_error("hourglass: " + std::string(text) + "\n"); }

std::string aligned(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t width = 0;
  for (const auto& row : rows) width = std::max(width, row.first.size());
  std::string text;
  for (const auto& [name, value] : rows) text += "  " + name + std::string(width - name.size() + 2, ' ') + value + "\n";
  return text;
}

std::string time_text(double seconds) {
  if (seconds < 9.95) return formatted("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  const std::string tail = two_digits(whole % 60);
  if (whole < 3600) return std::to_string(whole / 60) + ":" + tail;
  return std::to_string(whole / 3600) + ":" + two_digits(whole / 60 % 60) + ":" + tail;
}

std::string fixed_text(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string count_text(int64_t count) {
  std::string text = std::to_string(count);
  for (int at = static_cast<int>(text.size()) - 3; at > (count < 0 ? 1 : 0); at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

Progress::Progress(bool enabled, std::string title, int64_t total)
    : visible_(enabled && isatty(STDERR_FILENO) == 1),
      color_(visible_ && colors_wanted()),
      title_(std::move(title)),
      total_(std::max<int64_t>(total, 1)) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (!drawn_) return;
  print_error("\r\033[K");
  drawn_ = false;
}

void Progress::update(int64_t done, std::string_view text) {
  if (!visible_) return;
  const auto now = Clock::now();
  if (first_ < 0) {
    first_ = done;
    start_ = now;
  } else if (drawn_ && now - last_ < kBetweenDraws && done < total_) {
    return;
  }
  last_ = now;
  print_error("\r" + line(done, text, terminal_columns()) + "\033[K");
  drawn_ = true;
}

std::string Progress::line(int64_t done, std::string_view text, int columns) const {
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total_), 0.0, 1.0);
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  std::string after = formatted("%3.0f%%  ", 100 * share);
  after += text;
  if (done > first_ && done < total_) {
    const double left = seconds * static_cast<double>(total_ - done) / static_cast<double>(done - first_);
    after += "  " + time_text(left) + " left";
  }
  // A line longer than the terminal would wrap, and could not be redrawn in place: the bar shrinks first.
  const int room = columns - 1, others = static_cast<int>(title_.size() + after.size()) + 2;
  const int cells = std::clamp(room - others, 0, kBarCells), filled = static_cast<int>(share * cells);
  if (cells < kLeastBarCells) return (title_ + " " + after).substr(0, static_cast<size_t>(std::max(room, 0)));
  std::string bar(static_cast<size_t>(filled), '#');
  bar.append(static_cast<size_t>(cells - filled), '.');
  if (color_) bar = "\033[36m" + bar + "\033[0m";
  return title_ + " " + bar + " " + after;
}

}  // namespace hourglass
