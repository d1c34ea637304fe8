// SPDX-License-Identifier: Apache-2.0
#include "apps/presets.h"

#include <cctype>
#include <cstring>
#include <vector>

#include "apps/command_table.h"
#include "kernels/base/error.h"

namespace hourglass {

std::string Preset::summary() const {
  size_t line = text.find("\n# ") + 3;  // the first line is the license
  const std::string_view rest = text.substr(line);
  const auto ends = [&](size_t i) {  // a mark within a number, as in "arXiv 2506.07687", ends nothing
    return rest[i] == '\n' || (std::strchr(".,:", rest[i]) && std::isspace(rest[i + 1]));
  };
  size_t end = 0;
  while (end + 1 < rest.size() && !ends(end)) ++end;
  return std::string(rest.substr(0, end));
}

const Preset& find_preset(const std::string& name) {
  std::vector<std::string> names;
  std::string all;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return preset;
    names.emplace_back(preset.name);
    all += (all.empty() ? "" : ", ") + names.back();
  }
  throw Error(Exit::kUsage,
              "--preset expects one of " + all + "; given " + name + ", the nearest is " + nearest_name(name, names));
}

}  // namespace hourglass
