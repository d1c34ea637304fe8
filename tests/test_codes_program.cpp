// SPDX-License-Identifier: Apache-2.0
// encode, decode and rate-distortion as users run them: codes come back as the reconstruction, bit for bit; rates are
// what the file says; files of other models are refused.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "apps/pictures.h"
#include "engine/dataset.h"
#include "engine/io/json.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "models/inference.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class CodesProgram : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    // 12 x 12 images become 6 x 6 codes.
    const Words quantized = {"--encoder", "conv 6 4 2", "--code-dim", "4", "--batch", "20", "--steps", "30"};
    for (const char* size : {"16", "5"}) {
      Words words = {"--codebook-size", size};
      words.insert(words.end(), quantized.begin(), quantized.end());
      train("vqvae", "sweep/vq" + std::string(size), words);
    }
    train("vae", "sweep/vae", {"--hidden", "16", "--latent", "3", "--batch", "20", "--steps", "10"});
  }
  static void TearDownTestSuite() { delete folder_; }

  static void train(const char* model, const std::string& out, const Words& more) {
    Words words = {"train", model, "--data", "shapes:12:200", "--quiet", "--out", at(out)};
    words.insert(words.end(), more.begin(), more.end());
    const test::Outcome outcome = run(words);
    ASSERT_EQ(outcome.exit, 0) << outcome.err;
  }
  static std::string at(const std::string& name) { return (*folder_ / name).string(); }
  static test::Outcome run(const Words& words) { return test::run_program(folder_->path(), words); }
  static Json answer(Words words) {
    words.push_back("--json");
    const test::Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    return Json::parse(outcome.out, words.front());
  }
  static void expect_refused(int exit, const Words& words, const Words& parts) {
    const test::Outcome outcome = run(words);
    EXPECT_EQ(outcome.exit, exit) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    for (const std::string& part : parts) EXPECT_NE(outcome.err.find(part), std::string::npos) << part << outcome.err;
  }

  /// What the loaded model makes of the test images.
  static Matrix reconstruction(const std::string& name) {
    const Dataset data = load_dataset({.spec = "shapes:12:200"});
    return Inference::load(at(name), {"cpu", 1}).reconstruct(first_images(data, data.test, data.size()));
  }

  inline static test::TemporaryFolder* folder_;
};

TEST_F(CodesProgram, CodesComeBackAsTheReconstructionBitForBit) {
  for (const char* name : {"sweep/vq16", "sweep/vae"}) {
    answer({"encode", at(name), "--out", at("codes.npy"), "--batch", "7"});
    answer({"decode", at(name), "--codes", at("codes.npy"), "--out", at("images.npy"), "--threads", "2"});
    const HostArray images = read_npy(at("images.npy"));
    EXPECT_EQ(images.shape, (std::vector<int64_t>{20, 12, 12, 1}));
    EXPECT_EQ(to_float(images), reconstruction(name).values) << name;
    EXPECT_EQ(answer({"encode", at(name), "--limit", "3", "--out", at("few.npy")}).get_integer("n"), 3);
    EXPECT_EQ(read_npy(at("few.npy")).shape[0], 3);
  }
}

TEST_F(CodesProgram, PicturesAreTheSameImagesInEightBits) {
  answer({"encode", at("sweep/vq16")});
  const Json facts =
      answer({"decode", at("sweep/vq16"), "--codes", at("sweep/vq16/codes/codes-test.npy"), "--out", at("png")});
  EXPECT_EQ(facts.get_integer("n"), 20);
  const Matrix expected = reconstruction("sweep/vq16");
  const Image last = read_png(at("png/000019.png"));
  ASSERT_EQ(last.pixels.size(), 144u);
  for (int i = 0; i < 144; ++i) {
    EXPECT_NEAR(last.pixels[static_cast<size_t>(i)], 255 * std::clamp(expected.row(19)[i], 0.0f, 1.0f), 0.5001f);
  }
  EXPECT_FALSE(fs::exists(at("png/000020.png")));
}

TEST_F(CodesProgram, RateAndDistortionAreThoseOfTheFile) {
  const Json facts = answer({"encode", at("sweep/vq16"), "--out", at("codes.npy")});
  const HostArray codes = read_npy(at("codes.npy"));
  ASSERT_EQ(codes.shape, (std::vector<int64_t>{20, 6, 6}));
  std::map<int32_t, double> counts;
  for (const int32_t code : codes.as<int32_t>()) ++counts[code];
  double entropy = 0;
  for (const auto& [code, count] : counts) entropy -= count / 720 * std::log2(count / 720);
  EXPECT_EQ(facts.get_number("bits_per_image"), 36 * 4);
  EXPECT_EQ(facts.get_number("bits_per_pixel"), 1);
  EXPECT_NEAR(facts.get_number("entropy_bits_per_image"), 36 * entropy, 1e-9);
  EXPECT_EQ(facts.get_integer("codes_used"), static_cast<int64_t>(counts.size()));
  EXPECT_EQ(answer({"encode", at("sweep/vq5"), "--out", at("five.npy")}).get_number("bits_per_image"), 36 * 3)
      << "five codes take three bits";
  const Json eval = answer({"eval", at("sweep/vq16")});
  for (const char* key : {"mse", "psnr"}) EXPECT_NEAR(facts.get_number(key), eval.get_number(key), 1e-5) << key;
  EXPECT_EQ(answer({"encode", at("sweep/vae"), "--out", at("z.npy")}).find("bits_per_image"), nullptr);
}

TEST_F(CodesProgram, CodesOfAnotherModelAreRefused) {
  answer({"encode", at("sweep/vq16"), "--out", at("of16.npy")});
  answer({"encode", at("sweep/vq5"), "--out", at("of5.npy")});
  answer({"encode", at("sweep/vae"), "--out", at("z.npy")});
  const auto decode = [](const char* model, const char* codes) {
    return Words{"decode", at(model), "--codes", at(codes), "--out", at("no.npy")};
  };
  expect_refused(3, decode("sweep/vq16", "of5.npy"), {"of5.json", "codebook_size", "expects 16", "given 5"});
  expect_refused(3, decode("sweep/vq16", "z.npy"), {"z.json", "model", "vqvae", "vae"});
  expect_refused(3, decode("sweep/vae", "of5.npy"), {"of5.json", "vae"});
  expect_refused(3, decode("sweep/vq16", "none.npy"), {"none.npy"});
  expect_refused(2, {"decode", at("sweep/vq16")}, {"--codes"});
  expect_refused(2, {"encode", at("sweep/vq16"), "--out", at("folder")}, {".npy", at("folder")});
  EXPECT_FALSE(fs::exists(at("no.npy")));

  // Arrays of somebody else, with nothing beside them.
  const auto write = [](const char* name, std::vector<int64_t> shape, int64_t value) {
    std::vector<int64_t> codes(static_cast<size_t>(shape[0] * shape[1] * shape[2]), 3);
    codes[40] = value;
    write_npy(at(name), codes, shape);
  };
  write("own.npy", {2, 6, 6}, 15);
  EXPECT_EQ(answer(decode("sweep/vq16", "own.npy")).get_integer("n"), 2);
  write("own.npy", {2, 6, 6}, 16);
  expect_refused(3, decode("sweep/vq16", "own.npy"), {"own.npy", "element 4 of image 1", "0 to 15", "given 16"});
  write("own.npy", {2, 6, 6}, -1);
  expect_refused(3, decode("sweep/vq16", "own.npy"), {"element 4 of image 1", "given -1"});
  write("own.npy", {2, 7, 6}, 3);
  expect_refused(3, decode("sweep/vq16", "own.npy"), {"(n, 6, 6)", "(2, 7, 6)"});
  std::vector<float> vectors(6, 0.5f);
  vectors[4] = std::nanf("");
  const int64_t two[] = {2, 3}, three[] = {3, 2};
  write_npy(at("own.npy"), vectors, two);
  expect_refused(3, decode("sweep/vae", "own.npy"), {"element 1 of image 1", "nan"});
  write_npy(at("own.npy"), vectors, three);
  expect_refused(3, decode("sweep/vae", "own.npy"), {"(n, 3)", "(3, 2)"});
}

TEST_F(CodesProgram, AnotherCodebookOfTheSameSizeIsRefused) {
  answer({"encode", at("sweep/vq16"), "--out", at("codes.npy")});
  train("vqvae", "other",
        {"--codebook-size", "16", "--encoder", "conv 6 4 2", "--code-dim", "4", "--batch", "20", "--steps", "5"});
  const Words words = {"decode", at("other"), "--codes", at("codes.npy"), "--out", at("no.npy")};
  expect_refused(3, words, {"codes.json", "codebook"});
  fs::remove(at("codes.json"));
  EXPECT_EQ(answer(words).get_integer("n"), 20) << "taken as they are";
}

TEST_F(CodesProgram, ASweepIsDrawn) {
  expect_refused(3, {"rate-distortion", at("nowhere")}, {at("nowhere")});
  fs::create_directories(at("bare"));
  expect_refused(3, {"rate-distortion", at("bare")}, {at("bare"), "hourglass encode"});
  for (const char* name : {"sweep/vq16", "sweep/vq5", "sweep/vae"}) answer({"encode", at(name)});
  const Json facts = answer({"rate-distortion", at("sweep")});
  const std::vector<JsonMember>& runs = facts.at("runs").members();
  ASSERT_EQ(runs.size(), 2u) << "a vae has no rate";
  EXPECT_EQ(runs[0].key, "vq5");
  EXPECT_EQ(runs[1].key, "vq16");
  EXPECT_EQ(runs[1].value.get_number("bits_per_image"), 144);
  EXPECT_GE(read_png(at("sweep/rate-distortion.png")).width, 600);
}

}  // namespace
}  // namespace hourglass
