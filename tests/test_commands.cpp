// SPDX-License-Identifier: Apache-2.0
// The commands on a run, end to end on a small one: what they write, what they print, and what they refuse.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "apps/command_line.h"
#include "apps/commands.h"
#include "apps/pictures.h"
#include "engine/dataset.h"
#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "kernels/base/error.h"
#include "models/inference.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;

struct Run {
  int operator()(const PrintText&) const { return 0; }
  int operator()(const TrainOptions& options) const { return run_train(options); }
  int operator()(const EvalOptions& options) const { return run_eval(options); }
  int operator()(const SampleOptions& options) const { return run_sample(options); }
  int operator()(const ReconstructOptions& options) const { return run_reconstruct(options); }
  int operator()(const InterpolateOptions& options) const { return run_interpolate(options); }
  int operator()(const EmbedOptions& options) const { return run_embed(options); }
  int operator()(const EncodeOptions& options) const { return run_encode(options); }
  int operator()(const DecodeOptions& options) const { return run_decode(options); }
  int operator()(const RateDistortionOptions& options) const { return run_rate_distortion(options); }
  int operator()(const KMeansCommandOptions& options) const { return run_kmeans(options); }
  int operator()(const InfoOptions& options) const { return run_info(options); }
  int operator()(const DoctorOptions& options) const { return run_doctor(options); }
};

int hourglass_main(std::vector<std::string> words) {
  std::vector<const char*> argv{"hourglass"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return std::visit(Run{}, parse(static_cast<int>(argv.size()), argv.data()));
}

/// The answer of a command with --json: one object and nothing else.
Json answer(std::vector<std::string> words) {
  words.push_back("--json");
  ::testing::internal::CaptureStdout();
  try {
    EXPECT_EQ(hourglass_main(words), 0);
  } catch (const Error& error) {
    ADD_FAILURE() << error.what();
  }
  return Json::parse(::testing::internal::GetCapturedStdout(), words.front());
}

void expect_refused(const std::vector<std::string>& words, Exit exit, const std::vector<std::string>& parts) {
  try {
    hourglass_main(words);
    ADD_FAILURE() << "accepted: " << ::testing::PrintToString(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.exit(), exit) << error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
    }
  }
}

class Commands : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    root_ = fs::temp_directory_path() / ("hourglass-commands-" + std::to_string(::getpid()));
    fs::create_directories(root_);
    for (const char* model : {"vae", "ae"}) {
      ASSERT_EQ(hourglass_main({"train", model, "--data", "shapes:12:320", "--batch", "32", "--hidden", "16",
                                "--latent", "2", "--epochs", "2", "--quiet", "--out", at(model)}),
                0);
    }
  }
  static void TearDownTestSuite() { fs::remove_all(root_); }

  static std::string at(const std::string& name) { return (root_ / name).string(); }

  /// A picture at least 600 pixels wide lies there.
  static void expect_picture(const fs::path& path) {
    ASSERT_TRUE(fs::exists(path)) << path;
    EXPECT_GE(read_png(path).width, 600) << path;
  }

  inline static fs::path root_;
};

TEST_F(Commands, TrainLeavesARunFolder) {
  for (const char* name : {"config.toml", "run.json", "metrics.jsonl", "summary.json", "checkpoints/latest"}) {
    EXPECT_TRUE(fs::exists(root_ / "vae" / name)) << name;
  }
  for (const char* name : {"reconstructions.png", "samples.png", "curves.png"}) {
    expect_picture(root_ / "vae" / "figures" / name);
  }
}

TEST_F(Commands, TheRunRecordsWhatChoosesKernels) {
  setenv("HOURGLASS_WGMMA", "1", 1);
  EXPECT_EQ(hourglass_main({"train", "ae", "--data", "shapes:12:64", "--batch", "32", "--hidden", "4", "--latent", "2",
                            "--steps", "1", "--quiet", "--out", at("chosen")}),
            0);
  unsetenv("HOURGLASS_WGMMA");
  const Json record = Json::parse(read_text_file(root_ / "chosen" / "run.json"), "run.json");
  EXPECT_EQ(record.at("environment").get_string("HOURGLASS_WGMMA"), "1");
}

TEST_F(Commands, EvalPrintsTheDocumentedKeys) {
  const Json vae = answer({"eval", at("vae"), "--iwae-samples", "8"});
  for (const char* key : {"model", "data", "split", "n", "elbo", "neg_elbo", "reconstruction", "kl", "objective",
                          "bits_per_dim", "mse", "psnr", "active_units", "iwae_bound", "iwae_samples", "seconds"}) {
    EXPECT_NE(vae.find(key), nullptr) << key;
  }
  EXPECT_EQ(vae.get_number("elbo"), -vae.get_number("neg_elbo"));
  EXPECT_NEAR(vae.get_number("neg_elbo"), vae.get_number("reconstruction") + vae.get_number("kl"), 1e-9);
  EXPECT_GE(vae.get_number("iwae_bound"), vae.get_number("elbo"));
  EXPECT_TRUE(vae.at("bits_per_dim").is_null());
  EXPECT_NE(vae.find("note"), nullptr) << "why it is null";
  const Json ae = answer({"eval", at("ae")});
  for (const char* key : {"bce", "mse", "psnr"}) EXPECT_NE(ae.find(key), nullptr) << key;
}

TEST_F(Commands, EvalGivesEqualDigitsTwice) {
  for (const char* batch : {"500", "7"}) {
    const Json a = answer({"eval", at("vae"), "--batch", batch}), b = answer({"eval", at("vae"), "--batch", batch});
    for (const JsonMember& member : a.members()) {
      if (member.key == "seconds") continue;
      EXPECT_EQ(member.value.dump(), b.at(member.key).dump()) << member.key;
    }
  }
  EXPECT_NE(answer({"eval", at("vae"), "--seed", "1"}).get_number("elbo"),
            answer({"eval", at("vae")}).get_number("elbo"));
}

TEST_F(Commands, AFileMeansTheSameAsItsRun) {
  const std::string checkpoint = answer({"eval", at("vae")}).get_string("checkpoint");
  EXPECT_EQ(answer({"eval", checkpoint}).get_number("elbo"), answer({"eval", at("vae")}).get_number("elbo"));
  answer({"sample", checkpoint, "--seed", "3"});
  expect_picture(root_ / "vae/figures/samples-seed-3.png");
}

TEST_F(Commands, PicturesAreDrawn) {
  answer({"sample", at("vae"), "--n", "9", "--out", at("pictures")});
  answer({"reconstruct", at("ae"), "--n", "5", "--out", at("pictures")});
  answer({"interpolate", at("vae"), "--pairs", "2", "--steps", "4", "--spherical", "--out", at("pictures/mine.png")});
  for (const char* name : {"samples-seed-0.png", "reconstructions-test.png", "mine.png"}) {
    expect_picture(root_ / "pictures" / name);
  }
  EXPECT_EQ(answer({"interpolate", at("ae"), "--pairs", "1000"}).get_integer("pairs"), 16) << "no more than there are";
}

TEST_F(Commands, TheTrainingsPicturesStayAsTheyWere) {
  const auto pictures = [] {
    std::vector<Bytes> files;
    for (const char* name : {"samples.png", "reconstructions.png", "curves.png"}) {
      files.push_back(read_file(root_ / "vae/figures" / name));
    }
    return files;
  };
  const auto before = pictures();
  answer({"sample", at("vae"), "--n", "4"});
  answer({"reconstruct", at("vae"), "--n", "4"});
  answer({"interpolate", at("vae"), "--pairs", "2"});
  answer({"embed", at("vae")});
  EXPECT_TRUE(pictures() == before);
}

TEST_F(Commands, SamplesDependOnTheSeedAlone) {
  const auto sample = [](const char* seed, const char* n) {
    answer({"sample", at("vae"), "--seed", seed, "--n", n, "--out", at("s.png")});
    return read_file(at("s.png"));
  };
  EXPECT_EQ(sample("1", "16"), sample("1", "16"));
  EXPECT_NE(sample("1", "16"), sample("2", "16"));
}

TEST_F(Commands, PicturesBeyondThePixelsOfAPngAreRefused) {
  expect_refused({"sample", at("vae"), "--n", "700000"}, Exit::kUsage, {"--n", "12 x 12", "67108864", "700000"});
  expect_refused({"interpolate", at("vae"), "--steps", "65536"}, Exit::kUsage, {"--steps", "524288"});
  expect_refused({"interpolate", at("vae"), "--steps", "30000", "--pairs", "16"}, Exit::kUsage, {"--pairs", "480000"});
}

/// The pictures of training have fewer images where those are large.
TEST_F(Commands, LargeImagesAreDrawnAsFarAsAPageHolds) {
  write_npy(root_ / "wide.npy", std::vector<uint8_t>(40 * 150000), std::vector<int64_t>{40, 150000});
  ASSERT_EQ(hourglass_main({"train", "vae", "--data", at("wide.npy"), "--batch", "20", "--hidden", "4", "--latent", "2",
                            "--epochs", "1", "--quiet", "--out", at("wide")}),
            0);
  EXPECT_LE(int64_t{1} * read_png(at("wide/figures/samples.png")).height * 150028, kMaxImagePixels);
  expect_picture(at("wide/figures/reconstructions.png"));
  expect_refused({"sample", at("wide")}, Exit::kUsage, {"--n", "60", "1 x 150000"});
  expect_refused({"reconstruct", at("wide"), "--split", "train"}, Exit::kUsage, {"--n", "1 x 150000"});
  answer({"embed", at("wide")});
  EXPECT_LT(read_png(at("wide/figures/manifold.png")).width, 20 * 150000);
}

TEST_F(Commands, SamplesAreThoseOfTraining) {
  const Bytes training = read_file(root_ / "vae/figures/samples.png");
  answer({"sample", at("vae"), "--n", "64", "--seed", "0", "--out", at("same.png")});
  EXPECT_TRUE(read_file(root_ / "same.png") == training) << "the training's seed is 0, and it draws 64";
}

TEST_F(Commands, EveryWalkEndsAtReconstructions) {
  for (const char* model : {"vae", "ae"}) {
    const auto walk = [&](std::vector<std::string> more) {
      more.insert(more.begin(), {"interpolate", at(model), "--pairs", "3", "--out", at("walk.png")});
      const Json facts = answer(more);
      return std::pair{read_file(root_ / "walk.png"), facts};
    };
    const auto [ends, facts] = walk({"--steps", "2"});
    std::vector<int32_t> rows;
    for (const Json& row : facts.at("images").elements()) rows.push_back(static_cast<int32_t>(row.as_integer()));
    ASSERT_EQ(rows.size(), 6u);
    EXPECT_EQ(std::set<int32_t>(rows.begin(), rows.end()).size(), 6u) << "each image once";
    Inference inference = Inference::load(at(model));
    const Matrix images = first_images(load_dataset({.spec = "shapes:12:320"}), rows, 6);
    write_grid(root_ / "ends.png", inference.reconstruct(images), inference.model().config(), 2);
    EXPECT_TRUE(read_file(root_ / "ends.png") == ends);
    EXPECT_TRUE(walk({"--steps", "2", "--spherical"}).first == ends);
    EXPECT_FALSE(walk({"--steps", "5", "--spherical"}).first == walk({"--steps", "5"}).first) << "the ways differ";
    EXPECT_FALSE(walk({"--steps", "2", "--seed", "1"}).first == ends) << "other images";
  }
}

TEST(LatentPlane, ThePriorsGridHasQuantilesWithTheSecondCoordinateUpwards) {
  const Matrix z = prior_grid();
  ASSERT_EQ(z.rows, kGridSide * kGridSide);
  ASSERT_EQ(kGridSide, 20);
  const double first = -1.959963984540054, second = -1.439531470938456;  // the quantiles at 0.025 and 0.075
  EXPECT_NEAR(z.row(0)[0], first, 1e-6);
  EXPECT_NEAR(z.row(0)[1], -first, 1e-6);
  EXPECT_NEAR(z.row(1)[0], second, 1e-6);
  EXPECT_NEAR(z.row(kGridSide)[1], -second, 1e-6);
  EXPECT_NEAR(z.row(z.rows - 1)[0], -first, 1e-6);
  EXPECT_NEAR(z.row(z.rows - 1)[1], first, 1e-6);
}

TEST(LatentPlane, TheGridOfCodesCoversTheirMiddle) {
  Matrix codes(101, 2);
  for (int i = 0; i <= 100; ++i) {
    codes.row(i)[0] = static_cast<float>(i);
    codes.row(i)[1] = static_cast<float>(-10 * i);
  }
  const Matrix z = central_grid(codes);
  EXPECT_FLOAT_EQ(z.row(0)[0], 2);
  EXPECT_FLOAT_EQ(z.row(0)[1], -20);
  EXPECT_FLOAT_EQ(z.row(z.rows - 1)[0], 98);
  EXPECT_FLOAT_EQ(z.row(z.rows - 1)[1], -980);
}

TEST_F(Commands, EmbedDoesNotDependOnTheBatch) {
  answer({"embed", at("vae"), "--out", at("a")});
  answer({"embed", at("vae"), "--out", at("b"), "--batch", "7"});
  for (const char* name : {"mu.npy", "logvar.npy", "embedding.csv"}) {
    EXPECT_TRUE(read_file(root_ / "a" / name) == read_file(root_ / "b" / name)) << name;
  }
}

TEST_F(Commands, EmbedWritesOneRowAnImage) {
  answer({"embed", at("vae"), "--split", "train", "--out", at("codes")});
  const HostArray mu = read_npy(root_ / "codes/mu.npy"), logvar = read_npy(root_ / "codes/logvar.npy");
  EXPECT_EQ(mu.shape, (std::vector<int64_t>{320, 2}));
  EXPECT_EQ(logvar.shape, mu.shape);
  EXPECT_EQ(read_npy(root_ / "codes/labels.npy").shape, std::vector<int64_t>{320});
  std::ifstream csv(root_ / "codes/embedding.csv");
  std::string header, first;
  std::getline(csv, header);
  std::getline(csv, first);
  EXPECT_EQ(header, "index,label,z0,z1");
  EXPECT_EQ(std::stof(first.substr(first.rfind(',') + 1)), mu.as<float>()[1]) << "read back to the same value";
  expect_picture(root_ / "codes/scatter.png");
  expect_picture(root_ / "codes/manifold.png");
  answer({"embed", at("ae")});
  EXPECT_TRUE(fs::exists(root_ / "ae/embedding/mu.npy"));
  EXPECT_FALSE(fs::exists(root_ / "ae/embedding/logvar.npy")) << "an autoencoder has none";
  expect_picture(root_ / "ae/figures/manifold.png");
}

TEST_F(Commands, EmbedDrawsTwoRunsSideBySide) {
  answer({"embed", at("vae"), "--out", at("right")});
  answer({"embed", at("ae"), "--out", at("left"), "--beside", at("vae")});
  const Image page = read_png(root_ / "left/beside.png");
  const Image left = read_png(root_ / "left/scatter.png"), right = read_png(root_ / "right/scatter.png");
  const Image below = read_png(root_ / "right/manifold.png");
  ASSERT_EQ(page.channels, 3);
  EXPECT_GE(page.width, left.width + right.width);
  EXPECT_GE(page.height, left.height + below.height);
  // The first rows of pixels that are not white: the titles of the two scatters, each as drawn alone.
  const auto pixels = [](const Image& image, int y, int x, int count) {
    const auto* from = &image.pixels[(static_cast<size_t>(y) * image.width + x) * image.channels];
    return std::vector<uint8_t>(from, from + count * image.channels);
  };
  for (int y = 0; y < std::min(left.height, right.height); y += 5) {
    EXPECT_EQ(pixels(page, y, 0, left.width), pixels(left, y, 0, left.width)) << y;
    EXPECT_EQ(pixels(page, y, page.width - right.width, right.width), pixels(right, y, 0, right.width)) << y;
  }
  ASSERT_EQ(hourglass_main({"train", "vae", "--data", "shapes:12:320", "--batch", "32", "--hidden", "none", "--latent",
                            "3", "--steps", "1", "--quiet", "--out", at("three")}),
            0);
  expect_refused({"embed", at("ae"), "--beside", at("three")}, Exit::kUsage, {"--beside", at("three"), "3"});
  expect_refused({"embed", at("three"), "--beside", at("ae")}, Exit::kUsage, {"--beside", at("three"), "3"});
}

TEST_F(Commands, WhatDoesNotFitIsRefused) {
  expect_refused({"sample", at("ae")}, Exit::kUsage, {"vae"});
  expect_refused({"eval", at("none")}, Exit::kCheckpoint, {at("none")});
  expect_refused({"eval", at("vae"), "--split", "val"}, Exit::kData, {"the val split is empty", "--split all"});
  expect_refused({"train", "conv-ae", "--data", "shapes:30:200", "--quiet", "--out", at("odd")}, Exit::kUsage,
                 {"sides divisible by 4", "30 x 30", "--image-size", "--encoder"});
  expect_refused({"eval", at("vae"), "--data", "shapes:16:100"}, Exit::kData, {"12 x 12 x 1", "16 x 16 x 1"});
  expect_refused({"eval", at("vae"), "--device", "cuda:99"}, Exit::kDevice, {"cuda"});
  expect_refused({"train", "vae", "--data", "shapes:12:320", "--out", at("vae")}, Exit::kUsage,
                 {"--resume", "--overwrite"});
}

TEST_F(Commands, OwnDataAreSplitAsInTrainingAndChangesAreRefused) {
  std::vector<uint8_t> pixels(100 * 16);
  std::iota(pixels.begin(), pixels.end(), uint8_t{0});
  const int64_t shape[] = {100, 4, 4};
  write_npy(root_ / "own.npy", pixels, shape);
  ASSERT_EQ(hourglass_main({"train", "vae", "--data", at("own.npy"), "--batch", "32", "--steps", "2", "--hidden",
                            "none", "--latent", "2", "--test-fraction", "0.2", "--quiet", "--out", at("own")}),
            0);
  EXPECT_EQ(answer({"eval", at("own")}).get_integer("n"), 20) << "the fifth that training has not seen";
  for (const char* command : {"eval", "encode", "embed", "reconstruct", "interpolate"}) {
    std::vector<std::string> words = {command, at("own"), "--split", "all"};
    if (words[0] == "reconstruct") words.insert(words.end(), {"--n", "200"});
    if (words[0] == "interpolate") words.insert(words.end(), {"--pairs", "50"});
    EXPECT_EQ(answer(words).get_integer("n"), 100) << command;
  }
  EXPECT_EQ(read_npy(at("own/codes/codes-all.npy")).shape[0], 100);
  pixels[0] ^= 1;
  write_npy(root_ / "own.npy", pixels, shape);
  expect_refused({"eval", at("own")}, Exit::kData, {at("own.npy"), "changed", at("own"), "--data"});
  EXPECT_EQ(answer({"eval", at("own"), "--data", at("own.npy")}).get_integer("n"), 20) << "asked for by name";
}

}  // namespace
}  // namespace hourglass
