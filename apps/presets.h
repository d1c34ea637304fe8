// SPDX-License-Identifier: Apache-2.0
// The config files of apps/configs, carried in the program: `--preset keras-conv` needs no path.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace hourglass {

struct Preset {
  std::string_view name;  ///< of its file, without .toml
  std::string_view text;
  /// Its first comment: what it is, in one line.
  std::string summary() const;
};

/// In the order of their names.
std::span<const Preset> presets();

/// Error(kUsage) for a name that there is not, with the nearest and all of them.
const Preset& find_preset(const std::string& name);

}  // namespace hourglass
