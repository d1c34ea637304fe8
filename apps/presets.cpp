// SPDX-License-Identifier: Apache-2.0
#include "apps/presets.h"

#include <vector>

#include "apps/command_table.h"
#include "kernels/base/error.h"

namespace hourglass {

std::string Preset::summary() const {
  size_t line = text.find("\n# ") + 3;  // the first line is the license
  const std::string_view rest = text.substr(line);
  return std::string(rest.substr(0, rest.find_first_of(".:\n")));
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
