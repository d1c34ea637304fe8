// SPDX-License-Identifier: Apache-2.0
// Every option of every command, once: its name on the command line and in a config file, the field it fills, what it
// accepts, and its help. Parsing, help, config files and resuming are loops over these rows.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "apps/options.h"

namespace hourglass {

/// How an option takes part in a stored run.
enum class Role {
  kRun,          ///< defines the run: stored in its config.toml, and the same when it is resumed
  kMayDiffer,    ///< stored, and may change when the run is resumed
  kInvocation,   ///< of this invocation: not stored
  kCommandLine,  ///< not stored, and not accepted in a config file
};

/// What a number may be, or which words a text may be.
struct Accepts {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool above_low = false;  ///< low itself is excluded
  bool below_high = false;
  std::vector<std::string> words{};  ///< empty: any text
};

struct OptionRow {
  using Field = std::variant<bool*, int*, int64_t*, double*, std::string*, std::vector<int>*, Sigma*, Duration*,
                             ImageSize*, MemorySize*>;

  std::string name;  ///< "batch": --batch on the command line, `batch` in a config file
  Field field;
  std::string value;  ///< what stands after it in the help: "N"
  std::string help;
  Accepts accepts{};
  Role role = Role::kRun;
  std::vector<std::string> aliases{};
  std::string unset{};  ///< what the initial value means, where it stands for "not given": "each epoch"
  bool positional = false;
  bool negatable = false;  ///< a flag that is on unless --no-NAME is given
  std::string group{};

  bool is_flag() const { return std::holds_alternative<bool*>(field); }
};

using OptionTable = std::vector<OptionRow>;

/// The rows of a command, bound to the fields of `options`, which must outlive them.
OptionTable option_table(TrainOptions& options);
OptionTable option_table(EvalOptions& options);
OptionTable option_table(SampleOptions& options);
OptionTable option_table(ReconstructOptions& options);
OptionTable option_table(InterpolateOptions& options);
OptionTable option_table(EmbedOptions& options);
OptionTable option_table(EncodeOptions& options);
OptionTable option_table(DecodeOptions& options);
OptionTable option_table(RateDistortionOptions& options);
OptionTable option_table(KMeansCommandOptions& options);
OptionTable option_table(InfoOptions& options);
OptionTable option_table(DoctorOptions& options);

/// The row called `name`, or one of whose aliases it is; null if there is none.
const OptionRow* find_row(const OptionTable& table, std::string_view name);

/// Reads `text` into the row's field. `where` begins the message: "--lr", or "vae.toml:12: lr". Throws Error(kUsage)
/// naming it, what is expected and what was given.
void assign(const OptionRow& row, const std::string& text, const std::string& where);

/// Copies the value of a field to one of the same kind.
void copy_value(const OptionRow& from, const OptionRow& to);

/// The field's value as a user would type it; assign() reads it back to the same value.
std::string to_text(const OptionRow& row);
/// The same as a value of a config file.
std::string to_toml(const OptionRow& row);

}  // namespace hourglass
