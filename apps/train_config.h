// SPDX-License-Identifier: Apache-2.0
// The options of a training run as a whole: config files, the config.toml that a run keeps, and resuming from it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/command_table.h"

namespace hourglass {

/// Writes into the rows of `commands` what a config file says: the keys of its section [eval] into those of eval, and
/// the keys before any section into those of `command`. Returns the names that it set of `command`. Error(kUsage) for a
/// key or section that does not exist, naming the nearest that does, and for a value out of range, naming file, line
/// and key.
std::set<std::string> apply_config_file(const std::filesystem::path& path, const std::string& command,
                                        const std::vector<Command>& commands);

/// The same of the text of such a file; `what` names it in messages.
std::set<std::string> apply_config_text(std::string_view text, const std::string& what, const std::string& command,
                                        const std::vector<Command>& commands);

/// The config.toml of a run: read again, it gives the same options.
std::string config_text(const TrainOptions& options);

/// The same options as they would stand on the command line, defaults included: for the header of a run.
std::string options_line(const TrainOptions& options);

/// Completes the options of `--resume` from the run's own config.toml, where they were not given. One that was given
/// and differs, and may not, is an Error(kUsage) naming it and both values. Does nothing where no such file is.
void adopt_stored_options(TrainOptions& options);

/// Throws Error(kUsage) for options that contradict each other, or do nothing for the model, likelihood or optimizer
/// at hand: an option never goes unheard.
void check_together(const TrainOptions& options);

}  // namespace hourglass
