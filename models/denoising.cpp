// SPDX-License-Identifier: Apache-2.0
#include "models/denoising.h"

#include <charconv>

#include "kernels/base/error.h"

namespace hourglass {

Corruption parse_corruption(const std::string& option, const std::string& text) {
  if (text == "none") return {};
  const size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon), amount = colon == std::string::npos ? "" : text.substr(colon + 1);
  Corruption c;
  const auto [end, error] = std::from_chars(amount.data(), amount.data() + amount.size(), c.amount);
  const bool number = error == std::errc{} && end == amount.data() + amount.size() && c.amount > 0 && c.amount <= 1e3;
  bool known = true;
  if (kind == "gaussian") {
    c.kind = CorruptionKind::kGaussian;
  } else if (kind == "mask") {
    c.kind = CorruptionKind::kMask;
  } else if (kind == "salt-pepper") {
    c.kind = CorruptionKind::kSaltPepper;
  } else {
    known = false;
  }
  if (!known || !number || (c.kind != CorruptionKind::kGaussian && c.amount > 1)) {
    throw Error(Exit::kUsage, option +
                                  " expects none, gaussian:SIGMA above 0, mask:SHARE or salt-pepper:SHARE with a share "
                                  "above 0 and at most 1, given " +
                                  text);
  }
  return c;
}

Batch corrupt_batch(Tape& tape, Batch batch, const Corruption& corruption) {
  if (corruption.amount == 0) return batch;
  Noise noise = batch.noise;
  noise.stream = stream_id("corrupt");
  noise.draws = 1;
  batch.corrupted = corrupt(tape, batch.x, corruption, noise);
  return batch;
}

Corruptor::Corruptor(Runtime& runtime, int pixels, const Corruption& corruption, uint32_t seed)
    : function_(runtime, pixels, pixels, [corruption, seed](Tape& tape, const Var& x) {
        Noise noise;
        noise.seed = seed;
        noise.stream = stream_id("picture/corrupt");
        return corrupt(tape, x, corruption, noise);
      }) {}

}  // namespace hourglass
