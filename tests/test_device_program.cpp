// SPDX-License-Identifier: Apache-2.0
// The program on machines that the emulator pretends to be: what it says first, what it warns of, and how it ends.
#include "engine/io/files.h"
#include "engine/io/npy.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

using test::Outcome;
using Words = std::vector<std::string>;

class DeviceProgram : public ::testing::Test {
 protected:
  Outcome run(const Words& words, const Words& environment = {}) const {
    return test::run_program(folder_.path(), words, environment);
  }
  Outcome train(const std::string& device, const Words& environment = {}) const {
    return run({"train", "vae", "--data", "shapes:8:100", "--batch", "10", "--hidden", "8", "--latent", "2", "--steps",
                "3", "--threads", "1", "--device", device, "--overwrite", "--out", (folder_ / "run").string()},
               environment);
  }
  static void expect_first_line(const Outcome& outcome, const std::string& line) {
    EXPECT_EQ(outcome.err.substr(0, outcome.err.find('\n')), line) << outcome.err;
  }
  static bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

  test::TemporaryFolder folder_;
};

TEST_F(DeviceProgram, TrainsWithoutADriver) {
  const Outcome outcome = train("auto", {"HOURGLASS_SIMT_DRIVER=0"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  expect_first_line(outcome, "  device      cpu (1 thread): no NVIDIA driver");
  EXPECT_FALSE(says(outcome.err, "hourglass: ")) << "nothing to warn of: " << outcome.err;
  const Outcome refused = train("cuda", {"HOURGLASS_SIMT_DRIVER=0"});
  EXPECT_EQ(refused.exit, 4);
  EXPECT_TRUE(says(refused.err, "--device cuda: no NVIDIA driver")) << refused.err;
}

TEST_F(DeviceProgram, WarnsOfAnOldDriver) {
  const Outcome outcome = train("auto", {"HOURGLASS_SIMT_DRIVER=12020"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  const std::string why = "the NVIDIA driver supports CUDA 12.2, this build needs 13.0";
  expect_first_line(outcome, "  device      cpu (1 thread): " + why);
  EXPECT_TRUE(says(outcome.err, "hourglass: " + why + "; going on with the CPU")) << outcome.err;
  const Outcome refused = train("cuda", {"HOURGLASS_SIMT_DRIVER=12020"});
  EXPECT_EQ(refused.exit, 4);
  EXPECT_TRUE(says(refused.err, why)) << refused.err;
}

TEST_F(DeviceProgram, WarnsOfACardItHasNoKernelsFor) {
  const Outcome outcome = train("auto", {"HOURGLASS_SIMT_IMAGE=0"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(says(outcome.err, "hourglass: SIMT emulator, compute capability 9.0: this build has no kernels for it"))
      << outcome.err;
  EXPECT_EQ(train("cuda", {"HOURGLASS_SIMT_IMAGE=0"}).exit, 4);
}

TEST_F(DeviceProgram, TrainsAndEvaluatesOnTheDeviceThatIsAskedFor) {
  const Outcome outcome = train("cuda");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  expect_first_line(outcome, "  device      cuda:0 (SIMT emulator, compute capability 9.0)");
  const std::string record = read_text_file(folder_ / "run" / "run.json");
  EXPECT_TRUE(says(record, "SIMT emulator")) << record;
  EXPECT_TRUE(says(record, "own tiles")) << record;
  const std::string of_run = (folder_ / "run").string();
  const Outcome cuda = run({"eval", of_run, "--device", "cuda", "--json", "--batch", "5"});
  EXPECT_EQ(cuda.exit, 0) << cuda.err;
  EXPECT_TRUE(says(cuda.out, "neg_elbo")) << cuda.out;
}

TEST_F(DeviceProgram, TrainsInThePrecisionThatIsAskedFor) {
  const std::string of_run = (folder_ / "run").string();
  const Words training = {"train", "vae",   "--data", "shapes:8:100", "--batch", "10",       "--hidden",
                          "8",     "--out", of_run,   "--device",     "cuda",    "--latent", "2"};
  const auto with = [&](Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  const Outcome outcome = with(training, {"--steps", "3", "--precision", "bf16"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_TRUE(says(outcome.err, "  precision   bf16: ")) << outcome.err;
  EXPECT_TRUE(says(outcome.err, "--precision bf16")) << outcome.err;
  EXPECT_TRUE(says(read_text_file(folder_ / "run" / "config.toml"), "precision = \"bf16\"\n"));
  const Outcome info = run({"info", of_run, "--json"});
  const std::string record = "\"precision\":\"bf16\"";
  const size_t first = info.out.find(record);
  EXPECT_NE(first, std::string::npos) << info.out;
  EXPECT_NE(info.out.find(record, first + 1), std::string::npos) << "of the run and of the checkpoint: " << info.out;
  // Another precision would be another run; the stored one goes on unasked, but not on the CPU.
  const Outcome other = with({"train"}, {"--out", of_run, "--resume", "--steps", "5", "--precision", "fp32"});
  EXPECT_EQ(other.exit, 2);
  EXPECT_TRUE(says(other.err, "precision = \"bf16\"") && says(other.err, "given fp32")) << other.err;
  EXPECT_EQ(with({"train"}, {"--out", of_run, "--resume", "--steps", "5"}).exit, 0);
  const Outcome on_cpu = with({"train"}, {"--out", of_run, "--resume", "--steps", "6", "--device", "cpu"});
  EXPECT_EQ(on_cpu.exit, 2);
  EXPECT_TRUE(says(on_cpu.err, "--precision bf16 expects a CUDA device")) << on_cpu.err;
  EXPECT_EQ(run({"eval", of_run, "--device", "cpu", "--json"}).exit, 0) << "what is trained is used anywhere";
}

TEST_F(DeviceProgram, AutoIsTheCpuAndDoctorSaysWhy) {
  expect_first_line(train("auto"),
                    "  device      cpu (1 thread): this build emulates CUDA, which only --device cuda picks");
  const Outcome doctor = run({"doctor"});
  EXPECT_EQ(doctor.exit, 0) << doctor.err;
  EXPECT_TRUE(says(doctor.out, "cuda") && says(doctor.out, "emulated")) << doctor.out;
  EXPECT_TRUE(says(doctor.out, "this build emulates CUDA")) << doctor.out;
}

TEST_F(DeviceProgram, ClustersAndCodesAreThoseOfTheCpu) {
  const auto at = [&](const std::string& name) { return (folder_ / name).string(); };
  const auto expect_done = [&](Words words, const std::string& device) {
    words.insert(words.end(), {"--device", device, "--threads", "1", "--quiet"});
    const Outcome outcome = run(words);
    ASSERT_EQ(outcome.exit, 0) << outcome.err;
  };
  expect_done({"train", "vqvae", "--data", "shapes:8:60", "--batch", "20", "--steps", "20", "--encoder", "conv 2 4 2",
               "--codebook-size", "4", "--code-dim", "2", "--out", at("vq")},
              "cpu");
  for (const std::string device : {"cpu", "cuda"}) {
    expect_done({"kmeans", "--data", "shapes:8:60", "--k", "3", "--iterations", "3", "--out", at(device)}, device);
    expect_done({"encode", at("vq"), "--out", at(device + "/codes.npy")}, device);
    expect_done({"decode", at("vq"), "--codes", at("cpu/codes.npy"), "--out", at(device + "/images.npy")}, device);
  }
  for (const char* name : {"assignments.npy", "codes.npy"}) {
    EXPECT_EQ(read_file(folder_ / "cpu" / name), read_file(folder_ / "cuda" / name)) << name;
  }
  const std::vector<float> cpu = to_float(read_npy(at("cpu/images.npy"))),
                           cuda = to_float(read_npy(at("cuda/images.npy")));
  ASSERT_EQ(cpu.size(), 6u * 64);
  for (size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(cpu[i], cuda[i], 1e-5) << i;
}

}  // namespace
}  // namespace hourglass
