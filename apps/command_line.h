// SPDX-License-Identifier: Apache-2.0
// From argv to options. Behind it stand CLI11, which knows how command lines are written, and the option tables.
#pragma once

#include <string>
#include <variant>

#include "apps/options.h"

namespace hourglass {

/// The answer to --help or --version: to be printed on standard output, then exit 0.
struct PrintText {
  std::string text;
};

using Parsed = std::variant<PrintText, TrainOptions, EvalOptions, SampleOptions, ReconstructOptions, InterpolateOptions,
                            EmbedOptions, EncodeOptions, DecodeOptions, RateDistortionOptions, KMeansCommandOptions,
                            InfoOptions, DoctorOptions>;

/// Defaults, then the file of --config, then the command line; with `train --resume` the stored options of the run
/// fill what was not given. All values are checked. Every mistake is an Error(kUsage) naming the option, what was
/// expected and what was given; an unknown name comes with the nearest known one.
Parsed parse(int argc, const char* const* argv);

}  // namespace hourglass
