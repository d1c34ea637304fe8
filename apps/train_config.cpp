// SPDX-License-Identifier: Apache-2.0
#include "apps/train_config.h"

#include "apps/config_file.h"
#include "engine/dataset.h"
#include "kernels/base/error.h"
#include "models/denoising.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> keys_of(const OptionTable& table) {
  std::vector<std::string> names;
  for (const OptionRow& row : table) {
    if (row.role == Role::kCommandLine) continue;
    names.push_back(row.name);
    names.insert(names.end(), row.aliases.begin(), row.aliases.end());
  }
  return names;
}

const Command& command_of_section(const std::vector<Command>& commands, const std::string& section,
                                  const std::string& where) {
  std::vector<std::string> known;
  for (const Command& command : commands) {
    if (command.name == section) return command;
    known.push_back(command.name);
  }
  throw Error(Exit::kUsage,
              where + "unknown section [" + section + "]; the nearest is [" + nearest_name(section, known) + "]");
}

const OptionRow& row_of_key(const OptionTable& table, const ConfigEntry& entry, const std::string& where) {
  const OptionRow* row = find_row(table, entry.key);
  if (!row) {
    throw Error(Exit::kUsage,
                where + "unknown key " + entry.key + "; the nearest is " + nearest_name(entry.key, keys_of(table)));
  }
  if (row->role == Role::kCommandLine) {
    throw Error(Exit::kUsage, where + entry.key + " is an option of the command line, not of a config file");
  }
  return *row;
}

bool is_set(const OptionRow& row, const OptionRow& initial) {
  return row.unset.empty() || to_text(row) != to_text(initial);
}

void expect_initial(const TrainOptions& options, std::initializer_list<const char*> names, const std::string& needs) {
  TrainOptions initial, copy = options;
  const OptionTable before = option_table(initial), now = option_table(copy);
  for (const char* name : names) {
    const std::string given = to_text(*find_row(now, name));
    if (given != to_text(*find_row(before, name))) {
      throw Error(Exit::kUsage, "--" + std::string(name) + " expects " + needs + ", given --" + name + " " + given);
    }
  }
}

}  // namespace

std::set<std::string> apply_config_text(std::string_view text, const std::string& what, const std::string& command,
                                        const std::vector<Command>& commands) {
  std::set<std::string> names;
  for (const ConfigEntry& entry : parse_config(text, what)) {
    const std::string where = what + ":" + std::to_string(entry.line) + ": ";
    const std::string& section = entry.section.empty() ? command : entry.section;
    const OptionRow& row = row_of_key(command_of_section(commands, section, where).table, entry, where);
    assign(row, entry.value, where + row.name);
    if (section == command && !names.insert(row.name).second) {
      throw Error(Exit::kUsage, where + row.name + " is given twice");
    }
  }
  if (names.count("epochs") && names.count("steps")) {
    throw Error(Exit::kUsage, what + ": expected one of epochs and steps, given both");
  }
  return names;
}

std::set<std::string> apply_config_file(const fs::path& path, const std::string& command,
                                        const std::vector<Command>& commands) {
  return apply_config_text(read_config_file(path), path.string(), command, commands);
}

namespace {

/// f(row) for each option that a run stores and that has a value, in the order of the help. The data as from any
/// folder.
template <class F>
void for_each_stored(const TrainOptions& options, F&& f) {
  TrainOptions initial, copy = options;
  copy.data = located(copy.data);
  const OptionTable before = option_table(initial), now = option_table(copy);
  for (size_t i = 0; i < now.size(); ++i) {
    const bool stored = now[i].role == Role::kRun || now[i].role == Role::kMayDiffer;
    const bool replaced = now[i].name == "epochs" && options.steps > 0;
    if (stored && !replaced && is_set(now[i], before[i])) f(now[i]);
  }
}

}  // namespace

std::string config_text(const TrainOptions& options) {
  std::string text = "# The options of this run. hourglass train --config FILE --out FOLDER repeats it.\n[train]\n";
  for_each_stored(options, [&](const OptionRow& row) { text += row.name + " = " + to_toml(row) + "\n"; });
  return text;
}

std::string options_line(const TrainOptions& options) {
  std::string line;
  for_each_stored(options, [&](const OptionRow& row) {
    const std::string value = to_text(row);
    const bool off = row.is_flag() && value != "true";
    if (row.positional || (off && !row.negatable)) return;
    line +=
        (line.empty() ? "--" : " --") + std::string(off ? "no-" : "") + row.name + (row.is_flag() ? "" : " " + value);
  });
  return line;
}

void adopt_stored_options(TrainOptions& options) {
  const fs::path path = fs::path(options.out) / "config.toml";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  CommandOptions stored;
  const std::vector<Command> commands = command_table(stored);
  apply_config_file(path, "train", commands);
  const OptionTable theirs = option_table(stored.train), ours = option_table(options);
  const bool length_given = options.given.count("epochs") || options.given.count("steps");
  for (size_t i = 0; i < ours.size(); ++i) {
    const OptionRow &row = ours[i], &kept = theirs[i];
    if (row.role != Role::kRun && row.role != Role::kMayDiffer) continue;
    if (options.given.count(row.name) == 0) {
      const bool length = row.name == "epochs" || row.name == "steps";
      if (row.name != "out" && !(length && length_given)) copy_value(kept, row);
    } else if (row.role == Role::kRun && to_text(row) != to_text(kept)) {
      throw Error(Exit::kUsage, "--resume: " + path.string() + " has " + row.name + " = " + to_toml(kept) + ", and --" +
                                    row.name + " expects the same, given " + to_text(row));
    }
  }
}

namespace {

void check_codebook(const TrainOptions& o) {
  if (!o.is_vqvae()) {
    expect_initial(o, {"codebook-size", "code-dim", "commitment-weight", "ema-decay", "init", "restart-threshold"},
                   "the model vqvae");
    if (!o.ema) throw Error(Exit::kUsage, "--no-ema expects the model vqvae, given " + o.model);
    return;
  }
  expect_initial(o, {"latent"}, "another model: the size of a vqvae's code is its grid's and --code-dim");
  if (o.likelihood != "gaussian") {
    throw Error(Exit::kUsage, "--likelihood expects gaussian for a vqvae, whose reconstruction loss is the mean " +
                                  std::string("squared error, given ") + o.likelihood);
  }
  expect_initial(o, {"sigma"}, "another model: a vqvae's reconstruction loss is the mean squared error");
  if (o.ema) return;
  expect_initial(o, {"ema-decay"}, "--ema");
  if (o.restart_threshold > 0) {
    throw Error(Exit::kUsage, "--restart-threshold expects 0 with --no-ema: only moving averages know how often a " +
                                  std::string("code is chosen"));
  }
}

}  // namespace

void check_together(const TrainOptions& o) {
  for_each_stored(o, [](const OptionRow& row) {
    if (is_utf8(to_text(row))) return;
    throw Error(Exit::kUsage,
                "--" + row.name + " expects text in UTF-8, as config.toml holds it, given " + to_text(row));
  });
  parse_corruption("--corrupt", o.corrupt);
  if (o.resume && o.overwrite) throw Error(Exit::kUsage, "expected one of --resume and --overwrite, given both");
  if (!o.is_vae()) expect_initial(o, {"beta", "beta-warmup", "mc-samples"}, "the model vae or conv-vae");
  if (o.is_vae() || o.is_vqvae()) expect_initial(o, {"code-activation"}, "the model ae or conv-ae");
  check_codebook(o);
  if (o.is_vae() && o.latent == 0) throw Error(Exit::kUsage, "--latent expects at least 1 for a VAE, given 0");
  if (o.latent == 0) expect_initial(o, {"code-activation"}, "a --latent of at least 1");
  if (o.is_convolutional() || !o.encoder.empty()) {
    expect_initial(o, {"hidden"}, "the model vae or ae without --encoder");
    expect_initial(o, {"tied-weights"}, "the model vae or ae without --encoder");
  }
  if (o.likelihood != "gaussian") expect_initial(o, {"sigma"}, "--likelihood gaussian");
  if (o.likelihood == "logistic") expect_initial(o, {"binarize"}, "--likelihood bernoulli or gaussian");
  if (o.optimizer != "sgd") expect_initial(o, {"momentum", "nesterov"}, "--optimizer sgd");
  if (o.nesterov && o.momentum == 0) throw Error(Exit::kUsage, "--nesterov expects a --momentum above 0, given 0");
  if (o.optimizer != "adam" && o.optimizer != "adamw") expect_initial(o, {"adam-eps"}, "--optimizer adam or adamw");
  if (o.lr_schedule == "constant") expect_initial(o, {"lr-decay-steps"}, "--lr-schedule cosine, step or exponential");
  if (o.lr_schedule == "constant" || o.lr_schedule == "cosine") {
    expect_initial(o, {"lr-gamma"}, "--lr-schedule step or exponential");
  }
}

}  // namespace hourglass
