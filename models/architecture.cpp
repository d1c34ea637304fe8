// SPDX-License-Identifier: Apache-2.0
#include "models/architecture.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr int kMostUnits = 1 << 20, kWidestWindow = 64;
constexpr int64_t kMostValues = int64_t{1} << 26;  // of a layer's output

/// How each kind is written: its name, and its numbers.
struct Form {
  LayerKind kind;
  const char* name;
  const char* numbers;  // in messages
  int least, most;      // how many numbers
};
constexpr Form kForms[] = {
    {LayerKind::kDense, "dense", "UNITS", 1, 1},
    {LayerKind::kConv, "conv", "CHANNELS WINDOW [STRIDE]", 2, 3},
    {LayerKind::kConvTranspose, "conv-transpose", "CHANNELS WINDOW [STRIDE]", 2, 3},
    {LayerKind::kMaxPool, "max-pool", "WINDOW [STRIDE]", 1, 2},
    {LayerKind::kAvgPool, "avg-pool", "WINDOW [STRIDE]", 1, 2},
    {LayerKind::kUpsample, "upsample", "FACTOR", 1, 1},
    {LayerKind::kResidual, "residual", "CHANNELS", 1, 1},
};

const Form& form_of(LayerKind kind) {
  return *std::find_if(std::begin(kForms), std::end(kForms), [kind](const Form& f) { return f.kind == kind; });
}

bool has_weights(LayerKind kind) {
  return kind == LayerKind::kDense || kind == LayerKind::kConv || kind == LayerKind::kConvTranspose;
}

bool has_window(LayerKind kind) {
  return kind == LayerKind::kConv || kind == LayerKind::kConvTranspose || kind == LayerKind::kMaxPool ||
         kind == LayerKind::kAvgPool;
}

/// Reads the words of one layer.
class LayerReader {
 public:
  LayerReader(const std::string& option, const std::string& text) : option_(option), text_(text) {
    std::istringstream in(text);
    for (std::string word; in >> word;) words_.push_back(word);
  }

  LayerSpec read() {
    const Form& form = read_form();
    std::vector<int> numbers;
    while (next_ < words_.size() && is_number(words_[next_])) numbers.push_back(read_number());
    const int count = static_cast<int>(numbers.size());
    if (count < form.least || count > form.most) refuse(std::string(form.name) + " " + form.numbers);
    assign(numbers);
    for (; next_ < words_.size(); ++next_) read_modifier(words_[next_]);
    if (norms_ > 1 || activations_ > 1) refuse("at most one activation and one norm a layer");
    return layer_;
  }

 private:
  [[noreturn]] void refuse(const std::string& expected) const {
    throw Error(Exit::kUsage, option_ + " expects " + expected + ", given \"" + text_ + "\"");
  }

  const Form& read_form() {
    for (const Form& form : kForms) {
      if (words_.empty() || words_[0] != form.name) continue;
      layer_.kind = form.kind;
      next_ = 1;
      return form;
    }
    std::string names;
    for (const Form& form : kForms) names += (names.empty() ? "" : ", ") + std::string(form.name);
    refuse("layers that begin with one of " + names);
  }

  static bool is_number(const std::string& word) {
    return word.find_first_not_of("0123456789", word[0] == '-' ? 1 : 0) == std::string::npos;
  }

  int read_number() {
    const std::string& word = words_[next_++];
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || value < 1) refuse("numbers of at least 1");
    return value;
  }

  void assign(const std::vector<int>& numbers) {
    size_t next = 0;
    if (has_weights(layer_.kind) || layer_.kind == LayerKind::kResidual) layer_.units = numbers[next++];
    if (has_window(layer_.kind)) layer_.window = numbers[next++];
    const bool pool = layer_.kind == LayerKind::kMaxPool || layer_.kind == LayerKind::kAvgPool;
    layer_.stride = next < numbers.size() ? numbers[next] : (pool ? layer_.window : 1);
    if (layer_.units > kMostUnits) refuse("at most " + std::to_string(kMostUnits) + " units or channels");
    if (layer_.window > kWidestWindow || layer_.stride > kWidestWindow) {
      refuse("windows, strides and factors of at most " + std::to_string(kWidestWindow));
    }
  }

  void read_modifier(const std::string& word) {
    const std::string group = "group-norm:";
    if (word == "valid" && has_window(layer_.kind)) {
      layer_.valid = true;
    } else if (word == "batch-norm" && has_weights(layer_.kind)) {
      layer_.norm = NormKind::kBatch;
      ++norms_;
    } else if (word.rfind(group, 0) == 0 && has_weights(layer_.kind)) {
      const std::string count = word.substr(group.size());
      layer_.norm = NormKind::kGroup;
      ++norms_;
      if (count.empty() || count.size() > 6 || !is_number(count) || std::stoi(count) < 1) refuse("group-norm:GROUPS");
      layer_.groups = std::stoi(count);
    } else if (has_weights(layer_.kind) && is_activation(word)) {
      layer_.own_activation = true;
      ++activations_;
    } else {
      refuse("valid, batch-norm, group-norm:GROUPS or an activation after the numbers, where the layer takes it");
    }
  }

  bool is_activation(const std::string& word) {
    for (Activation a : kActivations) {
      if (word == activation_name(a)) return layer_.activation = a, true;
    }
    return false;
  }

  const std::string& option_;
  std::string text_;
  std::vector<std::string> words_;
  size_t next_ = 0;
  int norms_ = 0, activations_ = 0;
  LayerSpec layer_;
};

int shrink(int in, const LayerSpec& l) {
  if (l.valid) return in < l.window ? 0 : (in - l.window) / l.stride + 1;
  return (in + l.stride - 1) / l.stride;
}

int grow(int in, const LayerSpec& l) { return l.valid ? (in - 1) * l.stride + l.window : in * l.stride; }

void infer(const std::string& option, LayerSpec& l) {
  l.out = l.in;
  const auto refuse = [&](const std::string& why) {
    throw Error(Exit::kUsage, option + ": \"" + to_text(l) + "\" " + why + ", its input is " + to_string(l.in));
  };
  const bool grows = l.kind == LayerKind::kConvTranspose || l.kind == LayerKind::kUpsample;
  const bool too_long = grows && int64_t{std::max(l.in.height, l.in.width)} * l.stride + l.window > kMostValues;
  const char* const too_many = "would make more than 2^26 values";
  if (too_long) refuse(too_many);  // before an extent leaves the int
  switch (l.kind) {
    case LayerKind::kDense:
      l.out = {1, 1, l.units};
      break;
    case LayerKind::kConv:
    case LayerKind::kMaxPool:
    case LayerKind::kAvgPool: {
      l.out = {shrink(l.in.height, l), shrink(l.in.width, l), l.kind == LayerKind::kConv ? l.units : l.in.channels};
      if (l.out.height < 1 || l.out.width < 1) refuse("expects an image of at least its window");
      break;
    }
    case LayerKind::kConvTranspose:
      l.out = {grow(l.in.height, l), grow(l.in.width, l), l.units};
      break;
    case LayerKind::kUpsample:
      l.out = {l.in.height * l.stride, l.in.width * l.stride, l.in.channels};
      break;
    case LayerKind::kResidual:
      break;
  }
  if (l.out.elements() > kMostValues) refuse(too_many);
  if (l.norm == NormKind::kGroup && l.out.channels % l.groups != 0) {
    refuse("expects groups that divide its " + std::to_string(l.out.channels) + " channels");
  }
}

/// From `code` values to `out`, with the activation of a hidden layer.
LayerSpec dense(int64_t code, ImageShape out) {
  LayerSpec l;
  l.units = static_cast<int>(out.elements());
  l.in = {1, 1, static_cast<int>(code)};
  l.out = out;
  return l;
}

LayerSpec mirrored(const LayerSpec& encoder) {
  LayerSpec l = encoder;
  std::swap(l.in, l.out);
  l.own_activation = false;
  switch (encoder.kind) {
    case LayerKind::kDense:
      l.units = static_cast<int>(l.out.elements());
      break;
    case LayerKind::kConv:
    case LayerKind::kConvTranspose: {
      l.units = l.out.channels;
      // With padding and without a stride, a convolution is as good a mirror, and the plainer one.
      const bool conv = encoder.kind == LayerKind::kConv;
      l.kind = conv && (encoder.stride > 1 || encoder.valid) ? LayerKind::kConvTranspose : LayerKind::kConv;
      break;
    }
    case LayerKind::kMaxPool:
    case LayerKind::kAvgPool:
      l.kind = LayerKind::kUpsample;
      l.window = 1;
      if (l.in.height * l.stride != l.out.height || l.in.width * l.stride != l.out.width) {
        throw Error(Exit::kUsage, "--encoder: \"" + to_text(encoder) + "\" takes " + to_string(encoder.in) + " to " +
                                      to_string(encoder.out) +
                                      ", which no upsampling restores; give a --decoder, or an image size "
                                      "that the pooling divides");
      }
      break;
    case LayerKind::kUpsample:
      l.kind = LayerKind::kAvgPool;
      l.window = l.stride;
      break;
    case LayerKind::kResidual:
      break;
  }
  if (l.norm == NormKind::kGroup && l.units % l.groups != 0) l.norm = NormKind::kNone;
  return l;
}

}  // namespace

Architecture parse_architecture(const std::string& option, const std::string& text) {
  Architecture layers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(';', begin), text.size());
    const std::string layer = text.substr(begin, end - begin);
    // A semicolon at the end ends, and does not begin.
    if (end < text.size() || layer.find_first_not_of(" \t") != std::string::npos || layers.empty()) {
      layers.push_back(LayerReader(option, layer).read());
    }
    begin = end + 1;
  }
  return layers;
}

void infer_shapes(const std::string& option, Architecture& layers, ImageShape in) {
  for (LayerSpec& layer : layers) {
    layer.in = in;
    infer(option, layer);
    in = layer.out;
  }
}

Architecture mirror(const Architecture& encoder, int code, ImageShape image) {
  Architecture layers;
  if (code > 0) layers.push_back(dense(code, encoder.empty() ? image : encoder.back().out));
  for (auto layer = encoder.rbegin(); layer != encoder.rend(); ++layer) layers.push_back(mirrored(*layer));
  LayerSpec& last = layers.back();
  last.norm = NormKind::kNone;
  last.own_activation = true;
  last.activation = Activation::kNone;
  return layers;
}

Architecture complete_decoder(Architecture layers, const Architecture& encoder, int code, ImageShape image) {
  const ImageShape from = encoder.empty() ? image : encoder.back().out;
  const bool insert = code > 0 && layers.front().spatial();
  infer_shapes("--decoder", layers, code > 0 && !insert ? ImageShape{1, 1, code} : from);
  if (insert) layers.insert(layers.begin(), dense(code, from));
  LayerSpec& last = layers.back();
  if (last.kind == LayerKind::kDense && last.units == image.elements()) last.out = image;
  if (last.out != image) {
    throw Error(Exit::kUsage, "--decoder expects to end at the image, " + to_string(image) + ", given \"" +
                                  to_text(layers) + "\", which ends at " + to_string(last.out));
  }
  if (!last.own_activation) {
    last.own_activation = true;
    last.activation = Activation::kNone;
  }
  return layers;
}

std::string to_text(const LayerSpec& l) {
  const Form& form = form_of(l.kind);
  std::string text = form.name;
  const auto add = [&text](const std::string& word) { text += " " + word; };
  if (has_weights(l.kind) || l.kind == LayerKind::kResidual) add(std::to_string(l.units));
  if (has_window(l.kind)) add(std::to_string(l.window));
  const bool pool = l.kind == LayerKind::kMaxPool || l.kind == LayerKind::kAvgPool;
  if (l.kind == LayerKind::kUpsample || (has_window(l.kind) && l.stride != (pool ? l.window : 1))) {
    add(std::to_string(l.stride));
  }
  if (l.valid) add("valid");
  if (l.norm == NormKind::kBatch) add("batch-norm");
  if (l.norm == NormKind::kGroup) add("group-norm:" + std::to_string(l.groups));
  if (l.own_activation) add(activation_name(l.activation));
  return text;
}

std::string to_text(const Architecture& layers) {
  std::string text;
  for (const LayerSpec& layer : layers) text += (text.empty() ? "" : "; ") + to_text(layer);
  return text;
}

std::string strided_encoder(int height, int width) {
  std::string text;
  int channels = 32;
  for (int stages = 0; stages < 2 || std::max(height, width) > 8; ++stages) {
    text += (text.empty() ? "conv " : "; conv ") + std::to_string(channels) + " 4 2";
    height = (height + 1) / 2, width = (width + 1) / 2;
    channels = std::min(2 * channels, 256);
  }
  return text;
}

}  // namespace hourglass
