// SPDX-License-Identifier: Apache-2.0
// Config files: a strict subset of TOML. Comments, [sections], and `key = value` with a string, a number, true or
// false, or an array of those in one line.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hourglass {

struct ConfigEntry {
  std::string section;  ///< "" before the first [section]
  std::string key;
  std::string value;  ///< unquoted; the elements of an array are joined by commas
  int line = 0;
};

/// Whether all of it is well-formed UTF-8; a file holds nothing else.
bool is_utf8(std::string_view text);

/// Reads a whole file; `what` (its path) begins every message. Anything that is not of the subset, a key given twice,
/// or a byte that is not printable UTF-8 is an Error(kUsage) naming the line.
std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& what);

/// The text of a file. One that is missing or unreadable is an Error(kUsage): `--config` is a usage.
std::string read_config_file(const std::filesystem::path& path);

}  // namespace hourglass
