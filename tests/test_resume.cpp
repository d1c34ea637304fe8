// SPDX-License-Identifier: Apache-2.0
// A run that was stopped, by a signal or a kill, by the time or because it was finished, and went on, is the run that
// was never stopped: the same bits in its last checkpoint and the same log apart from the times.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "engine/checkpoint.h"
#include "engine/io/json.h"
#include "tests/file_checks.h"
#include "tests/harness.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// 9 steps an epoch; neither the log nor the checkpoints fall on its end.
Words train(const fs::path& out, const Words& more) {
  const Words common = {"train", "vae",      "--data",    "shapes:16:330", "--batch",     "32", "--hidden",
                        "24",    "--latent", "3",         "--quiet",       "--log-every", "4",  "--val-fraction",
                        "0.05",  "--out",    out.string()};
  return common + more;
}

/// Lines without the times, which no two runs share.
std::vector<std::string> log_of(const fs::path& run) {
  std::ifstream file(run / "metrics.jsonl");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    const Json point = Json::parse(line, "metrics");
    Json timeless = Json::object();
    for (const JsonMember& member : point.members()) {
      if (member.key.find("seconds") == std::string::npos && member.key != "images_per_second") {
        timeless.set(member.key, member.value);
      }
    }
    lines.push_back(timeless.dump());
  }
  return lines;
}

void expect_same_tensors(const fs::path& a, const fs::path& b) {
  SCOPED_TRACE(a.string() + " and " + b.string());
  const SafetensorsFile x = open_checkpoint(a), y = open_checkpoint(b);
  ASSERT_EQ(x.tensors().size(), y.tensors().size());
  for (const SafetensorsView& tensor : x.tensors()) {
    const SafetensorsView& other = y.at(tensor.name, tensor.type, tensor.shape);
    EXPECT_TRUE(std::equal(tensor.bytes.begin(), tensor.bytes.end(), other.bytes.begin(), other.bytes.end()))
        << tensor.name;
  }
}

void expect_same_run(const fs::path& a, const fs::path& b) {
  const FoundCheckpoint last_a = find_checkpoint(a), last_b = find_checkpoint(b);
  EXPECT_EQ(last_a.path.filename(), last_b.path.filename());
  expect_same_tensors(last_a.path, last_b.path);
  expect_same_tensors(a / "checkpoints/best.safetensors", b / "checkpoints/best.safetensors");
  EXPECT_EQ(log_of(a), log_of(b));
}

class ResumeTest : public ::testing::Test {
 protected:
  int run(const Words& words) {
    const test::Outcome outcome = test::run_program(folder_.path(), words);
    errors_ = outcome.err;
    return outcome.exit;
  }
  /// Starts, waits until a checkpoint is there, and sends the signal. Returns the exit code.
  int stopped(const Words& words, const fs::path& out, int signal) {
    test::Program program(folder_.path(), words);
    while (!fs::exists(out / "checkpoints/latest") && !program.ended()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    program.signal(signal);
    const int exit = program.wait();
    errors_ = program.err();
    return exit;
  }

  /// What `info` says.
  int64_t parameters_of(const std::string& out) {
    const test::Outcome outcome = test::run_program(folder_.path(), {"info", out, "--json"});
    return Json::parse(outcome.out, "info").at("latest").get_integer("parameters");
  }
  /// How many values Adam knows.
  static int64_t moments_of(const fs::path& out) {
    const FoundCheckpoint found = find_checkpoint(out);
    size_t bytes = 0;
    for (const SafetensorsView& t : found.file.tensors()) {
      if (t.name.rfind("optimizer/exp_avg/", 0) == 0) bytes += t.bytes.size();
    }
    return static_cast<int64_t>(bytes / sizeof(float));
  }

  test::TemporaryFolder folder_;
  std::string errors_;
};

TEST_F(ResumeTest, ASignalSavesAndTheRunGoesOnBitForBit) {
  const Words length = {"--steps", "120", "--checkpoint-every", "11"};
  ASSERT_EQ(run(train(folder_ / "whole", length)), 0) << errors_;
  signal(SIGHUP, SIG_DFL);  // the child's too, also where the tests run under nohup
  for (const auto& [signal, name] : {std::pair{SIGINT, "interrupted"}, {SIGTERM, "terminated"}, {SIGHUP, "hung-up"}}) {
    const fs::path out = folder_ / name;
    EXPECT_EQ(stopped(train(out, length), out, signal), 128 + signal) << errors_;
    EXPECT_NE(errors_.find("--resume"), std::string::npos) << errors_;
    EXPECT_FALSE(fs::exists(out / "summary.json")) << "the run has not ended";
    ASSERT_EQ(run({"train", "--resume", "--quiet", "--out", out.string()}), 0) << errors_;
    expect_same_run(folder_ / "whole", out);
  }
}

TEST_F(ResumeTest, KillsAtAnyMomentLeaveARunThatGoesOn) {
  const fs::path out = folder_ / "killed";
  const Words length = {"--epochs", "8", "--checkpoint-every", "1", "--keep", "1"};
  ASSERT_EQ(run(train(folder_ / "whole", length)), 0) << errors_;
  test::Random random(1);
  int kills = 0;
  for (bool first = true; kills < 50; first = false) {
    test::Program program(folder_.path(), train(out, length + Words{first ? "--overwrite" : "--resume"}));
    std::this_thread::sleep_for(std::chrono::microseconds(random.integer(500, 60000)));
    if (program.ended()) {  // finished: once more from the beginning
      ASSERT_EQ(program.wait(), 0) << program.err();
      expect_same_run(folder_ / "whole", out);
      fs::remove_all(out);
      continue;
    }
    program.signal(SIGKILL);
    ASSERT_EQ(program.wait(), 128 + SIGKILL);
    ++kills;
    if (checkpoints_of(out).empty()) continue;
    ASSERT_NO_THROW(find_checkpoint(out)) << "after kill " << kills;
  }
  ASSERT_EQ(run(train(out, length + Words{"--resume"})), 0) << errors_;
  expect_same_run(folder_ / "whole", out);
}

TEST_F(ResumeTest, MoreEpochsAfterAFinishedRunAreOneLongerRun) {
  ASSERT_EQ(run(train(folder_ / "long", {"--epochs", "5"})), 0) << errors_;
  ASSERT_EQ(run(train(folder_ / "parts", {"--epochs", "2"})), 0) << errors_;
  ASSERT_EQ(run(train(folder_ / "parts", {"--epochs", "5", "--resume"})), 0) << errors_;
  expect_same_run(folder_ / "long", folder_ / "parts");
}

TEST_F(ResumeTest, MoreStepsAfterAnEndWithinAnEpochAreOneLongerRun) {
  ASSERT_EQ(run(train(folder_ / "long", {"--steps", "41"})), 0) << errors_;
  for (const char* steps : {"10", "19", "41"}) {
    ASSERT_EQ(run(train(folder_ / "parts", {"--steps", steps, "--resume"})), 0) << errors_;
  }
  expect_same_run(folder_ / "long", folder_ / "parts");
}

/// Their running statistics are part of the state; and what a trained network says of an image does not depend on the
/// images beside it.
TEST_F(ResumeTest, NetworksWithNormsGoOnAndEvaluateAlone) {
  const std::vector<std::pair<const char*, const char*>> networks = {
      {"conv-vae", "conv 8 4 2 batch-norm; conv 8 4 2 batch-norm"},
      {"conv-ae", "conv 8 4 2 group-norm:4; dense 12 batch-norm"}};
  for (const auto& [model, encoder] : networks) {
    const std::string name = model;
    const auto train_to = [&](const std::string& out, const char* steps) {
      return run({"train",
                  name,
                  "--encoder",
                  encoder,
                  "--latent",
                  "3",
                  "--data",
                  "shapes:16:330",
                  "--batch",
                  "32",
                  "--quiet",
                  "--log-every",
                  "4",
                  "--val-fraction",
                  "0.05",
                  "--corrupt",
                  "gaussian:0.25",
                  "--steps",
                  steps,
                  "--out",
                  folder_ / (name + out),
                  "--resume"});
    };
    ASSERT_EQ(train_to("-whole", "20"), 0) << errors_;
    for (const char* steps : {"7", "20"}) ASSERT_EQ(train_to("-parts", steps), 0) << errors_;
    expect_same_run(folder_ / (name + "-whole"), folder_ / (name + "-parts"));

    const std::string out = folder_ / (name + "-whole");
    EXPECT_EQ(parameters_of(out), moments_of(out)) << "running statistics are not trained";
    std::vector<double> objectives;
    for (const char* batch : {"1", "300"}) {
      const test::Outcome outcome = test::run_program(folder_.path(), {"eval", out, "--batch", batch, "--json"});
      ASSERT_EQ(outcome.exit, 0) << outcome.err;
      objectives.push_back(Json::parse(outcome.out, "eval").at("objective").as_number());
    }
    for (const double objective : objectives) EXPECT_NEAR(objective, objectives[0], 1e-5 * objectives[0]) << encoder;
    EXPECT_EQ(run({"reconstruct", out, "--quiet"}), 0) << errors_;
    EXPECT_EQ(run({name == "conv-vae" ? "sample" : "interpolate", out, "--quiet"}), 0) << errors_;
  }
}

TEST_F(ResumeTest, TheTimeLimitStopsARunThatGoesOn) {
  ASSERT_EQ(run(train(folder_ / "whole", {"--steps", "60"})), 0) << errors_;
  ASSERT_EQ(run(train(folder_ / "timed", {"--steps", "60", "--max-time", "0.001s"})), 0) << errors_;
  EXPECT_LT(Json::parse(read_text_file(folder_ / "timed/summary.json"), "summary").get_integer("step"), 60);
  ASSERT_EQ(run(train(folder_ / "timed", {"--resume", "--max-time", "1h"})), 0) << errors_;
  expect_same_run(folder_ / "whole", folder_ / "timed");
}

TEST_F(ResumeTest, AFinishedRunIsLeftAlone) {
  ASSERT_EQ(run(train(folder_ / "run", {"--epochs", "2"})), 0) << errors_;
  const auto state = [&] {
    std::string all;
    for (const std::string& name : list_files(folder_ / "run")) {
      if (name == ".lock") continue;  // it has the number of the process
      all += name + "\n" + read_text_file(folder_ / "run" / name);
    }
    return all;
  };
  const std::string before = state();
  EXPECT_EQ(run(train(folder_ / "run", {"--epochs", "2", "--resume"})), 0) << errors_;
  EXPECT_TRUE(state() == before);
}

TEST_F(ResumeTest, OnlyWhatMayDifferMayDiffer) {
  ASSERT_EQ(run(train(folder_ / "run", {"--epochs", "1"})), 0) << errors_;
  EXPECT_EQ(run(train(folder_ / "run", {"--resume", "--lr", "0.5"})), 2);
  for (const char* part : {"lr", "0.001", "0.5"}) EXPECT_NE(errors_.find(part), std::string::npos) << errors_;
  EXPECT_EQ(run(train(folder_ / "run", {"--resume", "--epochs", "2", "--threads", "1"})), 0) << errors_;
}

TEST_F(ResumeTest, NothingToResumeIsAFreshStartWithANotice) {
  EXPECT_EQ(run(train(folder_ / "new", {"--epochs", "1", "--resume"})), 0);
  EXPECT_NE(errors_.find("afresh"), std::string::npos) << errors_;
  EXPECT_TRUE(fs::exists(folder_ / "new/summary.json"));
}

TEST_F(ResumeTest, BestIsTheEpochOfTheLowestValidationObjective) {
  ASSERT_EQ(run(train(folder_ / "run", {"--epochs", "6", "--lr", "0.02"})), 0) << errors_;
  double lowest = 1e300;
  int64_t best = -1;
  std::ifstream file(folder_ / "run/metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    const Json point = Json::parse(line, "metrics");
    const Json* objective = point.find("val_objective");
    if (!objective || objective->as_number() >= lowest) continue;
    lowest = objective->as_number();
    best = point.get_integer("step");
  }
  ASSERT_GT(best, 0);
  EXPECT_EQ(open_checkpoint(folder_ / "run/checkpoints/best.safetensors").metadata("step"), std::to_string(best));
}

TEST_F(ResumeTest, TheStoredConfigRepeatsTheRun) {
  ASSERT_EQ(run(train(folder_ / "one", {"--epochs", "2", "--beta", "0.5", "--binarize", "dynamic"})), 0) << errors_;
  ASSERT_EQ(run({"train", "--quiet", "--config", (folder_ / "one/config.toml").string(), "--out",
                 (folder_ / "two").string()}),
            0)
      << errors_;
  expect_same_run(folder_ / "one", folder_ / "two");
}

/// The data are 84,480 bytes and need 330 times what they may take.
TEST_F(ResumeTest, DataBeyondTheDataMemoryMakeTheSameRun) {
  const Words length = {"--steps", "60", "--corrupt", "gaussian:0.5", "--mc-samples", "2"};
  const Words little = {"--data-memory", "256"};
  ASSERT_EQ(run(train(folder_ / "held", length)), 0) << errors_;
  Words streamed = train(folder_ / "streamed", length + little);
  std::erase(streamed, "--quiet");
  ASSERT_EQ(run(streamed), 0) << errors_;
  EXPECT_NE(errors_.find("batch by batch"), std::string::npos) << errors_;
  expect_same_run(folder_ / "held", folder_ / "streamed");
  // Begun with one, gone on with the other.
  ASSERT_EQ(run(train(folder_ / "changed", length + Words{"--max-time", "0.001s"})), 0) << errors_;
  EXPECT_LT(Json::parse(read_text_file(folder_ / "changed/summary.json"), "summary").get_integer("step"), 60);
  const Words resume = {"train", "--resume", "--out", (folder_ / "changed").string(), "--max-time", "1h"};
  ASSERT_EQ(run(resume + little), 0) << errors_;
  EXPECT_NE(errors_.find("batch by batch"), std::string::npos) << errors_;
  expect_same_run(folder_ / "held", folder_ / "changed");
}

}  // namespace
}  // namespace hourglass
