// SPDX-License-Identifier: Apache-2.0
// What happens to runs: a picture that cannot be written, a full disk, data that moved, a damaged folder. None of it
// costs what was trained.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "engine/checkpoint.h"
#include "engine/io/json.h"
#include "engine/io/npy.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class RunMishaps : public ::testing::Test {
 protected:
  void SetUp() override { write_data("data.npy"); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  void write_data(const std::string& name) const {
    std::vector<uint8_t> pixels;
    for (int i = 0; i < 100 * 64; ++i) pixels.push_back(static_cast<uint8_t>(i * 37));
    write_npy(at(name), pixels, std::vector<int64_t>{100, 8, 8});
  }

  test::Outcome run(const Words& words) const { return test::run_program(folder_.path(), words); }

  /// 3 steps an epoch.
  test::Outcome train(const Words& more) const {
    Words words = {"train",    "vae", "--data", at("data.npy"), "--batch", "30",          "--hidden", "8",
                   "--latent", "2",   "--out",  at("run"),      "--quiet", "--log-every", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  test::Outcome resume(const Words& more) const {
    Words words = {"train", "--resume", "--quiet", "--out", at("run")};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  std::string newest() const { return find_checkpoint(at("run")).path.filename().string(); }

  test::TemporaryFolder folder_;
};

void expect_exit(const test::Outcome& outcome, int exit, const Words& parts = {}) {
  EXPECT_EQ(outcome.exit, exit) << outcome.err;
  for (const std::string& part : parts) EXPECT_NE(outcome.err.find(part), std::string::npos) << part << outcome.err;
}

TEST_F(RunMishaps, APictureThatCannotBeWrittenCostsNoStep) {
  for (const Words& every : {Words{}, Words{"--checkpoint-every", "3"}}) {
    fs::remove_all(at("run"));
    Words one = every;
    one.insert(one.end(), {"--epochs", "1"});
    expect_exit(train(one), 0);
    fs::remove(at("run/figures/samples.png"));
    fs::create_directories(at("run/figures/samples.png"));
    expect_exit(resume({"--epochs", "3"}), 5, {at("run/figures/samples.png")});
    EXPECT_EQ(newest(), checkpoint_name(6));
    fs::remove(at("run/figures/samples.png"));
    expect_exit(resume({"--epochs", "3"}), 0);
    EXPECT_EQ(newest(), checkpoint_name(9));
  }
}

TEST_F(RunMishaps, AnOptimalSigmaIsResumedAndLoaded) {
  expect_exit(train({"--epochs", "1", "--likelihood", "gaussian", "--sigma", "optimal"}), 0);
  expect_exit(resume({"--epochs", "2"}), 0);
  expect_exit(run({"train", "--quiet", "--config", at("run/config.toml"), "--out", at("again")}), 0);
  EXPECT_EQ(newest(), checkpoint_name(6));
}

TEST_F(RunMishaps, AFileSizeLimitIsAnErrorAndNoEndBySignal) {
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit tight = {16 << 10, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const test::Outcome outcome = train({"--hidden", "100", "--epochs", "1"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  expect_exit(outcome, 5, {at("run") + "/checkpoints/step-00000003.safetensors", "File too large"});
}

TEST_F(RunMishaps, ANameIsNoFolderOfTheCurrentOne) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  fs::create_directories("shapes");
  expect_exit(train({"--data", "shapes:8:100", "--epochs", "1"}), 0);
  fs::create_directories("shapes:8:100");
  expect_exit(run({"eval", at("run"), "--quiet"}), 0);
  expect_exit(train({"--data", "shapes:8:100", "--epochs", "1", "--overwrite"}), 0);
  expect_exit(run({"eval", at("run"), "--quiet"}), 0);
  fs::current_path(before);
}

TEST_F(RunMishaps, TheChecksumSaysWhetherDataAreTheSame) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  expect_exit(train({"--data", "data.npy", "--epochs", "1", "--keep", "3"}), 0);
  fs::current_path(before);
  expect_exit(resume({"--epochs", "2"}), 0);
  expect_exit(run({"train", "--quiet", "--config", at("run/config.toml"), "--out", at("again")}), 0);
  fs::create_directories(at("moved"));
  fs::rename(at("data.npy"), at("moved/data.npy"));
  expect_exit(resume({"--epochs", "3"}), 3, {at("data.npy"), "no such file"});
  expect_exit(resume({"--epochs", "3", "--data", at("moved/data.npy"), "--keep", "1"}), 0);
  EXPECT_EQ(checkpoints_of(at("run")).size(), 1u) << "a full disk asks for fewer";
  expect_exit(resume({"--epochs", "4"}), 0);
  expect_exit(run({"eval", at("run"), "--quiet"}), 0);
  expect_exit(resume({"--epochs", "5", "--data", "shapes:8:100"}), 3, {"changed", "shapes:8:100"});
}

TEST_F(RunMishaps, WithoutASoundLatestTheNewestIsTaken) {
  expect_exit(train({"--epochs", "2"}), 0);
  const fs::path latest = at("run/checkpoints/latest");
  std::ofstream(latest) << std::string(5000, 'x');
  expect_exit(run({"eval", at("run"), "--quiet"}), 0);
  fs::remove(latest);
  fs::create_directories(latest);
  const test::Outcome outcome = run({"eval", at("run"), "--json", "--quiet"});
  expect_exit(outcome, 0);
  EXPECT_NE(outcome.out.find(checkpoint_name(6)), std::string::npos) << outcome.out;
}

TEST_F(RunMishaps, ALogIsCutWhereItIsDamagedBehindTheCheckpoint) {
  expect_exit(train({"--epochs", "1"}), 0);
  const std::string log = read_text_file(at("run/metrics.jsonl"));
  std::ofstream(at("run/metrics.jsonl")) << log << "{\"step\": 4, \"epo\n{\"st\n";
  expect_exit(resume({"--epochs", "2"}), 0);
  std::ifstream lines(at("run/metrics.jsonl"));
  int64_t last = 0;
  for (std::string line; std::getline(lines, line);) last = Json::parse(line, line).get_integer("step");
  EXPECT_EQ(last, 6);
  std::ofstream(at("run/metrics.jsonl")) << "{\"step\": 1, \"epo\n" << log;
  expect_exit(resume({"--epochs", "3"}), 7, {"metrics.jsonl:1"});
}

TEST_F(RunMishaps, AUsedUpTimeIsSaid) {
  expect_exit(train({"--steps", "600", "--max-time", "0.0001s"}), 0);
  const std::string stopped = newest();
  const test::Outcome outcome = run({"train", "--resume", "--out", at("run")});
  expect_exit(outcome, 0, {"used up", "of 600 steps", "--max-time"});
  EXPECT_TRUE(fs::exists(at("run/summary.json")));
  EXPECT_EQ(newest(), stopped);
  expect_exit(resume({"--max-time", "1h", "--steps", "60"}), 0);
  EXPECT_EQ(newest(), checkpoint_name(60));
}

TEST_F(RunMishaps, PathsOfAnyBytesAreKeptOrRefusedAtOnce) {
  const std::string odd = at("run\x7f\x01");
  expect_exit(train({"--epochs", "1", "--out", odd, "--cache-dir", at("c\x7f")}), 0);
  expect_exit(run({"train", "--resume", "--quiet", "--epochs", "2", "--out", odd}), 0);
  for (const char* bytes : {"\xff", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    for (const char* option : {"--out", "--data", "--cache-dir"}) {
      expect_exit(train({option, at(bytes)}), 2, {option, "UTF-8"});
    }
    EXPECT_FALSE(fs::exists(at(bytes)));
  }
}

}  // namespace
}  // namespace hourglass
