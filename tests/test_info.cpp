// SPDX-License-Identifier: Apache-2.0
// What `info` and `doctor` print, for people and for programs.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "apps/commands.h"
#include "apps/facts.h"
#include "apps/run_folder.h"
#include "engine/checkpoint.h"
#include "engine/io/npy.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

template <class F>
std::string printed(F&& f) {
  ::testing::internal::CaptureStdout();
  f();
  return ::testing::internal::GetCapturedStdout();
}

Json info(const std::string& path) {
  const std::string text = printed([&] { EXPECT_EQ(run_info({.path = path, .data_dir = {}, .json = true}), 0); });
  EXPECT_EQ(text.find('\n'), text.size() - 1) << "one object in one line";
  return Json::parse(text, "info");
}

class InfoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hourglass-info-" + std::to_string(::getpid()));
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  static void save_some_checkpoint(const fs::path& path) {
    float weight[6] = {}, moment[6] = {};
    save_checkpoint(path,
                    {{"model/weight", ElementType::kF32, {2, 3}, weight}, {"adam/m", ElementType::kF32, {6}, moment}},
                    {{"step", "12"}, {"parameters", "6"}, {"model", "{\"latent\":3}"}});
  }

  fs::path root_;
};

TEST_F(InfoTest, DescribesARun) {
  {
    RunFolder run(root_ / "run", IfExists::kRefuse);
    run.write_record(Json::object({{"version", "0.1"}}));
    EXPECT_EQ(info((root_ / "run").string()).find("latest"), nullptr) << "no checkpoint yet";
    run.save_checkpoint(12, 2, save_some_checkpoint);
    run.write_summary(Json::object({{"kl", 0.5}}));
  }
  const Json facts = info((root_ / "run").string());
  EXPECT_EQ(facts.get_string("kind"), "run");
  EXPECT_EQ(facts.at("run").get_string("version"), "0.1");
  EXPECT_EQ(facts.at("summary").get_number("kl"), 0.5);
  EXPECT_EQ(facts.at("latest").get_integer("step"), 12);
  EXPECT_EQ(facts.at("latest").get_integer("parameters"), 6);
}

TEST_F(InfoTest, DescribesACheckpoint) {
  const fs::path path = root_ / "some.safetensors";
  save_some_checkpoint(path);
  const Json facts = info(path.string());
  EXPECT_EQ(facts.get_string("kind"), "checkpoint");
  EXPECT_EQ(facts.at("model").get_integer("latent"), 3);
  EXPECT_EQ(facts.at("tensors").get_string("model/weight"), "f32 (2, 3)");
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_THROW(run_info({.path = path.string(), .data_dir = {}, .json = true}), Error);
}

TEST_F(InfoTest, DescribesData) {
  const Json facts = info("shapes:16:40");
  EXPECT_EQ(facts.get_string("kind"), "data");
  EXPECT_EQ(facts.get_integer("height"), 16);
  EXPECT_EQ(facts.get_integer("train"), 40);
  const std::string path = (root_ / "labelled.npy").string();
  write_npy(path, std::vector<uint8_t>(3 * 4), std::vector<int64_t>{3, 2, 2});
  write_npy(root_ / "labelled-labels.npy", std::vector<int32_t>{0, 5, 2147483647}, std::vector<int64_t>{3});
  EXPECT_EQ(info(path).get_integer("classes"), int64_t{1} << 31);
}

TEST_F(InfoTest, WhatIsNotThereIsAnErrorOfItsKind) {
  const auto exit_of = [](const std::string& path) {
    try {
      run_info({.path = path, .data_dir = {}, .json = true});
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      return error.exit();
    }
    return Exit::kDone;
  };
  EXPECT_EQ(exit_of((root_ / "none").string()), Exit::kData);
  EXPECT_EQ(exit_of((root_ / "none.safetensors").string()), Exit::kCheckpoint);
}

TEST_F(InfoTest, DoctorKnowsTheBuild) {
  const std::string text = printed([] { EXPECT_EQ(run_doctor({.data_dir = {}, .json = true}), 0); });
  const Json facts = Json::parse(text, "doctor");
  for (const char* key : {"version", "commit", "compiler", "flags", "onednn", "libraries"}) {
    EXPECT_FALSE(facts.at("build").get_string(key).empty()) << key;
  }
  EXPECT_NE(facts.get_string("device").find("cpu"), std::string::npos);
}

TEST_F(InfoTest, DoctorNamesWhatChoosesKernels) {
  const auto facts = [] { return printed([] { EXPECT_EQ(run_doctor({.data_dir = {}, .json = true}), 0); }); };
  EXPECT_TRUE(Json::parse(facts(), "doctor").at("environment").at("HOURGLASS_WGMMA").is_null());
  setenv("HOURGLASS_WGMMA", "1", 1);
  EXPECT_EQ(Json::parse(facts(), "doctor").at("environment").get_string("HOURGLASS_WGMMA"), "1");
  unsetenv("HOURGLASS_WGMMA");
}

TEST(Facts, ReadAsATable) {
  const Json facts = Json::object({{"active_units", 20},
                                   {"n", 10000},
                                   {"kl", 1.5},
                                   {"note", nullptr},
                                   {"model", Json::object({{"tied", true}, {"hidden", Json::array({400, 20})}})},
                                   {"nothing", Json::object({{"x", nullptr}})},
                                   {"tensors", Json::object({{"optimizer/exp_avg", "f32 (2,)"}})},
                                   {"config", "[train]\nlatent = 2\n"}});
  EXPECT_EQ(facts_text(facts),
            "  active units  20\n"
            "  n             10,000\n"
            "  kl            1.5\n"
            "  model\n"
            "    tied    yes\n"
            "    hidden  400, 20\n"
            "  tensors\n"
            "    optimizer/exp_avg  f32 (2,)\n"
            "  config\n"
            "    [train]\n"
            "    latent = 2\n");
}

}  // namespace
}  // namespace hourglass
