// SPDX-License-Identifier: Apache-2.0
// The program on machines that the emulator pretends to be: what it says first, what it warns of, and how it ends.
#include "engine/io/files.h"
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
  EXPECT_TRUE(says(outcome.err, "hourglass: SIMT emulator, compute capability 8.0: this build has no kernels for it"))
      << outcome.err;
  EXPECT_EQ(train("cuda", {"HOURGLASS_SIMT_IMAGE=0"}).exit, 4);
}

TEST_F(DeviceProgram, TrainsAndEvaluatesOnTheDeviceThatIsAskedFor) {
  const Outcome outcome = train("cuda");
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  expect_first_line(outcome, "  device      cuda:0 (SIMT emulator, compute capability 8.0)");
  const std::string record = read_text_file(folder_ / "run" / "run.json");
  EXPECT_TRUE(says(record, "SIMT emulator")) << record;
  EXPECT_TRUE(says(record, "own tiles")) << record;
  const std::string of_run = (folder_ / "run").string();
  const Outcome cuda = run({"eval", of_run, "--device", "cuda", "--json", "--batch", "5"});
  EXPECT_EQ(cuda.exit, 0) << cuda.err;
  EXPECT_TRUE(says(cuda.out, "neg_elbo")) << cuda.out;
}

TEST_F(DeviceProgram, AutoIsTheCpuAndDoctorSaysWhy) {
  expect_first_line(train("auto"),
                    "  device      cpu (1 thread): this build emulates CUDA, which only --device cuda picks");
  const Outcome doctor = run({"doctor"});
  EXPECT_EQ(doctor.exit, 0) << doctor.err;
  EXPECT_TRUE(says(doctor.out, "cuda") && says(doctor.out, "emulated")) << doctor.out;
  EXPECT_TRUE(says(doctor.out, "this build emulates CUDA")) << doctor.out;
}

}  // namespace
}  // namespace hourglass
