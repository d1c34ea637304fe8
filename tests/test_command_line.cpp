// SPDX-License-Identifier: Apache-2.0
// The command line and config files: layers, checks, messages, and the round trip through config.toml.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "apps/command_line.h"
#include "apps/command_table.h"
#include "apps/config_file.h"
#include "apps/train_config.h"
#include "kernels/base/error.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

Parsed parse_words(std::vector<std::string> words) {
  std::vector<const char*> argv{"hourglass"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse(static_cast<int>(argv.size()), argv.data());
}

TrainOptions train(std::vector<std::string> words) {
  words.insert(words.begin(), "train");
  return std::get<TrainOptions>(parse_words(words));
}

/// The words make a usage error whose message holds each of `parts`.
void expect_refused(const std::vector<std::string>& words, std::initializer_list<const char*> parts) {
  SCOPED_TRACE(::testing::PrintToString(words));
  test::expect_error([&] { parse_words(words); }, Exit::kUsage, parts);
}

std::string printed(const std::vector<std::string>& words) { return std::get<PrintText>(parse_words(words)).text; }

class CommandLine : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("hourglass-command-line-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string folder(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
};

TEST_F(CommandLine, DefaultsAreTheDocumentedOnes) {
  const TrainOptions o = train({"vae"});
  EXPECT_EQ(o.model, "vae");
  EXPECT_EQ(o.data, "fashion-mnist");
  EXPECT_EQ(o.batch, 128);
  EXPECT_EQ(o.lr, 1e-3);
  EXPECT_EQ(o.optimizer, "adam");
  EXPECT_EQ(o.hidden, std::vector<int>{400});
  EXPECT_EQ(o.latent, 20);
  EXPECT_EQ(o.activation, "relu");
  EXPECT_EQ(o.likelihood, "bernoulli");
  EXPECT_EQ(o.binarize, "none");
  EXPECT_EQ(o.beta, 1);
  EXPECT_EQ(o.epochs, 10);
  EXPECT_EQ(o.steps, 0);
  EXPECT_EQ(o.seed, 0);
  EXPECT_EQ(o.device, "auto");
  EXPECT_EQ(o.out, "runs/vae");
  EXPECT_EQ(train({"ae"}).out, "runs/ae");
}

TEST_F(CommandLine, ReadsEachKindOfValue) {
  const TrainOptions o = train({"vae", "--hidden", "200,100", "--lr=3e-4", "--max-time", "90s", "--likelihood",
                                "gaussian", "--sigma", "learned", "--seed", "4294967295", "--quiet", "--out", "a b#c"});
  EXPECT_EQ(o.hidden, (std::vector<int>{200, 100}));
  EXPECT_EQ(o.lr, 3e-4);
  EXPECT_EQ(o.max_time.seconds, 90);
  EXPECT_TRUE(o.sigma.learned);
  EXPECT_EQ(o.seed, 4294967295);
  EXPECT_TRUE(o.quiet);
  EXPECT_EQ(o.out, "a b#c");
  EXPECT_EQ(train({"vae", "--max-time", "10m"}).max_time.seconds, 600);
  EXPECT_EQ(train({"vae", "--max-time", "2h"}).max_time.seconds, 7200);
  EXPECT_EQ(train({"vae", "--likelihood", "gaussian", "--sigma", "0.5"}).sigma.value, 0.5);
  EXPECT_TRUE(train({"vae", "--hidden", "none"}).hidden.empty());
  EXPECT_TRUE(train({"vae", "--hidden", "0"}).hidden.empty());
  EXPECT_EQ(train({"vae", "--lr", "1", "--lr", "2"}).lr, 2) << "the last one counts";
}

TEST_F(CommandLine, IsRecordedAsAShellWouldTakeIt) {
  EXPECT_EQ(train({"vae", "--lr=1e-3", "--out", "it's mine"}).command_line,
            "hourglass train vae --lr=1e-3 --out 'it'\\''s mine'");
}

TEST_F(CommandLine, AliasesAreAccepted) {
  const TrainOptions o = train({"vae", "--batch-size", "64", "--latent-dim", "2", "--max-steps", "7"});
  EXPECT_EQ(o.batch, 64);
  EXPECT_EQ(o.latent, 2);
  EXPECT_EQ(o.steps, 7);
}

TEST_F(CommandLine, CommandsOnARunTakeTheCommonOptions) {
  const std::vector<std::string> common = {"--data", "shapes", "--split", "train", "--device", "cpu",    "--batch",
                                           "7",      "--seed", "3",       "--out", "pictures", "--json", "--quiet"};
  for (const char* command : {"eval", "sample", "reconstruct", "interpolate", "embed"}) {
    std::vector<std::string> words{command, "runs/vae"};
    words.insert(words.end(), common.begin(), common.end());
    std::visit(
        [&](const auto& o) {
          if constexpr (std::is_base_of_v<RunOptions, std::decay_t<decltype(o)>>) {
            EXPECT_EQ(o.run, "runs/vae");
            EXPECT_EQ(o.data, "shapes");
            EXPECT_EQ(o.split, "train");
            EXPECT_EQ(o.device, "cpu");
            EXPECT_EQ(o.batch, 7);
            EXPECT_EQ(o.seed, 3);
            EXPECT_EQ(o.out, "pictures");
            EXPECT_TRUE(o.json);
            EXPECT_TRUE(o.quiet);
          } else {
            ADD_FAILURE() << command;
          }
        },
        parse_words(words));
  }
  EXPECT_EQ(std::get<EvalOptions>(parse_words({"eval", "r", "--iwae-samples", "500"})).iwae_samples, 500);
  EXPECT_EQ(std::get<SampleOptions>(parse_words({"sample", "r", "--n", "9"})).n, 9);
  EXPECT_TRUE(std::get<InterpolateOptions>(parse_words({"interpolate", "r", "--spherical"})).spherical);
  EXPECT_EQ(std::get<EvalOptions>(parse_words({"eval", "train"})).run, "train") << "a folder called like a command";
}

TEST_F(CommandLine, UnknownNamesComeWithTheNearest) {
  expect_refused({"trian", "vae"}, {"trian", "train"});
  expect_refused({"train", "vae", "--learning-rat", "1"}, {"--learning-rat", "nearest"});
  expect_refused({"train", "vae", "--bacth", "64"}, {"--bacth", "--batch"});
  expect_refused({"train", "--bacth", "64", "vae"}, {"--bacth", "--batch"});
  expect_refused({"train", "vae", "--epohcs=3"}, {"--epohcs", "--epochs"});
  expect_refused({"--foo"}, {"--foo"});
  expect_refused({"eval", "runs/vae", "--iwae-sample", "5"}, {"--iwae-sample", "--iwae-samples"});
  expect_refused({"train", "vae", "surplus"}, {"surplus"});
}

TEST_F(CommandLine, MissingPartsAreNamed) {
  expect_refused({}, {"command"});
  expect_refused({"train"}, {"MODEL", "vae", "ae"});
  expect_refused({"eval"}, {"RUN"});
  expect_refused({"train", "vae", "--lr"}, {"--lr"});
  expect_refused({"train", "gan"}, {"MODEL", "vae, ae, conv-vae, conv-ae or vqvae", "gan"});
}

TEST_F(CommandLine, NumbersAreFiniteAndInRange) {
  expect_refused({"train", "vae", "--lr", "nan"}, {"--lr", "finite number above 0", "nan"});
  expect_refused({"train", "vae", "--lr", "inf"}, {"--lr", "inf"});
  expect_refused({"train", "vae", "--lr", "-inf"}, {"--lr", "-inf"});
  expect_refused({"train", "vae", "--lr", "0"}, {"--lr", "above 0", "given 0"});
  expect_refused({"train", "vae", "--image-size", "64x"}, {"--image-size", "N, or HxW", "at most 8192", "64x"});
  expect_refused({"train", "vae", "--image-size", "0x4"}, {"--image-size", "0x4"});
  expect_refused({"train", "vae", "--image-size", "9000"}, {"--image-size", "9000"});
  for (const char* bad : {"0", "-1", "1T", "M", "1.5G", "9000000000G", "nan"}) {
    expect_refused({"train", "vae", "--data-memory", bad}, {"--data-memory", "500M or 4G", bad});
  }
  expect_refused({"train", "vae", "--crop", "top"}, {"--crop", "center or none", "top"});
  expect_refused({"train", "vae", "--channels", "2"}, {"--channels", "1, 3 or stored", "2"});
  expect_refused({"train", "vae", "--lr", "-1"}, {"--lr", "-1"});
  expect_refused({"train", "vae", "--lr", "1e-3x"}, {"--lr", "1e-3x"});
  expect_refused({"train", "vae", "--lr", "1e999"}, {"--lr", "1e999"});
  expect_refused({"train", "vae", "--lr", "--batch", "3"}, {"--lr", "--batch"});
  expect_refused({"train", "vae", "--batch", "0"}, {"--batch", "at least 1", "given 0"});
  expect_refused({"train", "vae", "--batch", "1.5"}, {"--batch", "integer", "1.5"});
  expect_refused({"train", "vae", "--batch", "99999999999999999999"}, {"--batch", "integer"});
  expect_refused({"train", "vae", "--seed", "4294967296"}, {"--seed", "4294967295", "4294967296"});
  expect_refused({"train", "vae", "--test-fraction", "1"}, {"--test-fraction", "below 1"});
  expect_refused({"train", "vae", "--hidden", "200,,100"}, {"--hidden", "200,,100"});
  expect_refused({"train", "vae", "--hidden", ""}, {"--hidden", "none", "given nothing"});
  expect_refused({"train", "vae", "--lr", "1e300"}, {"--lr", "1e+30", "1e300"});
  expect_refused({"train", "vae", "--adam-eps", "1e-300"}, {"--adam-eps", "1e-30", "1e-300"});
  expect_refused({"train", "vae", "--hidden", "200,0"}, {"--hidden", "at least 1"});
  expect_refused({"train", "vae", "--max-time", "90"}, {"--max-time", "90s, 10m or 2h"});
  expect_refused({"train", "vae", "--max-time", "-3s"}, {"--max-time"});
  expect_refused({"train", "vae", "--optimizer", "adma"}, {"--optimizer", "sgd, adam, adamw or adadelta", "adma"});
  expect_refused({"train", "vae", "--likelihood", "gaussian", "--sigma", "0"}, {"--sigma", "learned"});
}

TEST_F(CommandLine, OptionsThatContradictEachOtherAreRefused) {
  expect_refused({"train", "vae", "--steps", "5", "--epochs", "1"}, {"--epochs", "--steps", "both"});
  expect_refused({"train", "vae", "--resume", "--overwrite"}, {"--resume", "--overwrite"});
  expect_refused({"train", "ae", "--beta", "2"}, {"--beta", "vae"});
  expect_refused({"train", "vae", "--code-activation", "relu"}, {"--code-activation", "ae"});
  expect_refused({"train", "vae", "--sigma", "2"}, {"--sigma", "gaussian"});
  expect_refused({"train", "vae", "--momentum", "0.9"}, {"--momentum", "sgd"});
  expect_refused({"train", "vae", "--optimizer", "sgd", "--nesterov"}, {"--nesterov", "--momentum"});
  expect_refused({"train", "vae", "--lr-gamma", "0.5"}, {"--lr-gamma", "--lr-schedule"});
}

TEST_F(CommandLine, ConfigFileIsReadWhereverItsOptionStands) {
  const std::string file = write("c.toml",
                                 "# a comment\n[train]\nmodel = \"ae\"\nlr = 2e-3   # another\n"
                                 "hidden = [512, 256]\nout = \"a # b\"\nquiet = true\n\n[eval]\nbatch = 7\n");
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"--config", file, "train"}, {"train", "--config", file}, {"train", "--config=" + file}}) {
    const TrainOptions o = std::get<TrainOptions>(parse_words(words));
    EXPECT_EQ(o.model, "ae");
    EXPECT_EQ(o.lr, 2e-3);
    EXPECT_EQ(o.hidden, (std::vector<int>{512, 256}));
    EXPECT_EQ(o.out, "a # b");
    EXPECT_TRUE(o.quiet);
    EXPECT_EQ(o.batch, 128) << "the key of another section";
  }
  EXPECT_EQ(std::get<EvalOptions>(parse_words({"eval", "r", "--config", file})).batch, 7);
}

TEST_F(CommandLine, CommandLineBeatsTheFile) {
  const std::string file = write("c.toml", "model = \"ae\"\nlr = 2e-3\nlatent = 5\nsteps = 100\n");
  const TrainOptions o = train({"vae", "--lr", "1", "--epochs", "3", "--config", file});
  EXPECT_EQ(o.model, "vae");
  EXPECT_EQ(o.lr, 1);
  EXPECT_EQ(o.latent, 5);
  EXPECT_EQ(o.epochs, 3);
  EXPECT_EQ(o.steps, 0) << "--epochs replaces the file's steps";
  EXPECT_EQ(train({"--config", write("d.toml", "model = \"ae\"\nepochs = 9\n"), "--steps", "4"}).steps, 4);
  EXPECT_EQ(train({"--config", write("mark.toml", "\xEF\xBB\xBFmodel = 'ae'\n")}).model, "ae") << "of some editors";
}

TEST_F(CommandLine, ConfigFileMistakesNameFileLineAndKey) {
  const auto refused = [&](const std::string& text, std::initializer_list<const char*> parts) {
    const std::string file = write("bad.toml", text);
    expect_refused({"train", "vae", "--config", file}, parts);
    expect_refused({"train", "vae", "--config", file}, {"bad.toml"});
  };
  refused("lr = 1\nlatnet = 3\n", {":2:", "latnet", "latent"});
  refused("lr = nan\n", {":1:", "lr", "finite", "nan"});
  refused("[trian]\nlr = 1\n", {":2:", "trian", "train"});
  refused("[eval]\nbatch = 0\n", {":2:", "batch", "at least 1"});
  refused("lr = 1\nlr = 2\n", {":2:", "lr"});
  refused("batch = 1\nbatch-size = 2\n", {":2:", "batch", "twice"});
  refused("epochs = 1\nsteps = 2\n", {"epochs", "steps", "both"});
  refused("overwrite = true\n", {":1:", "overwrite", "command line"});
  refused("lr 1\n", {":1:", "="});
  refused("lr = \n", {":1:", "value"});
  refused("data = mnist\n", {":1:", "quotes", "mnist"});
  refused("data = \"mnist\n", {":1:", "quote"});
  refused("lr = 1 2\n", {":1:", "end of the line"});
  refused("[train\nlr = 1\n", {":1:", "]"});
  refused("hidden = [200, 100\n", {":1:"});
  refused(std::string("lr = 1\0\n", 8), {":1:", "byte of value 0"});
  refused("out = \"\xC3(\"\n", {":1:", "UTF-8"});
  expect_refused({"train", "vae", "--config", folder("none.toml")}, {"none.toml"});
  expect_refused({"train", "vae", "--config", folder_.string()}, {folder_.c_str()});
}

TEST_F(CommandLine, EveryPrefixAndBitFlipOfAConfigFileIsReadOrRefused) {
  const std::string text = "[train]\nmodel = \"vae\" # c\nhidden = [20, 10]\nmax-time = \"10m\"\nout = 'x\\y'\n";
  const auto try_text = [](const std::string& broken) {
    try {
      parse_config(broken, "c.toml");
    } catch (const Error& error) {
      EXPECT_EQ(error.exit(), Exit::kUsage);
      EXPECT_EQ(std::string(error.what()).rfind("c.toml:", 0), 0u) << error.what();
    }
  };
  for (size_t n = 0; n <= text.size(); ++n) try_text(text.substr(0, n));
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string broken = text;
    broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << bit % 8));
    try_text(broken);
  }
}

/// Values that assign() accepts, one of each form that its kind has.
std::vector<std::string> values_of(const OptionRow& row) {
  if (!row.accepts.words.empty()) return row.accepts.words;
  if (row.is_flag()) return {"true", "false"};
  if (std::holds_alternative<std::string*>(row.field)) return {"/a \"quoted\\ # text\x01\x7f", "/k\xc3\xa4se", "mnist"};
  if (std::holds_alternative<std::vector<int>*>(row.field)) return {"7,5", "7", "none"};
  if (std::holds_alternative<Sigma*>(row.field)) return {"learned", "optimal", "0.25"};
  if (std::holds_alternative<Duration*>(row.field)) return {"91s", "10m", "2h", "0.5s"};
  if (std::holds_alternative<ImageSize*>(row.field)) return {"48x64", "48"};
  if (std::holds_alternative<MemorySize*>(row.field)) return {"1536K", "1000", "3M", "4G"};
  if (std::holds_alternative<double*>(row.field)) return {"0.1234567890123456", "1e-05"};
  return {"3", "1000"};
}

TEST_F(CommandLine, ConfigTextReadsBackToTheSameOptions) {
  std::vector<TrainOptions> cases = {train({"vae"}), train({"ae", "--hidden", "none", "--epochs", "3"})};
  for (size_t form = 0; form < 6; ++form) {
    for (const OptionRow& row : option_table(cases.emplace_back())) {
      const std::vector<std::string> values = values_of(row);
      if (row.name != "epochs") assign(row, values[form % values.size()], row.name);
    }
  }
  for (TrainOptions& options : cases) {
    CommandOptions read;
    apply_config_file(write("round.toml", config_text(options)), "train", command_table(read));
    TrainOptions fresh;
    const OptionTable before = option_table(options), after = option_table(read.train), initial = option_table(fresh);
    for (size_t i = 0; i < before.size(); ++i) {
      const bool stored = before[i].role == Role::kRun || before[i].role == Role::kMayDiffer;
      EXPECT_EQ(to_text(after[i]), to_text((stored ? before : initial)[i])) << before[i].name;
    }
    EXPECT_EQ(config_text(read.train), config_text(options));
  }
}

TEST_F(CommandLine, ResumeTakesTheStoredOptions) {
  const std::string run = folder("run");
  write("run/config.toml",
        config_text(train({"ae", "--lr", "0.5", "--latent", "3", "--steps", "40", "--out", "elsewhere"})));
  const TrainOptions o = train({"--resume", "--out", run, "--steps", "80", "--threads", "2", "--device", "cpu"});
  EXPECT_EQ(o.model, "ae");
  EXPECT_EQ(o.lr, 0.5);
  EXPECT_EQ(o.latent, 3);
  EXPECT_EQ(o.steps, 80);
  EXPECT_EQ(o.threads, 2);
  EXPECT_EQ(o.out, run);
  EXPECT_EQ(train({"--resume", "--out", run}).steps, 40);
  EXPECT_EQ(train({"--resume", "--out", run, "--epochs", "2"}).steps, 0);
  EXPECT_EQ(train({"--resume", "--out", run, "--lr", "5e-1"}).lr, 0.5) << "the same value, spelled differently";
  expect_refused({"train", "--resume", "--out", run, "--lr", "1e-3"}, {"lr", "0.5", "0.001", "config.toml"});
  expect_refused({"train", "vae", "--resume", "--out", run}, {"model", "ae", "vae"});
  EXPECT_EQ(train({"vae", "--resume", "--out", folder("new")}).lr, 1e-3) << "nothing to resume: afresh";
}

TEST_F(CommandLine, OnlyTheListedOptionsMayDifferOnResume) {
  TrainOptions o;
  std::set<std::string> may_differ;
  for (const OptionRow& row : option_table(o)) {
    if (row.role == Role::kMayDiffer) may_differ.insert(row.name);
  }
  EXPECT_EQ(may_differ, (std::set<std::string>{"data", "data-dir", "cache-dir", "data-memory", "epochs", "steps",
                                               "max-time", "out", "checkpoint-every", "keep", "device", "threads"}));
}

TEST_F(CommandLine, HelpAndVersionArePrinted) {
  EXPECT_NE(printed({"--help"}).find("train"), std::string::npos);
  EXPECT_EQ(printed({"--version"}).rfind("hourglass ", 0), 0u);
  const std::string help = printed({"train", "--help"});
  TrainOptions o;
  for (const OptionRow& row : option_table(o)) {
    const std::string shown = row.positional ? row.value : "--" + row.name;
    EXPECT_NE(help.find(shown), std::string::npos) << shown;
  }
  EXPECT_NE(help.find("[128]"), std::string::npos) << "defaults";
  EXPECT_NE(help.find("Exit codes"), std::string::npos);
  EXPECT_EQ(printed({"train", "vae", "-h", "--batch", "64"}), help) << "defaults, whatever else is given";
  CommandOptions options;
  for (const Command& command : command_table(options)) {
    const std::string text = printed({command.name, "--help"});
    EXPECT_EQ(text, help_text(command));
    for (size_t at = 0; at < text.size();) {
      const size_t end = text.find('\n', at);
      EXPECT_LE(end - at, 100u) << text.substr(at, end - at);
      at = end + 1;
    }
  }
}

TEST_F(CommandLine, ConvolutionalModels) {
  const TrainOptions vae = train({"conv-vae"});
  EXPECT_TRUE(vae.is_vae());
  EXPECT_EQ(vae.latent, 20);
  EXPECT_EQ(vae.out, "runs/conv-vae");
  EXPECT_EQ(train({"conv-ae"}).latent, 0);
  EXPECT_EQ(train({"conv-ae", "--latent", "7"}).latent, 7);
  EXPECT_EQ(train({"ae", "--encoder", "conv 8 3; dense 5"}).encoder, "conv 8 3; dense 5");
  expect_refused({"train", "conv-vae", "--hidden", "100"}, {"--hidden", "--encoder"});
  expect_refused({"train", "vae", "--latent", "0"}, {"--latent", "at least 1", "0"});
  expect_refused({"train", "conv-ae", "--beta", "2"}, {"--beta", "conv-vae"});
}

TEST_F(CommandLine, PresetsAreTheShippedConfigs) {
  const TrainOptions o = train({"--preset", "keras-conv", "--epochs", "1"});
  EXPECT_EQ(o.model, "conv-ae");
  EXPECT_EQ(o.encoder, "conv 32 3; max-pool 2; conv 32 3; max-pool 2");
  EXPECT_EQ(o.epochs, 1);
  EXPECT_EQ(o.out, "runs/keras-conv");
  EXPECT_EQ(train({"--preset", "ae2d", "--out", "x"}).out, "x");
  expect_refused({"train", "--preset", "keras-cnv"}, {"--preset", "keras-cnv", "the nearest is keras-conv"});
  expect_refused({"train", "--preset", "vae", "--config", "x.toml"}, {"--config", "--preset", "both"});
  expect_refused({"eval", "runs/x", "--preset", "vae"}, {"--preset", "train", "eval"});
}

TEST_F(CommandLine, ShippedConfigsAreSound) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(HOURGLASS_SOURCE_DIR) / "apps/configs")) {
    ++files;
    const TrainOptions o = train({"--config", entry.path().string()});
    EXPECT_EQ(o.given.count("out"), 0u) << entry.path();
  }
  EXPECT_GE(files, 4);
}

}  // namespace
}  // namespace hourglass
