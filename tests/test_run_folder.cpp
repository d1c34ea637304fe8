// SPDX-License-Identifier: Apache-2.0
// The run folder: what is refused, what is removed, what a kill may leave, and who may write.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "apps/run_folder.h"
#include "apps/terminal.h"
#include "engine/buffer.h"
#include "engine/checkpoint.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("hourglass-run-folder-" + std::to_string(::getpid()));
    fs::create_directories(root_);
    run_ = root_ / "runs" / "vae";
  }
  void TearDown() override { fs::remove_all(root_); }

  void make_run() const {
    RunFolder folder(run_, IfExists::kRefuse);
    folder.write_record(Json::object({{"version", "0"}}));
    folder.append_metrics(Json::object({{"step", 1}}));
    save(folder, 1);
  }

  static void save(RunFolder& folder, int64_t step, int keep = 2) {
    folder.save_checkpoint(step, keep, [](const fs::path& path) { write_file_atomic(path, "a checkpoint"); });
  }

  static void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

  static void expect_error(const std::function<void()>& f, Exit exit, const std::vector<std::string>& parts) {
    try {
      f();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.exit(), exit) << error.what();
      for (const std::string& part : parts) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
      }
    }
  }

  std::vector<std::string> checkpoints() const {
    std::vector<std::string> names;
    for (const fs::path& path : checkpoints_of(run_)) names.push_back(path.filename().string());
    return names;
  }

  fs::path root_, run_;
};

TEST_F(RunFolderTest, NewAndEmptyFoldersAreTaken) {
  for (const IfExists mode : {IfExists::kRefuse, IfExists::kOverwrite, IfExists::kResume}) {
    fs::remove_all(run_);
    EXPECT_FALSE(RunFolder(run_, mode).has_checkpoint());
    EXPECT_TRUE(fs::is_directory(run_ / "figures"));
    fs::remove_all(run_);
    fs::create_directories(run_);
    EXPECT_NO_THROW(RunFolder(run_, mode));
  }
}

TEST_F(RunFolderTest, AnExistingRunIsRefused) {
  make_run();
  expect_error([&] { RunFolder(run_, IfExists::kRefuse); }, Exit::kUsage, {run_.string(), "--resume", "--overwrite"});
  EXPECT_EQ(checkpoints().size(), 1u) << "and left as it was";
}

TEST_F(RunFolderTest, OverwriteRemovesARun) {
  make_run();
  write(run_ / "figures" / "mine.png", "x");
  const RunFolder folder(run_, IfExists::kOverwrite);
  EXPECT_FALSE(folder.has_checkpoint());
  EXPECT_EQ(read_text_file(run_ / "run.json").find("version"), std::string::npos);
  EXPECT_FALSE(fs::exists(run_ / "metrics.jsonl"));
  EXPECT_TRUE(fs::is_empty(run_ / "figures"));
}

TEST_F(RunFolderTest, OverwriteFollowsNoLinks) {
  make_run();
  write(root_ / "precious.txt", "x");
  fs::create_directory_symlink(root_, run_ / "link");
  const RunFolder folder(run_, IfExists::kOverwrite);
  EXPECT_FALSE(fs::exists(run_ / "link"));
  EXPECT_TRUE(fs::exists(root_ / "precious.txt"));
}

TEST_F(RunFolderTest, AFolderOfSomebodyElseIsLeftAlone) {
  fs::create_directories(run_);
  write(run_ / "thesis.tex", "x");
  for (const char* record : {"", "{}", "{\"program\":\"other\"}", "[1]", "not json"}) {
    if (*record) write(run_ / "run.json", record);
    for (const IfExists mode : {IfExists::kRefuse, IfExists::kOverwrite, IfExists::kResume}) {
      expect_error([&] { RunFolder(run_, mode); }, Exit::kUsage, {run_.string(), "run.json", "--overwrite"});
    }
    EXPECT_TRUE(fs::exists(run_ / "thesis.tex"));
    EXPECT_FALSE(fs::exists(run_ / ".lock")) << "nothing is added";
  }
}

TEST_F(RunFolderTest, AFileIsNoFolder) {
  write(root_ / "file", "x");
  expect_error([&] { RunFolder(root_ / "file", IfExists::kOverwrite); }, Exit::kUsage, {"file", "--out"});
  expect_error([&] { RunFolder(root_ / "file" / "run", IfExists::kRefuse); }, Exit::kIo, {"file"});
}

TEST_F(RunFolderTest, ALockKeepsASecondProcessOut) {
  make_run();
  const RunFolder first(run_, IfExists::kResume);
  for (const IfExists mode : {IfExists::kResume, IfExists::kOverwrite}) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        RunFolder second(run_, mode);
      } catch (const Error& error) {
        ::_exit(error.exit_code());
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 5);
  }
  EXPECT_EQ(checkpoints().size(), 1u);
  expect_error([&] { RunFolder(run_, IfExists::kResume); }, Exit::kIo, {"lock", std::to_string(::getpid())});
}

TEST_F(RunFolderTest, AStartThatWasKilledCanBeRepeated) {
  fs::create_directories(run_);
  write(run_ / ".lock", "12345\n");
  write(run_ / "run.json.tmp-12345", "{");
  EXPECT_NO_THROW(RunFolder(run_, IfExists::kRefuse));
  EXPECT_FALSE(fs::exists(run_ / "run.json.tmp-12345"));
  expect_error([&] { RunFolder(run_, IfExists::kRefuse); }, Exit::kUsage, {"--overwrite"});
  EXPECT_NO_THROW(RunFolder(run_, IfExists::kResume)) << "a run from its first moment on";
  EXPECT_NO_THROW(RunFolder(run_, IfExists::kOverwrite));
}

TEST_F(RunFolderTest, KeepsTheNewestCheckpoints) {
  RunFolder folder(run_, IfExists::kRefuse);
  write_file_atomic(folder.best_checkpoint(), "the best");
  for (const int64_t step : {9, 99, 100, 100000000, 200000000}) save(folder, step, 3);
  EXPECT_EQ(checkpoints(),
            (std::vector<std::string>{checkpoint_name(200000000), checkpoint_name(100000000), checkpoint_name(100)}));
  EXPECT_EQ(read_text_file(run_ / "checkpoints" / "latest"), checkpoint_name(200000000) + "\n");
  save(folder, 300000000, 1);
  EXPECT_EQ(checkpoints(), std::vector<std::string>{checkpoint_name(300000000)});
  EXPECT_TRUE(fs::exists(folder.best_checkpoint()));
}

TEST_F(RunFolderTest, AFailedCheckpointChangesNothing) {
  RunFolder folder(run_, IfExists::kRefuse);
  save(folder, 1);
  const auto fail = [](const fs::path&) { throw Error(Exit::kIo, "disk full"); };
  expect_error([&] { folder.save_checkpoint(2, 1, fail); }, Exit::kIo, {"disk full"});
  EXPECT_EQ(checkpoints(), std::vector<std::string>{checkpoint_name(1)});
  EXPECT_EQ(read_text_file(run_ / "checkpoints" / "latest"), checkpoint_name(1) + "\n");
}

TEST_F(RunFolderTest, RewindingCutsWhatIsLater) {
  RunFolder folder(run_, IfExists::kRefuse);
  for (const int64_t step : {10, 20, 30}) {
    folder.append_metrics(Json::object({{"step", step}, {"kl", 0.5}}));
    if (step == 20) folder.append_metrics(Json::object({{"step", step}, {"test_elbo", -1}}));
    save(folder, step, 9);
  }
  folder.write_summary(Json::object({{"kl", 0.5}}));
  EXPECT_TRUE(folder.summary().has_value());
  std::ofstream(run_ / "metrics.jsonl", std::ios::app) << "{\"step\":40,\"k";
  folder.rewind_to(20);
  EXPECT_FALSE(folder.summary().has_value());
  EXPECT_EQ(checkpoints().front(), checkpoint_name(20));
  const std::string kept = "{\"step\":10,\"kl\":0.5}\n{\"step\":20,\"kl\":0.5}\n{\"step\":20,\"test_elbo\":-1}\n";
  EXPECT_EQ(read_text_file(run_ / "metrics.jsonl"), kept);
  folder.append_metrics(Json::object({{"step", 21}}));
  EXPECT_EQ(read_text_file(run_ / "metrics.jsonl"), kept + "{\"step\":21}\n");
}

TEST_F(RunFolderTest, ATornLineIsDropped) {
  RunFolder folder(run_, IfExists::kRefuse);
  write(run_ / "metrics.jsonl", "{\"step\":1}\n{\"step\":2");
  folder.rewind_to(100);
  EXPECT_EQ(read_text_file(run_ / "metrics.jsonl"), "{\"step\":1}\n");
  write(run_ / "metrics.jsonl", "{\"step\":1}\n{\"st\n{\"step\":3}\n");
  expect_error([&] { folder.rewind_to(100); }, Exit::kCheckpoint, {"metrics.jsonl:2"});
}

TEST(Terminal, NumbersReadWell) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(12939427), "12.3 MiB");
  EXPECT_EQ(format_bytes(size_t{123} << 30), "123.0 GiB");
  EXPECT_EQ(time_text(0.34), "0.3 s");
  EXPECT_EQ(time_text(42), "42 s");
  EXPECT_EQ(time_text(725), "12:05");
  EXPECT_EQ(time_text(7439), "2:03:59");
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(60000), "60,000");
  EXPECT_EQ(count_text(-1234567), "-1,234,567");
  EXPECT_EQ(count_text(-123), "-123");
}

}  // namespace
}  // namespace hourglass
