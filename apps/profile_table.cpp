// SPDX-License-Identifier: Apache-2.0
#include "apps/profile_table.h"

#include <cstdio>

#include "apps/terminal.h"

namespace hourglass {
namespace {

constexpr double kMicro = 1e6;

std::string line(const std::string& name, const std::string& shape, const std::string& forward,
                 const std::string& backward, const std::string& share) {
  char text[160];
  std::snprintf(text, sizeof text, "  %-24s %-22s %11s %11s %8s\n", name.c_str(), shape.c_str(), forward.c_str(),
                backward.c_str(), share.c_str());
  return text;
}

std::string microseconds(double seconds) { return fixed_text(seconds * kMicro, 1); }
std::string percent(double share) { return fixed_text(100 * share, 1) + " %"; }

}  // namespace

std::string profile_table(const Profiler& profiler) {
  const double step = profiler.step_seconds();
  double forward = 0, backward = 0;
  std::string text = "  profile of " + count_text(profiler.steps()) + " steps, run eagerly, microseconds a step\n" +
                     line("entry", "output", "forward", "backward", "share");
  for (const ProfileRow& row : profiler.rows()) {
    forward += row.forward;
    backward += row.backward;
    text += line(row.name, row.shape.rank() > 0 ? to_string(row.shape) : "", microseconds(row.forward),
                 row.backward > 0 ? microseconds(row.backward) : "", percent((row.forward + row.backward) / step));
  }
  return text + line("sum", "", microseconds(forward), microseconds(backward), percent(1));
}

Json profile_json(const Profiler& profiler) {
  Json entries = Json::array();
  for (const ProfileRow& row : profiler.rows()) {
    Json shape = Json::array();
    for (const int64_t extent : extents(row.shape)) shape.push_back(extent);
    entries.push_back(Json::object({{"name", row.name},
                                    {"shape", shape},
                                    {"forward_us", row.forward * kMicro},
                                    {"backward_us", row.backward * kMicro}}));
  }
  return Json::object(
      {{"steps", profiler.steps()}, {"microseconds", profiler.step_seconds() * kMicro}, {"entries", entries}});
}

}  // namespace hourglass
