// SPDX-License-Identifier: Apache-2.0
// The program from outside: every refusal with its exit code and a message that names the culprit, and what goes to
// which stream.
#include <gtest/gtest.h>

#include <fstream>

#include "engine/io/json.h"
#include "engine/io/png.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using test::Outcome;

class ProgramTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    for (const char* model : {"vae", "ae"}) {
      const Outcome trained = run({"train", model, "--data", "shapes:16:600", "--batch", "50", "--hidden", "24",
                                   "--latent", "2", "--epochs", "2", "--out", at(model)});
      ASSERT_EQ(trained.exit, 0) << trained.err;
      ASSERT_EQ(trained.out, "") << "everything that train says goes to standard error";
      ASSERT_EQ(trained.err.find("  device      cpu ("), 0u) << "the device and why come first: " << trained.err;
      ASSERT_NE(trained.err.find("parameters"), std::string::npos) << trained.err;
    }
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static Outcome run(const std::vector<std::string>& words) { return test::run_program(folder_->path(), words); }
  static std::string at(const std::string& name) { return (*folder_ / name).string(); }

  static void expect_refused(int exit, const std::vector<std::string>& parts, const std::vector<std::string>& words) {
    SCOPED_TRACE(::testing::PrintToString(words));
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit, exit) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.find("hourglass: "), 0u) << outcome.err;
    for (const std::string& part : parts) EXPECT_NE(outcome.err.find(part), std::string::npos) << part << outcome.err;
  }

  static Json answer(std::vector<std::string> words) {
    words.push_back("--json");
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "") << "nothing to complain of";
    EXPECT_EQ(outcome.out.find('\n'), outcome.out.size() - 1) << "one object on one line";
    return Json::parse(outcome.out, words.front());
  }

  static test::TemporaryFolder* folder_;
};

test::TemporaryFolder* ProgramTest::folder_ = nullptr;

TEST_F(ProgramTest, JsonIsOneObjectAndNamesWhatWasMade) {
  const std::vector<std::vector<std::string>> commands = {{"sample", at("vae")},
                                                          {"reconstruct", at("vae")},
                                                          {"reconstruct", at("ae")},
                                                          {"interpolate", at("vae")},
                                                          {"interpolate", at("ae"), "--spherical"},
                                                          {"embed", at("vae")},
                                                          {"embed", at("ae"), "--split", "train"}};
  for (const std::vector<std::string>& words : commands) {
    SCOPED_TRACE(::testing::PrintToString(words));
    const Json facts = answer(words);
    for (const Json& figure : facts.at("figures").elements()) {
      EXPECT_GE(read_png(figure.as_string()).width, 600) << figure.as_string();
    }
    if (words[0] != "embed") continue;
    EXPECT_EQ(facts.at("figures").elements().size(), 2u) << "the scatter and the decoded plane";
    for (const Json& file : facts.at("files").elements()) EXPECT_TRUE(fs::exists(file.as_string())) << file.dump();
  }
  EXPECT_EQ(answer({"eval", at("ae")}).get_string("model"), "ae");
  EXPECT_EQ(answer({"info", at("vae")}).get_string("kind"), "run");
  answer({"doctor"});
}

TEST_F(ProgramTest, EvalPrintsATableAndQuietSilencesTheOthers) {
  const Outcome eval = run({"eval", at("vae"), "--iwae-samples", "100", "--quiet"});
  EXPECT_EQ(eval.exit, 0);
  EXPECT_EQ(eval.err, "");
  for (const char* part : {"negative ELBO", "IWAE bound", "100 samples", "active units"}) {
    EXPECT_NE(eval.out.find(part), std::string::npos) << part << eval.out;
  }
  const Outcome sample = run({"sample", at("vae"), "--quiet"});
  EXPECT_EQ(sample.out + sample.err, "");
  EXPECT_NE(run({"sample", at("vae")}).out.find("samples-seed-0.png"), std::string::npos);
}

TEST_F(ProgramTest, UsageErrorsExitWith2) {
  expect_refused(2, {"--resume", "--overwrite", at("vae")}, {"train", "vae", "--data", "shapes", "--out", at("vae")});
  expect_refused(2, {"--lr", "nan"}, {"train", "vae", "--lr", "nan"});
  expect_refused(2, {"--lerning-rate"}, {"train", "vae", "--lerning-rate", "1"});
  expect_refused(2, {"gan", "vae"}, {"train", "gan"});
  expect_refused(2, {"--epochs", "--steps"}, {"train", "vae", "--epochs", "1", "--steps", "1"});
  expect_refused(2, {at("none.toml")}, {"train", "vae", "--config", at("none.toml")});
  expect_refused(2, {"600", "1000", "--batch"},
                 {"train", "vae", "--data", "shapes:16:600", "--batch", "1000", "--out", at("new")});
  expect_refused(2, {"prior", at("ae")}, {"sample", at("ae")});
  expect_refused(2, {"--iwae-samples", at("ae")}, {"eval", at("ae"), "--iwae-samples", "5"});
  expect_refused(2, {"--split", "every"}, {"eval", at("vae"), "--split", "every"});
  expect_refused(2, {"RUN"}, {"eval"});
  EXPECT_FALSE(fs::exists(at("new"))) << "a refused run leaves no folder";
}

TEST_F(ProgramTest, AConfigFileWithAMisspeltKeyIsRefused) {
  std::ofstream(at("misspelt.toml")) << "[train]\nlatnet = 3\n";
  expect_refused(2, {at("misspelt.toml"), "latnet", "latent"}, {"train", "vae", "--config", at("misspelt.toml")});
}

TEST_F(ProgramTest, AFolderOfOthersIsNeverOverwritten) {
  fs::create_directories(at("mine"));
  std::ofstream(at("mine/thesis.txt")) << "words";
  expect_refused(2, {at("mine")}, {"train", "vae", "--data", "shapes:16:600", "--overwrite", "--out", at("mine")});
  EXPECT_TRUE(fs::exists(at("mine/thesis.txt")));
}

TEST_F(ProgramTest, DataErrorsExitWith3) {
  expect_refused(3, {at("none")}, {"train", "vae", "--data", at("none"), "--out", at("new")});
  expect_refused(3, {"16 x 16 x 1", "20 x 20 x 1", at("vae")}, {"eval", at("vae"), "--data", "shapes:20:100"});
  expect_refused(3, {"val", "--split all"}, {"embed", at("vae"), "--split", "val"});
  EXPECT_FALSE(fs::exists(at("new")));
}

TEST_F(ProgramTest, AMissingDeviceExitsWith4) {
  expect_refused(4, {"cuda:63"}, {"eval", at("vae"), "--device", "cuda:63"});
  expect_refused(4, {"cuda:63"},
                 {"train", "vae", "--data", "shapes:16:600", "--device", "cuda:63", "--out", at("new")});
}

TEST_F(ProgramTest, ALockedOrUnwritableFolderExitsWith5) {
  const FileLock lock(at("vae") + "/.lock");
  expect_refused(5, {".lock", std::to_string(getpid())},
                 {"train", "vae", "--data", "shapes:16:600", "--resume", "--quiet", "--out", at("vae")});
  const std::string below_a_file = at("vae/run.json/pictures");
  expect_refused(5, {below_a_file}, {"sample", at("vae"), "--out", below_a_file});
}

TEST_F(ProgramTest, ALossThatIsNotFiniteExitsWith6) {
  const std::vector<std::string> words = {
      "train", "ae",       "--data", "shapes:16:600", "--likelihood", "gaussian",    "--lr", "1e30", "--batch",
      "50",    "--hidden", "8",      "--out",         at("wild"),     "--optimizer", "sgd"};
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.exit, 6) << outcome.err;
  EXPECT_NE(outcome.err.find("step "), std::string::npos) << outcome.err;
}

TEST_F(ProgramTest, MissingAndBrokenRunsExitWith7) {
  for (const char* command : {"eval", "sample", "reconstruct", "interpolate", "embed"}) {
    expect_refused(7, {at("none")}, {command, at("none")});
  }
  const std::string broken = at("broken.safetensors");
  fs::copy_file(answer({"eval", at("vae")}).get_string("checkpoint"), broken);
  std::fstream(broken, std::ios::in | std::ios::out | std::ios::binary).seekp(-5, std::ios::end).put('\x55');
  expect_refused(7, {broken}, {"eval", broken});
  fs::resize_file(broken, 100);
  expect_refused(7, {broken}, {"info", broken});
}

TEST_F(ProgramTest, ABrokenNewestCheckpointIsPassedOverWithANotice) {
  const std::string run_folder = at("two");
  ASSERT_EQ(run({"train", "vae", "--data", "shapes:16:600", "--batch", "50", "--hidden", "8", "--epochs", "2", "--out",
                 run_folder, "--quiet"})
                .exit,
            0);
  const std::string newest = answer({"eval", run_folder}).get_string("checkpoint");
  fs::resize_file(newest, 1000);
  const Outcome eval = run({"eval", run_folder, "--json"});
  EXPECT_EQ(eval.exit, 0);
  EXPECT_NE(eval.err.find(newest), std::string::npos) << eval.err;
  EXPECT_EQ(Json::parse(eval.out, "eval").get_integer("step"), 12);
}

TEST_F(ProgramTest, AProfileIsATableAndAFile) {
  const std::vector<std::string> train = {"train", "ae",      "--data", "shapes:8:200", "--batch",     "20", "--hidden",
                                          "24",    "--steps", "9",      "--out",        at("profiled")};
  std::vector<std::string> words = train;
  words.insert(words.end(), {"--profile", "4"});
  const Outcome outcome = run(words);
  ASSERT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("profile of 4 steps"), std::string::npos) << outcome.err;
  const Json profile = Json::parse(read_text_file(at("profiled") + "/profile.json"), "profile.json");
  EXPECT_EQ(profile.get_integer("steps"), 4);
  double sum = 0;
  for (const Json& entry : profile.at("entries").elements()) {
    EXPECT_NE(outcome.err.find("  " + entry.get_string("name") + " "), std::string::npos) << entry.dump();
    sum += entry.get_number("forward_us") + entry.get_number("backward_us");
  }
  EXPECT_NEAR(sum, profile.get_number("microseconds"), 1e-6 * sum);

  words.back() = "100";
  words.push_back("--overwrite");
  EXPECT_NE(run(words).err.find("profile of 6 steps"), std::string::npos) << "as many as there were";
  words[9] = "2";
  const Outcome brief = run(words);
  EXPECT_NE(brief.err.find("--profile: no step was measured"), std::string::npos) << brief.err;
  EXPECT_FALSE(fs::exists(at("profiled") + "/profile.json"));
  expect_refused(2, {"--profile", "at least 1", "0"}, {"train", "ae", "--profile", "0"});
}

}  // namespace
}  // namespace hourglass
