// SPDX-License-Identifier: Apache-2.0
// The program on a VQ-VAE, end to end on small ones: what a run leaves, what the commands say, what is refused.
#include <gtest/gtest.h>

#include <fstream>

#include "engine/checkpoint.h"
#include "engine/io/json.h"
#include "engine/io/png.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class VqVaeProgram : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  test::Outcome run(const Words& words) const { return test::run_program(folder_.path(), words); }
  test::Outcome train(const std::string& out, const Words& more = {}) const {
    Words words = {"train",      "vqvae",           "--data", "shapes:12:200", "--batch", "20",      "--encoder",
                   "conv 6 4 2", "--codebook-size", "16",     "--code-dim",    "4",       "--quiet", "--log-every",
                   "4",          "--out",           at(out)};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  void expect_done(const test::Outcome& outcome) const { ASSERT_EQ(outcome.exit, 0) << outcome.err; }
  static void expect_refused(const test::Outcome& outcome, int exit, const Words& parts) {
    EXPECT_EQ(outcome.exit, exit) << outcome.err;
    for (const std::string& part : parts) EXPECT_NE(outcome.err.find(part), std::string::npos) << part << outcome.err;
  }
  std::vector<Json> metrics(const std::string& out) const {
    std::ifstream file(folder_ / out / "metrics.jsonl");
    std::vector<Json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line, "metrics"));
    return lines;
  }
  void expect_picture(const fs::path& path) const {
    ASSERT_TRUE(fs::exists(folder_ / path)) << path;
    EXPECT_GE(read_png(folder_ / path).width, 600) << path;
  }

  test::TemporaryFolder folder_;
};

TEST_F(VqVaeProgram, TrainsAndEveryCommandTakesTheRun) {
  expect_done(train("run", {"--epochs", "2"}));
  const Json first = metrics("run").front();
  for (const char* key : {"objective", "mse", "perplexity", "codes_used", "codebook_loss", "commitment_loss"}) {
    ASSERT_TRUE(first.find(key)) << key;
    EXPECT_GT(first.get_number(key), 0) << key << " is live from the first line";
  }
  EXPECT_EQ(first.get_integer("step"), 4);
  for (const char* name : {"reconstructions.png", "codebook.png", "curves.png"}) {
    expect_picture(fs::path("run/figures") / name);
  }
  EXPECT_FALSE(fs::exists(folder_ / "run/figures/samples.png"));

  const test::Outcome eval = run({"eval", at("run"), "--json"});
  expect_done(eval);
  const Json facts = Json::parse(eval.out, "eval");
  EXPECT_EQ(facts.get_string("model"), "vqvae");
  for (const char* key : {"n", "mse", "psnr", "perplexity", "codes_used", "codebook_loss", "commitment_loss"}) {
    EXPECT_TRUE(facts.find(key)) << key;
  }
  const Json summary = Json::parse(read_text_file(folder_ / "run/summary.json"), "summary");
  EXPECT_EQ(facts.get_number("mse"), summary.get_number("test_mse"));
  EXPECT_EQ(facts.get_number("perplexity"), summary.get_number("test_perplexity"));
  EXPECT_LE(facts.get_integer("codes_used"), 16);
  const test::Outcome table = run({"eval", at("run"), "--quiet"});
  for (const char* word : {"perplexity", "codes used", "of 16", "commitment loss"}) {
    EXPECT_NE(table.out.find(word), std::string::npos) << table.out;
  }

  expect_refused(run({"sample", at("run")}), 2, {"vqvae", "prior"});
  expect_refused(run({"eval", at("run"), "--iwae-samples", "5"}), 2, {"--iwae-samples"});
  expect_done(run({"reconstruct", at("run"), "--n", "5"}));
  expect_picture("run/figures/reconstructions-test.png");
  expect_done(run({"interpolate", at("run"), "--pairs", "2"}));
  expect_done(run({"embed", at("run")}));
  const test::Outcome info = run({"info", at("run"), "--json"});
  expect_done(info);
  EXPECT_NE(info.out.find("model/codebook_counts"), std::string::npos);
}

TEST_F(VqVaeProgram, GoesOnBitForBit) {
  expect_done(train("whole", {"--steps", "14"}));
  expect_done(train("parts", {"--steps", "6"}));
  expect_done(run({"train", "--resume", "--steps", "14", "--quiet", "--out", at("parts")}));
  const FoundCheckpoint a = find_checkpoint(folder_ / "whole"), b = find_checkpoint(folder_ / "parts");
  EXPECT_EQ(a.path.filename(), b.path.filename());
  for (const SafetensorsView& t : a.file.tensors()) {
    const SafetensorsView& other = b.file.at(t.name, t.type, t.shape);
    EXPECT_TRUE(std::equal(t.bytes.begin(), t.bytes.end(), other.bytes.begin())) << t.name;
  }
  const std::vector<Json> whole = metrics("whole"), parts = metrics("parts");
  ASSERT_EQ(parts.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char* key : {"objective", "perplexity", "codes_used", "test_mse"}) {
      if (!whole[i].find(key)) continue;
      EXPECT_EQ(parts[i].get_number(key), whole[i].get_number(key)) << key << " of line " << i;
    }
  }
  expect_refused(run({"train", "--resume", "--quiet", "--ema-decay", "0.5", "--out", at("parts")}), 2, {"--ema-decay"});
}

TEST_F(VqVaeProgram, ThePlainFormHasACodebookWithAGradient) {
  expect_done(train("plain", {"--steps", "8", "--no-ema", "--init", "uniform", "--restart-threshold", "0"}));
  const FoundCheckpoint found = find_checkpoint(folder_ / "plain");
  EXPECT_TRUE(found.file.find("optimizer/exp_avg/codebook"));
  EXPECT_FALSE(found.file.find("model/codebook_counts"));
  const std::string config = read_text_file(folder_ / "plain/config.toml");
  EXPECT_NE(config.find("ema = false"), std::string::npos) << config;
  expect_done(run({"train", "--config", at("plain/config.toml"), "--out", at("again"), "--quiet"}));
  const auto mse = [this](const char* name) {
    return Json::parse(read_text_file(folder_ / name / "summary.json"), name).get_number("test_mse");
  };
  EXPECT_EQ(mse("again"), mse("plain"));
}

TEST_F(VqVaeProgram, DenoisesAsEveryAutoencoder) {
  expect_done(train("noisy", {"--steps", "10", "--corrupt", "gaussian:0.3"}));
  expect_picture("noisy/figures/denoised.png");
  EXPECT_TRUE(Json::parse(read_text_file(folder_ / "noisy/summary.json"), "summary").find("test_psnr_gain"));
  expect_done(run({"reconstruct", at("noisy"), "--n", "3"}));
}

TEST_F(VqVaeProgram, WhatDoesNotFitIsRefused) {
  expect_refused(train("x", {"--no-ema", "--restart-threshold", "1"}), 2, {"--restart-threshold", "--no-ema"});
  expect_refused(train("x", {"--no-ema", "--ema-decay", "0.5"}), 2, {"--ema-decay", "--ema"});
  expect_refused(train("x", {"--latent", "4"}), 2, {"--latent", "--code-dim"});
  expect_refused(train("x", {"--beta", "2"}), 2, {"--beta", "vae"});
  expect_refused(train("x", {"--hidden", "4"}), 2, {"--hidden"});
  expect_refused(train("x", {"--likelihood", "bernoulli"}), 2, {"--likelihood", "gaussian"});
  expect_refused(train("x", {"--init", "pca"}), 2, {"--init", "kmeans", "uniform", "pca"});
  expect_refused(train("x", {"--codebook-size", "0"}), 2, {"--codebook-size", "0"});
  expect_refused(train("x", {"--decoder", "conv 2 3"}), 2, {"--decoder"});
  expect_refused(run({"train", "vae", "--code-dim", "8", "--out", at("x")}), 2, {"--code-dim", "vqvae"});
  expect_refused(run({"train", "ae", "--no-ema", "--out", at("x")}), 2, {"--no-ema", "vqvae"});
  expect_refused(train("x", {"--optimizer", "sgd", "--lr", "1e30", "--steps", "9"}), 6, {"step", "finite"});
}

}  // namespace
}  // namespace hourglass
