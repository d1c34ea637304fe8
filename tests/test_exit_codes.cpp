// SPDX-License-Identifier: Apache-2.0
// The rows of the table of exit codes that test_program.cpp and test_resume.cpp do not reach, each with the real
// program and a message that names path, expectation and what was given.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>

#include "engine/checkpoint.h"
#include "engine/io/json.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class ExitCodes : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  test::Outcome run(const Words& words) const { return test::run_program(folder_.path(), words); }

  test::Outcome train(const std::string& data, const Words& more = {}) const {
    Words words = {"train",    "vae", "--data",   data, "--batch", "10",      "--hidden", "8",
                   "--latent", "2",   "--epochs", "1",  "--out",   at("run"), "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }

  static void expect_refused(const test::Outcome& outcome, int exit, const Words& parts) {
    EXPECT_EQ(outcome.exit, exit) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    for (const std::string& part : parts) EXPECT_NE(outcome.err.find(part), std::string::npos) << part << outcome.err;
  }

  template <class T>
  void write_array(const std::string& name, const std::vector<T>& values, const std::vector<int64_t>& shape) const {
    write_npy(at(name), values, shape);
  }
  void write_images(const std::string& name, int count, int side = 8) const {
    write_array(name, std::vector<uint8_t>(static_cast<size_t>(count * side * side), 7), {count, side, side});
  }
  void write_text(const std::string& name, const std::string& text) const { std::ofstream(at(name)) << text; }

  test::TemporaryFolder folder_;
};

TEST_F(ExitCodes, TheHelpListsEveryCode) {
  const std::string help = run({"--help"}).out, codes = help.substr(help.find("Exit codes"));
  for (int code = 0; code <= static_cast<int>(Exit::kDeviceFault); ++code) {
    EXPECT_NE(codes.find("  " + std::to_string(code) + " "), std::string::npos) << code << codes;
  }
}

TEST_F(ExitCodes, Usage2PrecisionOfAnotherDevice) {
  for (const std::string precision : {"tf32", "bf16"}) {
    expect_refused(train("shapes:8:100", {"--device", "cpu", "--precision", precision}), 2,
                   {"--precision " + precision + " expects a CUDA device", "CPU"});
  }
  EXPECT_FALSE(fs::exists(at("run"))) << "refused before a folder is touched";
  expect_refused(train("shapes:8:100", {"--precision", "fp16"}), 2, {"--precision", "fp32", "tf32", "bf16", "fp16"});
}

TEST_F(ExitCodes, Data3MissingEmptyOrTruncated) {
  expect_refused(train(at("none.npy")), 3, {at("none.npy"), "no such file"});
  write_images("empty.npy", 0);
  expect_refused(train(at("empty.npy")), 3, {at("empty.npy"), "no samples", "(0, 8, 8)"});
  fs::create_directories(at("folder"));
  expect_refused(train(at("folder")), 3, {at("folder"), "expected PNG, JPEG, IDX or CIFAR-10 files"});
  write_images("cut.npy", 20);
  fs::resize_file(at("cut.npy"), fs::file_size(at("cut.npy")) - 1);
  expect_refused(train(at("cut.npy")), 3, {at("cut.npy"), "1280", "1279"});
  write_text("text-idx3-ubyte", "words");
  expect_refused(train(at("text-idx3-ubyte")), 3, {at("text-idx3-ubyte"), "not an IDX file"});
  expect_refused(run({"info", at("text-idx3-ubyte")}), 3, {at("text-idx3-ubyte")});
}

TEST_F(ExitCodes, Data3NotFiniteOrOutOfRange) {
  std::vector<float> values(20 * 4, 0.5f);
  values[9] = std::numeric_limits<float>::quiet_NaN();
  write_array("nan.npy", values, {20, 2, 2});
  expect_refused(train(at("nan.npy")), 3, {at("nan.npy"), "element 1 of sample 2", "nan", "finite"});
  values[9] = 1.5f;
  write_array("wide.npy", values, {20, 2, 2});
  expect_refused(train(at("wide.npy")), 3, {at("wide.npy"), "1.5", "0..1", "--likelihood gaussian"});
  EXPECT_EQ(train(at("wide.npy"), {"--likelihood", "gaussian"}).exit, 0);
}

TEST_F(ExitCodes, Data3OutOfTheRangeThatBinarizeAndCorruptExpect) {
  std::vector<float> values(20 * 4, 0.5f);
  write_array("gray.npy", values, {20, 2, 2});
  values[9] = 1.5f;
  write_array("wide.npy", values, {20, 2, 2});
  for (const Words& option : {Words{"--binarize", "static"}, {"--corrupt", "gaussian:0.5"}}) {
    const Words gaussian = {"--likelihood", "gaussian", option[0], option[1]};
    expect_refused(train(at("wide.npy"), gaussian), 3,
                   {at("wide.npy"), "1.5", "0..1", "without --binarize and --corrupt"});
    ASSERT_EQ(train(at("gray.npy"), gaussian).exit, 0);
    expect_refused(run({"eval", at("run"), "--data", at("wide.npy")}), 3, {at("wide.npy"), "1.5", "0..1"});
    fs::remove_all(at("run"));
  }
}

TEST_F(ExitCodes, Data3LabelsOfAnotherLength) {
  write_images("a.npy", 20);
  write_array("a-labels.npy", std::vector<int64_t>(19), {19});
  expect_refused(train(at("a.npy")), 3, {at("a-labels.npy"), "20", "(19,)"});
}

TEST_F(ExitCodes, Data3ChannelsFirstAndMixedSizesComeWithTheWayOut) {
  write_array("nchw.npy", std::vector<uint8_t>(20 * 3 * 16), {20, 3, 4, 4});
  expect_refused(train(at("nchw.npy")), 3, {at("nchw.npy"), "(N, H, W, C)", "(20, 3, 4, 4)", "transpose"});
  fs::create_directories(at("png"));
  for (int i = 0; i < 20; ++i) {
    const int side = i == 7 ? 9 : 8;
    const std::vector<uint8_t> pixels(static_cast<size_t>(side * side), 3);
    write_png(at("png") + "/" + std::to_string(10 + i) + ".png", {side, side, 1, pixels});
  }
  expect_refused(train(at("png")), 3, {"10.png is 8 x 8", "17.png is 9 x 9", "--image-size"});
  fs::resize_file(at("png/17.png"), 40);
  expect_refused(train(at("png")), 3, {at("png/17.png"), "--skip-bad"});
  const test::Outcome skipped = train(at("png"), {"--skip-bad"});
  EXPECT_EQ(skipped.exit, 0) << skipped.err;
  EXPECT_NE(skipped.err.find("1 of 20"), std::string::npos) << skipped.err;
}

TEST_F(ExitCodes, Data3ChangedSinceTheTraining) {
  write_images("a.npy", 40);
  ASSERT_EQ(train(at("a.npy")).exit, 0);
  EXPECT_EQ(run({"eval", at("run"), "--quiet"}).exit, 0);
  write_images("a.npy", 41);
  for (const char* command : {"eval", "reconstruct", "interpolate", "embed"}) {
    SCOPED_TRACE(command);
    expect_refused(run({command, at("run")}), 3, {at("a.npy"), "changed", at("run"), "--data"});
  }
  EXPECT_EQ(run({"eval", at("run"), "--data", at("a.npy"), "--quiet"}).exit, 0) << "they were asked for by name";
  EXPECT_EQ(run({"sample", at("run"), "--quiet"}).exit, 0) << "needs no data";
  expect_refused(train(at("a.npy"), {"--resume", "--epochs", "2"}), 3, {"a.npy", "changed"});
}

TEST_F(ExitCodes, Memory4NamesBothSizes) {
  expect_refused(train("shapes:1024:10000000"), 4, {"shapes:1024:10000000", "TiB", "memory allows", "--image-size"});
  expect_refused(train("shapes:8:100", {"--hidden", "1048576,1048576"}), 4,
                 {"parameters", "TiB", "available", "--batch"});
  EXPECT_FALSE(fs::exists(at("run")));
}

TEST_F(ExitCodes, Disk5FullLeavesNoPartialCheckpoint) {
  // A child takes over the ignored signal and the limit: its writes fail as those to a full disk do.
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit tight = {16 << 10, before.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const test::Outcome outcome = train("shapes:8:100", {"--hidden", "100", "--checkpoint-every", "1"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_DFL);
  expect_refused(outcome, 5, {at("run") + "/checkpoints/step-00000001.safetensors", "File too large"});
  EXPECT_TRUE(checkpoints_of(at("run")).empty());
  EXPECT_EQ(train("shapes:8:100", {"--hidden", "100", "--resume", "--checkpoint-every", "1"}).exit, 0);
}

TEST_F(ExitCodes, Output5ThatCannotBeWritten) {
  ASSERT_EQ(train("shapes:8:100").exit, 0);
  write_text("file", "");
  expect_refused(run({"sample", at("run"), "--out", at("file/pictures")}), 5, {at("file/pictures")});
}

TEST_F(ExitCodes, NotFinite6KeepsTheParametersAndNamesStepAndOp) {
  const Words wild = {"--optimizer", "sgd", "--lr", "1e30", "--checkpoint-every", "1"};
  expect_refused(train("shapes:8:100", wild), 6, {"step 1", "expected finite values"});
  const FoundCheckpoint kept = find_checkpoint(at("run"));
  for (const SafetensorsView& tensor : kept.file.tensors()) {
    if (tensor.type != ElementType::kF32) continue;
    std::vector<float> values(tensor.bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    for (const float value : values) ASSERT_TRUE(std::isfinite(value)) << tensor.name;
  }
  const test::Outcome look =
      train("shapes:8:100", {"--optimizer", "sgd", "--lr", "1e30", "--overwrite", "--detect-anomaly"});
  expect_refused(look, 6, {"step 1", "gaussian_head: output"});
}

TEST_F(ExitCodes, Checkpoint7ForeignNewerOrOfAnotherModel) {
  float weight[2] = {};
  write_safetensors(at("foreign.safetensors"), {{"w", ElementType::kF32, {2}, weight}}, {});
  expect_refused(run({"eval", at("foreign.safetensors")}), 7, {at("foreign.safetensors")});
  write_safetensors(at("newer.safetensors"), {{"w", ElementType::kF32, {2}, weight}}, {{"format_version", "99"}});
  expect_refused(run({"eval", at("newer.safetensors")}), 7, {at("newer.safetensors"), "99"});
  expect_refused(run({"info", at("newer.safetensors")}), 7, {at("newer.safetensors"), "99"});
  save_checkpoint(at("other.safetensors"), {{"model/weight", ElementType::kF32, {2}, weight}},
                  {{"step", "1"}, {"model", "{\"model\":\"gan\"}"}});
  expect_refused(run({"eval", at("other.safetensors")}), 7, {at("other.safetensors")});
  write_text("config.toml", "[train]\n");
  expect_refused(run({"eval", at("config.toml")}), 7, {at("config.toml")});
}

TEST_F(ExitCodes, Checkpoint7OfAModelThatCannotBe) {
  ASSERT_EQ(train("shapes:8:100").exit, 0);
  const SafetensorsFile file = open_checkpoint(checkpoints_of(at("run")).front());
  const auto refuse = [&](const char* hidden, const Words& parts) {
    Json model = Json::parse(file.metadata("model"), "model");
    model.set("model", "ae").set("hidden", Json::parse(hidden, "hidden")).set("decoder", "dense 64");
    model.set("latent", 64).set("spatial_code", true);
    StringMap metadata = file.metadata();
    metadata["model"] = model.dump();
    float weight[2] = {};
    save_checkpoint(at("bad.safetensors"), {{"model/weight", ElementType::kF32, {2}, weight}}, metadata);
    for (const char* command : {"eval", "reconstruct"}) {
      expect_refused(run({command, at("bad.safetensors")}), 7, parts);
    }
  };
  refuse("[]", {at("bad.safetensors"), "--hidden", "none"});
  refuse("[67108864, 67108864, 64]", {at("bad.safetensors"), "2^48", "67108864"});
}

}  // namespace
}  // namespace hourglass
