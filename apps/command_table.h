// SPDX-License-Identifier: Apache-2.0
// The commands of the program, and their help.
#pragma once

#include <string>
#include <vector>

#include "apps/option_table.h"

namespace hourglass {

/// The options of every command; one run of the program uses one of them.
struct CommandOptions {
  TrainOptions train;
  EvalOptions eval;
  SampleOptions sample;
  ReconstructOptions reconstruct;
  InterpolateOptions interpolate;
  EmbedOptions embed;
  EncodeOptions encode;
  DecodeOptions decode;
  RateDistortionOptions rate_distortion;
  KMeansCommandOptions kmeans;
  InfoOptions info;
  DoctorOptions doctor;
};

struct Command {
  std::string name;
  std::string summary;  ///< one line
  std::string details;  ///< what it leaves behind
  std::vector<std::string> examples;
  OptionTable table;
};

/// All commands, their tables bound to `options`, which must outlive them.
std::vector<Command> command_table(CommandOptions& options);

/// `hourglass --help`.
std::string overview_text(const std::vector<Command>& commands);
/// `hourglass COMMAND --help`.
std::string help_text(const Command& command);

/// The known name that is the fewest edits away from `name`; "" if none is known.
std::string nearest_name(const std::string& name, const std::vector<std::string>& known);

}  // namespace hourglass
