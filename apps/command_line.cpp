// SPDX-License-Identifier: Apache-2.0
#include "apps/command_line.h"

#include <CLI/CLI.hpp>
#include <map>

#include "apps/command_table.h"
#include "apps/presets.h"
#include "apps/train_config.h"
#include "engine/version.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

/// One command as CLI11 sees it: every option is a text, and the tables read it.
struct BoundCommand {
  const Command* command;
  CLI::App* app;
  std::map<std::string, CLI::Option*> options;
  std::map<std::string, std::string> texts;
};

void bind(BoundCommand& bound) {
  bound.app->set_help_flag("-h,--help");
  for (const OptionRow& row : bound.command->table) {
    std::string names = row.positional ? row.name : "--" + row.name;
    for (const std::string& alias : row.aliases) names += ",--" + alias;
    if (row.negatable) names += ",!--no-" + row.name;
    CLI::Option* option =
        row.is_flag() ? bound.app->add_flag(names) : bound.app->add_option(names, bound.texts[row.name]);
    bound.options[row.name] = option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

std::vector<std::string> known_options(const Command* command) {
  std::vector<std::string> names{"--config", "--preset", "--help", "--version"};
  for (const OptionRow& row : command ? command->table : OptionTable{}) {
    if (row.positional) continue;
    names.push_back("--" + row.name);
    if (row.negatable) names.push_back("--no-" + row.name);
    for (const std::string& alias : row.aliases) names.push_back("--" + alias);
  }
  return names;
}

/// `rest` is what CLI11 could not place.
void refuse_unknown_options(const std::vector<std::string>& rest, const Command* command) {
  const std::string of = command ? command->name + ": " : "", help = command ? command->name + " --help" : "--help";
  for (const std::string& word : rest) {
    if (word.size() < 2 || word[0] != '-') continue;
    const std::string name = word.substr(0, word.find('='));
    throw Error(Exit::kUsage, of + "unknown option " + name + "; the nearest is " +
                                  nearest_name(name, known_options(command)) + " (hourglass " + help + " shows all)");
  }
}

[[noreturn]] void fail_without_command(const std::vector<std::string>& rest, const std::vector<Command>& commands) {
  if (rest.empty()) throw Error(Exit::kUsage, "expected a command, given nothing (hourglass --help shows all)");
  std::vector<std::string> names;
  for (const Command& known : commands) names.push_back(known.name);
  throw Error(Exit::kUsage, "unknown command \"" + rest.front() + "\"; the nearest is " +
                                nearest_name(rest.front(), names) + " (hourglass --help shows all)");
}

std::set<std::string> apply_command_line(const BoundCommand& bound) {
  std::set<std::string> names;
  for (const OptionRow& row : bound.command->table) {
    const CLI::Option* option = bound.options.at(row.name);
    if (option->count() == 0) continue;
    assign(row, option->results().back(), row.positional ? bound.command->name + ": " + row.value : "--" + row.name);
    names.insert(row.name);
  }
  if (names.count("epochs") && names.count("steps")) {
    throw Error(Exit::kUsage, "expected one of --epochs and --steps, given both");
  }
  return names;
}

/// The path of a command on a run, the model of train: needed, unless the run that is resumed knows it.
void expect_positionals(const Command& command) {
  for (const OptionRow& row : command.table) {
    if (row.positional && to_text(row).empty()) {
      throw Error(Exit::kUsage, command.name + " expects " + row.value + " (" + row.help +
                                    "), given nothing (hourglass " + command.name + " --help shows all)");
    }
  }
}

void finish(TrainOptions& options, const std::string& preset, const std::set<std::string>& from_file,
            const std::set<std::string>& from_line) {
  // The command line beats the file: its --epochs replaces the file's steps.
  if (from_line.count("epochs") && from_file.count("steps")) options.steps = 0;
  if (options.out.empty() && !preset.empty()) options.out = "runs/" + preset;
  if (options.model == "conv-ae" && !options.given.count("latent")) options.latent = 0;
  if (options.is_vqvae() && !options.given.count("likelihood")) options.likelihood = "gaussian";
  if (options.is_vqvae() && !options.ema && !options.given.count("restart-threshold")) options.restart_threshold = 0;
  if (options.out.empty() && !options.model.empty()) options.out = "runs/" + options.model;
  if (options.resume && !options.out.empty()) adopt_stored_options(options);
}

Parsed chosen(const std::string& name, CommandOptions&& options) {
  if (name == "train") return std::move(options.train);
  if (name == "eval") return std::move(options.eval);
  if (name == "sample") return std::move(options.sample);
  if (name == "reconstruct") return std::move(options.reconstruct);
  if (name == "interpolate") return std::move(options.interpolate);
  if (name == "embed") return std::move(options.embed);
  if (name == "encode") return std::move(options.encode);
  if (name == "decode") return std::move(options.decode);
  if (name == "rate-distortion") return std::move(options.rate_distortion);
  if (name == "kmeans") return std::move(options.kmeans);
  if (name == "info") return std::move(options.info);
  return std::move(options.doctor);
}

/// As a shell would take it.
std::string as_typed(int argc, const char* const* argv) {
  std::string text;
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789-_=+.,:/@%") == std::string::npos;
    text += i > 0 ? " " : "";
    if (plain) {
      text += word;
      continue;
    }
    text += '\'';
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  return text;
}

std::string version_text() {
  const BuildInfo& build = build_info();
  return std::string("hourglass ") + build.version + " (" + build.commit + ")\n";
}

}  // namespace

Parsed parse(int argc, const char* const* argv) {
  CommandOptions options;
  const std::vector<Command> commands = command_table(options);
  CLI::App app;
  std::string config, preset;
  bool version = false;
  app.set_help_flag("-h,--help");
  app.add_flag("--version", version);
  // On the root, and reached from every command by falling through, so that its place does not matter. CLI11 does not
  // read the file itself: release 2.1.2 ignores the config of a subcommand, drops short lines, and cuts texts at '#'.
  app.add_option("--config", config)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--preset", preset)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.fallthrough();
  app.allow_extras();
  app.require_subcommand(0, 1);
  std::vector<BoundCommand> bound;
  for (const Command& command : commands) bound.push_back({&command, app.add_subcommand(command.name), {}, {}});
  for (BoundCommand& each : bound) bind(each);

  const auto current = [&]() -> BoundCommand* {
    for (BoundCommand& each : bound) {
      if (each.app->parsed()) return &each;
    }
    return nullptr;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const BoundCommand* command = current();
    return PrintText{command ? help_text(*command->command) : overview_text(commands)};
  } catch (const CLI::ParseError& error) {
    throw Error(Exit::kUsage, error.what());
  }
  if (version) return PrintText{version_text()};

  BoundCommand* command = current();
  const std::vector<std::string> rest = app.remaining(true);
  refuse_unknown_options(rest, command ? command->command : nullptr);
  if (!command) fail_without_command(rest, commands);
  const std::string& name = command->command->name;
  std::set<std::string> from_file;
  if (app.count("--preset") > 0) {
    if (name != "train") throw Error(Exit::kUsage, "--preset is an option of train, given to " + name);
    if (app.count("--config") > 0) throw Error(Exit::kUsage, "expected one of --config and --preset, given both");
    from_file = apply_config_text(find_preset(preset).text, "preset " + preset, name, commands);
  }
  if (app.count("--config") > 0) from_file = apply_config_file(config, name, commands);
  const std::set<std::string> from_line = apply_command_line(*command);
  if (!rest.empty()) throw Error(Exit::kUsage, name + ": unexpected argument \"" + rest.front() + "\"");
  if (name == "train") {
    options.train.command_line = as_typed(argc, argv);
    options.train.given = from_file;
    options.train.given.insert(from_line.begin(), from_line.end());
    finish(options.train, preset, from_file, from_line);
  }
  expect_positionals(*command->command);
  if (name == "train") check_together(options.train);
  return chosen(name, std::move(options));
}

}  // namespace hourglass
