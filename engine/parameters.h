// SPDX-License-Identifier: Apache-2.0
// Trainable values in slabs: contiguous, allocated once, so that the optimizer, the gradient norm and the checkpoint
// are each one pass over a flat range.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/buffer.h"
#include "engine/tape.h"
#include "engine/tensor.h"

namespace hourglass {

/// Initial distribution. PyTorch's default for linear layers is uniform(1 / sqrt(fan_in)) for weight and bias.
struct Init {
  double bound = 0;  ///< uniform in (-bound, bound) around `center`
  double center = 0;
  static Init zeros() { return {}; }
  static Init constant(double value) { return {0, value}; }
  static Init uniform(double bound) { return {bound, 0}; }
};

/// One trainable tensor. Its address is stable; layers keep a reference and give it to ops as a Var.
struct Parameter {
  std::string name;  ///< unique, dotted: "encoder.0.weight"
  Shape shape;
  Init init;
  Groups group = 0;
  int64_t offset = 0;  ///< first element in each slab
  Leaf leaf;
  Var var;
  Var shadow;  ///< the same values in bf16, where the slabs have shadows; its gradient is that of `var`, in f32
  operator Var() const { return var; }
  /// As it meets activations of `dtype`: the shadow beside bf16, else the value. Throws where there is no shadow.
  const Var& beside(Dtype dtype) const;
};

/// What a model keeps besides parameters (a moving-average codebook, running statistics). It has no gradient: commits
/// write it (Tape::on_commit), and checkpoints hold it. Its address is stable.
struct State {
  std::string name;  ///< unique among parameters and states
  Shape shape;
  Init init;
  int64_t offset = 0;  ///< first element in the slab
  Var var;
  operator Var() const { return var; }
};

/// A contiguous range of the slabs.
struct SlabRange {
  int64_t first = 0, count = 0;
};

class Parameters {
 public:
  explicit Parameters(Dtype dtype = Dtype::kF32) : dtype_(dtype) {}
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  /// The bit of a group, made at its first mention; at most 32. Groups are contiguous in the slabs.
  Groups group(std::string_view name);
  Parameter& add(std::string name, const Shape& shape, Init init, Groups group);
  /// A slot for what a step learns besides gradients (loss terms, counts): it adds up over micro-batches, and the
  /// finite check covers it.
  Leaf* statistic(std::string name);
  /// The same of many numbers (counts and sums of codes), which are not logged.
  Leaf* statistics(int64_t elements);
  State& state(std::string name, const Shape& shape, Init init);

  /// The values in bf16 too, for training in it: optimizers write both in one pass. Before allocate(); f32 on CUDA.
  void keep_shadows() { keeps_shadows_ = true; }
  /// Lays out the slabs and draws the initial values (Philox, stream "init/<name>"). Once; nothing is added after.
  void allocate(uint32_t seed, const Context& ctx = {});
  bool allocated() const { return values_.data() != nullptr; }

  Dtype dtype() const { return dtype_; }
  /// Where the slabs lie.
  Device device() const { return device_; }
  std::deque<Parameter>& all() { return parameters_; }
  const std::deque<Parameter>& all() const { return parameters_; }
  const std::deque<State>& states() const { return states_; }
  const std::vector<std::string>& statistic_names() const { return statistic_names_; }
  /// Trainable numbers, without padding.
  int64_t count() const;
  /// Elements of a slab, padding included.
  int64_t slab_elements() const { return slab_elements_; }
  SlabRange range(Groups groups = kAllGroups) const;

  void* values() const { return values_.data(); }
  void* gradients() const { return gradients_.data(); }
  /// The slab of shadows; null: none.
  bf16* shadows() const { return shadows_.as<bf16>(); }
  /// Once the values were written by anything but an optimizer: the shadows follow.
  void refresh_shadows(const Context& ctx);
  /// Elements of the gradient slab: gradients first, then statistics, of which those that are logged come last.
  int64_t gradient_elements() const { return logged_first_ + static_cast<int64_t>(statistics_.size()); }
  void* statistics() const;

  /// What lies at an element of the gradient slab, for messages: "the gradient of encoder.0.weight", "the term kl".
  std::string name_of_gradient(int64_t element) const;

  /// Before a commit: gradients of `groups` and statistics that nobody wrote in this step become zero.
  void complete_gradients(const Context& ctx, Groups groups);
  /// After a commit: the next contribution sets.
  void forget_gradients(Groups groups);

 private:
  struct Statistics {
    Leaf leaf;
    int64_t elements;
  };
  void check_name(const std::string& name) const;
  void place_shadows(const Context& ctx);
  void place_statistics();
  void place_states(uint32_t seed, const Context& ctx);
  void draw(const std::string& name, const Init& init, const Var& var, uint32_t seed, const Context& ctx);
  template <class F>
  void for_each_leaf(Groups groups, F&& f);

  Dtype dtype_;
  std::deque<Parameter> parameters_;
  std::deque<State> states_;
  std::deque<Leaf> statistics_;
  std::deque<Statistics> wide_statistics_;
  std::vector<std::string> statistic_names_, group_names_;
  Device device_ = Device::kCpu;
  bool keeps_shadows_ = false;
  Buffer values_, shadows_, gradients_, state_;
  int64_t slab_elements_ = 0, logged_first_ = 0;
};

}  // namespace hourglass
