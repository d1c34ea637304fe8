// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "kernels/base/error.h"
#include "models/architecture.h"
#include "models/config.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

Architecture inferred(const std::string& text, ImageShape in) {
  Architecture layers = parse_architecture("--encoder", text);
  infer_shapes("--encoder", layers, in);
  return layers;
}

/// "14 x 14 x 32, 7 x 7 x 64": what comes out of each layer.
std::string outputs(const Architecture& layers) {
  std::string text;
  for (const LayerSpec& layer : layers) text += (text.empty() ? "" : ", ") + to_string(layer.out);
  return text;
}

template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit(), Exit::kUsage);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Architecture, ReadsWhatItWrites) {
  const std::string text =
      "conv 32 4 2 batch-norm; conv 64 3 valid none; max-pool 2; max-pool 3 1; avg-pool 2; residual 32; upsample 2; "
      "conv-transpose 8 4 2 group-norm:4 tanh; dense 256";
  EXPECT_EQ(to_text(parse_architecture("--encoder", text)), text);
  EXPECT_EQ(to_text(parse_architecture("--encoder", " conv  32 4 2 ;dense 5; ")), "conv 32 4 2; dense 5");
}

TEST(Architecture, NamesWhatItCannotRead) {
  const auto message = [](const std::string& text) { return refusal([&] { parse_architecture("--encoder", text); }); };
  EXPECT_EQ(message("conv 32"), "--encoder expects conv CHANNELS WINDOW [STRIDE], given \"conv 32\"");
  EXPECT_EQ(
      message("dense 10; convolve 3 3"),
      "--encoder expects layers that begin with one of dense, conv, conv-transpose, max-pool, avg-pool, upsample, "
      "residual, given \" convolve 3 3\"");
  EXPECT_NE(message("conv 32 0").find("numbers of at least 1"), std::string::npos);
  EXPECT_NE(message("dense -4").find("numbers of at least 1"), std::string::npos);
  EXPECT_NE(message("dense 99999999999").find("numbers of at least 1"), std::string::npos);
  EXPECT_NE(message("dense 9999999").find("at most 1048576 units"), std::string::npos);
  EXPECT_NE(message("max-pool 2 relu").find("where the layer takes it"), std::string::npos);
  for (const char* twice : {"conv 4 3 2 relu tanh", "dense 4 relu relu", "dense 4 batch-norm batch-norm",
                            "conv 8 3 batch-norm group-norm:2", "conv 8 3 group-norm:2 batch-norm"}) {
    EXPECT_EQ(message(twice),
              std::string("--encoder expects at most one activation and one norm a layer, given \"") + twice + "\"");
  }
  for (const char* groups : {"", "0", "-1", "x", "2x", "1234567", "99999999999"}) {
    EXPECT_NE(message(std::string("conv 8 3 group-norm:") + groups).find("expects group-norm:GROUPS"),
              std::string::npos)
        << groups;
  }
  EXPECT_NE(message("").find("layers that begin with"), std::string::npos);
  EXPECT_NE(message("dense 4;; dense 4").find("layers that begin with"), std::string::npos);
}

TEST(Architecture, ShapesAreThoseOfSamePadding) {
  EXPECT_EQ(outputs(inferred("conv 32 4 2; conv 64 4 2; dense 256", {28, 28, 1})),
            "14 x 14 x 32, 7 x 7 x 64, 1 x 1 x 256");
  EXPECT_EQ(outputs(inferred("conv 8 3 2; max-pool 2; avg-pool 2", {27, 20, 3})), "14 x 10 x 8, 7 x 5 x 8, 4 x 3 x 8");
  EXPECT_EQ(outputs(inferred("conv 16 5 valid; upsample 2; conv-transpose 4 4 2; residual 8", {12, 12, 3})),
            "8 x 8 x 16, 16 x 16 x 16, 32 x 32 x 4, 32 x 32 x 4");
}

TEST(Architecture, RefusesWhatDoesNotFit) {
  EXPECT_EQ(refusal([] {
              inferred("conv 8 5 valid", {4, 9, 1});
            }),
            "--encoder: \"conv 8 5 valid\" expects an image of at least its window, its input is 4 x 9 x 1");
  EXPECT_EQ(refusal([] {
              inferred("conv 30 3 group-norm:4", {8, 8, 1});
            }),
            "--encoder: \"conv 30 3 group-norm:4\" expects groups that divide its 30 channels, its input is 8 x 8 x 1");
  EXPECT_NE(refusal([] { inferred("conv 1048576 3", {64, 64, 1}); }).find("more than 2^26"), std::string::npos);
  for (const char* grows : {"upsample 64", "conv-transpose 1 3 64"}) {  // to 2^32, which no int holds
    EXPECT_NE(refusal([&] { inferred(grows, {1 << 26, 1, 1}); }).find("more than 2^26"), std::string::npos) << grows;
  }
}

TEST(Architecture, TheMirrorReturnsToTheImage) {
  for (const char* text : {"conv 32 4 2; conv 64 4 2", "conv 32 3 2; conv 8 3 2 valid; dense 40", "dense 400",
                           "conv 16 3; max-pool 2; conv 8 3 valid; residual 4; avg-pool 2", "conv 4 5; upsample 2"}) {
    for (const ImageShape image : {ImageShape{28, 28, 1}, ImageShape{20, 36, 3}}) {
      const Architecture encoder = inferred(text, image);
      for (const int code : {0, 20}) {
        const Architecture layers = mirror(encoder, code, image);
        ASSERT_EQ(layers.size(), encoder.size() + (code > 0)) << text;
        EXPECT_EQ(layers.back().out, image) << text;
        EXPECT_EQ(layers.back().activation, Activation::kNone);
        EXPECT_TRUE(layers.back().own_activation);
        EXPECT_EQ(layers.front().in, code > 0 ? (ImageShape{1, 1, code}) : encoder.back().out);
        for (size_t i = 1; i < layers.size(); ++i) EXPECT_EQ(layers[i - 1].out, layers[i].in) << text << " " << i;
      }
    }
  }
  EXPECT_EQ(to_text(mirror(inferred("conv 32 4 2; conv 64 4 2", {28, 28, 1}), 20, {28, 28, 1})),
            "dense 3136; conv-transpose 32 4 2; conv-transpose 1 4 2 none");
}

TEST(Architecture, PoolingThatCutAnOddExtentHasNoMirror) {
  const Architecture encoder = inferred("max-pool 2", {7, 8, 1});
  EXPECT_NE(refusal([&] { mirror(encoder, 0, {7, 8, 1}); }).find("give a --decoder"), std::string::npos);
}

TEST(Architecture, AWrittenDecoderBeginsAtTheCodeAndEndsAtTheImage) {
  const ImageShape image{28, 28, 1};
  const Architecture encoder = inferred("conv 32 3; max-pool 2; conv 32 3; max-pool 2", image);
  const auto complete = [&](const char* text, int code) {
    return complete_decoder(parse_architecture("--decoder", text), encoder, code, image);
  };
  const char* keras = "conv 32 3; upsample 2; conv 32 3; upsample 2; conv 1 3";
  EXPECT_EQ(complete(keras, 0).size(), 5u);
  // A code of numbers first becomes the encoder's image.
  const Architecture from_code = complete(keras, 10);
  EXPECT_EQ(to_text(from_code[0]), "dense 1568");
  EXPECT_EQ(from_code[0].out, (ImageShape{7, 7, 32}));
  EXPECT_EQ(outputs(complete("dense 100; dense 784", 10)), "1 x 1 x 100, 28 x 28 x 1");
  EXPECT_NE(refusal([&] { complete("upsample 2; conv 1 3", 0); }).find("which ends at 14 x 14 x 1"), std::string::npos);
}

TEST(Architecture, StridedStagesUntilTheGridIsSmall) {
  EXPECT_EQ(strided_encoder(28, 28), "conv 32 4 2; conv 64 4 2");
  EXPECT_EQ(strided_encoder(8, 8), "conv 32 4 2; conv 64 4 2");
  EXPECT_EQ(strided_encoder(64, 40), "conv 32 4 2; conv 64 4 2; conv 128 4 2");
  EXPECT_EQ(outputs(inferred(strided_encoder(256, 256), {256, 256, 3})),
            "128 x 128 x 32, 64 x 64 x 64, 32 x 32 x 128, 16 x 16 x 256, 8 x 8 x 256");
}

TEST(ModelConfig, LayersOfAFullyConnectedPair) {
  ModelConfig c{.kind = ModelKind::kAutoencoder, .hidden = {512}, .latent = 2};
  EXPECT_EQ(to_text(c.encoder_layers()), "dense 512; dense 2 none");
  EXPECT_EQ(to_text(c.decoder_layers()), "dense 512; dense 784 none");
  c.hidden = {};
  EXPECT_EQ(to_text(c.encoder_layers()), "dense 2 none");
  EXPECT_EQ(to_text(c.decoder_layers()), "dense 784 none");
}

TEST(ModelConfig, WithoutEncoderLayersADecoderBeginsAtTheImagesSize) {
  for (const ModelKind kind : {ModelKind::kAutoencoder, ModelKind::kVae}) {
    ModelConfig c{.kind = kind, .height = 8, .width = 8, .hidden = {}, .decoder = "dense 64", .latent = 2};
    EXPECT_NO_THROW(c.check());
    EXPECT_EQ(to_text(c.decoder_layers()), "dense 64 none");
    c.decoder = "conv 1 3";
    EXPECT_EQ(to_text(c.decoder_layers()), "dense 64; conv 1 3 none");
    EXPECT_EQ(c.decoder_layers().front().out, c.image());
  }
}

TEST(ModelConfig, AnEmptyNetworkIsRefused) {
  for (const char* decoder : {"", "dense 64"}) {
    ModelConfig c{.kind = ModelKind::kAutoencoder, .height = 8, .width = 8, .hidden = {}, .latent = 64};
    c.decoder = decoder;
    c.spatial_code = true;
    EXPECT_EQ(refusal([&] { c.check(); }),
              "model: --hidden expects at least one layer with --latent 0, whose code is the encoder's output, given "
              "none");
    test::expect_error([&] { model_config_from_json(to_json(c)); }, Exit::kCheckpoint, {"--hidden", "none"});
  }
}

TEST(ModelConfig, ASpatialCodeIsTheEncodersOutput) {
  ModelConfig c{.kind = ModelKind::kAutoencoder,
                .encoder = "conv 32 3; max-pool 2; conv 32 3; max-pool 2",
                .latent = 1568,
                .spatial_code = true};
  EXPECT_NO_THROW(c.check());
  EXPECT_EQ(c.encoder_layers().size(), 4u);
  EXPECT_EQ(c.decoder_layers().front().in, (ImageShape{7, 7, 32}));
  c.latent = 20;
  EXPECT_NE(refusal([&] { c.check(); }).find("--latent"), std::string::npos);
  c.spatial_code = false;
  EXPECT_EQ(to_text(c.encoder_layers().back()), "dense 20 none");
  c.tied_weights = true;
  EXPECT_NE(refusal([&] { c.check(); }).find("--tied-weights"), std::string::npos);
}

}  // namespace
}  // namespace hourglass
