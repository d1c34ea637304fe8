// SPDX-License-Identifier: Apache-2.0
// What a network is made of, as a user writes it: "conv 32 4 2; conv 64 4 2; dense 256".
//
//   dense UNITS                   fully connected, over all values of its input
//   conv CHANNELS WINDOW [STRIDE]             convolution
//   conv-transpose CHANNELS WINDOW [STRIDE]   its transpose: the image grows by the stride
//   max-pool WINDOW [STRIDE], avg-pool WINDOW [STRIDE]   stride: the window unless given
//   upsample FACTOR               nearest neighbor
//   residual CHANNELS             x + conv1x1(f(conv3x3(f(x)))), CHANNELS between the two
//
// Layers are separated by semicolons. Windows and strides are square. After its numbers a layer takes
//
//   valid                         no padding; else `same`: ceil(extent / stride) pixels, padded evenly, the odd one
//                                 below and right (conv-transpose: extent * stride pixels)
//   NAME                          activation of this layer alone: relu, ..., none
//   batch-norm, group-norm:G      between the sum and the activation, in place of the bias (dense, conv,
//                                 conv-transpose); the channels of a dense layer are its units
#pragma once

#include <string>
#include <vector>

#include "engine/image_shape.h"
#include "kernels/activation.h"

namespace hourglass {

enum class LayerKind { kDense, kConv, kConvTranspose, kMaxPool, kAvgPool, kUpsample, kResidual };
enum class NormKind { kNone, kBatch, kGroup };

struct LayerSpec {
  LayerKind kind = LayerKind::kDense;
  int units = 0;  ///< outputs of dense, channels of the convolutions
  int window = 1, stride = 1;
  bool valid = false;
  NormKind norm = NormKind::kNone;
  int groups = 0;  ///< of group-norm
  bool own_activation = false;
  Activation activation = Activation::kNone;  ///< if own_activation
  ImageShape in{}, out{};                     ///< by infer_shapes

  bool spatial() const { return kind != LayerKind::kDense; }
};

using Architecture = std::vector<LayerSpec>;

/// Reads `text`. Throws Error(kUsage) naming `option`, the layer, what was expected and what was given.
Architecture parse_architecture(const std::string& option, const std::string& text);

/// Fills in `in` and `out` of each layer, for an input of `in`. A dense layer flattens. Throws Error(kUsage) naming
/// `option` and the layer that does not fit.
void infer_shapes(const std::string& option, Architecture& layers, ImageShape in);

/// The decoder that mirrors `encoder` (shapes inferred; it takes `image`): from `code` values, or from the encoder's
/// output if `code` is 0 (one of the two is there), to `image`. A strided convolution becomes transposed, pooling
/// becomes upsampling; norms stay with their layers, unless the groups do not divide the channels of the mirror; the
/// last layer has no norm and no activation. Throws Error(kUsage) where pooling cut an odd extent, which no upsampling
/// restores.
Architecture mirror(const Architecture& encoder, int code, ImageShape image);

/// The decoder that the user wrote as `layers`: from `code` values, which a dense layer turns into the encoder's output
/// (`image`, where there is no encoder) if the first layer needs an image, or from that output if `code` is 0, to
/// `image`. Throws Error(kUsage) if it ends elsewhere.
Architecture complete_decoder(Architecture layers, const Architecture& encoder, int code, ImageShape image);

/// As parse_architecture reads it.
std::string to_text(const Architecture& layers);
/// One layer of it: "conv 32 4 2".
std::string to_text(const LayerSpec& layer);

/// The encoder of `train conv-vae`: 4 x 4 convolutions of stride 2 with 32, 64, 128, ... channels, at least two, until
/// the grid is at most 8 x 8.
std::string strided_encoder(int height, int width);

}  // namespace hourglass
