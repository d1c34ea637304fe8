// SPDX-License-Identifier: Apache-2.0
#include "engine/parameters.h"

#include <algorithm>
#include <bit>
#include <string>

#include "engine/dispatch.h"
#include "engine/transfer.h"
#include "kernels/base/error.h"
#include "kernels/base/noise.h"
#include "kernels/base/philox.h"
#include "kernels/cast.h"
#include "kernels/fill.h"

namespace hourglass {
namespace {
// 64 elements: every parameter starts on a 256-byte boundary, and padding is never read as a gradient but zero.
constexpr int64_t kPadding = 64;
int64_t padded(int64_t elements) { return (elements + kPadding - 1) / kPadding * kPadding; }
}  // namespace

Groups Parameters::group(std::string_view name) {
  auto found = std::find(group_names_.begin(), group_names_.end(), name);
  if (found == group_names_.end()) {
    if (group_names_.size() == 32) throw Error(Exit::kUsage, "parameters: at most 32 groups");
    found = group_names_.insert(group_names_.end(), std::string(name));
  }
  return Groups{1} << (found - group_names_.begin());
}

/// Before the slabs are laid out, and no name twice.
void Parameters::check_name(const std::string& name) const {
  if (allocated()) throw Error(Exit::kInternal, "parameters: " + name + " is added after the slabs were allocated");
  const auto has_name = [&](const auto& p) { return p.name == name; };
  if (std::any_of(parameters_.begin(), parameters_.end(), has_name) ||
      std::any_of(states_.begin(), states_.end(), has_name)) {
    throw Error(Exit::kInternal, "parameters: the name " + name + " is given twice");
  }
}

Parameter& Parameters::add(std::string name, const Shape& shape, Init init, Groups group) {
  check_name(name);
  if (!std::has_single_bit(group) || static_cast<size_t>(std::countr_zero(group)) >= group_names_.size()) {
    throw Error(Exit::kInternal,
                "parameters: " + name + " expects one group made by group(), given the bits " + std::to_string(group));
  }
  Parameter& p = parameters_.emplace_back();
  p.name = std::move(name);
  p.shape = shape;
  p.init = init;
  p.group = group;
  return p;
}

Leaf* Parameters::statistic(std::string name) {
  if (allocated()) throw Error(Exit::kInternal, "parameters: statistic " + name + " is added after the slabs");
  if (std::find(statistic_names_.begin(), statistic_names_.end(), name) != statistic_names_.end()) {
    throw Error(Exit::kInternal, "parameters: the statistic " + name + " is given twice");
  }
  statistic_names_.push_back(std::move(name));
  return &statistics_.emplace_back();
}

Leaf* Parameters::statistics(int64_t elements) {
  if (allocated()) throw Error(Exit::kInternal, "parameters: statistics are added after the slabs");
  return &wide_statistics_.emplace_back(Statistics{{}, elements}).leaf;
}

State& Parameters::state(std::string name, const Shape& shape, Init init) {
  check_name(name);
  State& s = states_.emplace_back();
  s.name = std::move(name);
  s.shape = shape;
  s.init = init;
  return s;
}

void Parameters::allocate(uint32_t seed, const Context& ctx) {
  device_ = ctx.device;
  // Group by group; the parameters themselves stay where layers refer to them.
  slab_elements_ = 0;
  for (size_t bit = 0; bit < group_names_.size(); ++bit) {
    for (Parameter& p : parameters_) {
      if (p.group != Groups{1} << bit) continue;
      p.offset = slab_elements_;
      slab_elements_ += padded(p.shape.elements());
    }
  }
  logged_first_ = slab_elements_;
  for (const Statistics& w : wide_statistics_) logged_first_ += padded(w.elements);
  const size_t element = size_of(dtype_);
  values_ = Buffer(ctx, std::max<size_t>(static_cast<size_t>(slab_elements_) * element, 1), "parameters");
  gradients_ = Buffer(ctx, static_cast<size_t>(gradient_elements()) * element, "gradients");
  for (Parameter& p : parameters_) {
    const size_t byte = static_cast<size_t>(p.offset) * element;
    p.leaf.grad = gradients_.as<std::byte>() + byte;
    p.var.data = values_.as<std::byte>() + byte;
    p.var.leaf = &p.leaf;
    p.var.groups = p.group;
    p.var.shape = p.shape;
    p.var.dtype = dtype_;
    draw(p.name, p.init, p.var, seed, ctx);
  }
  if (keeps_shadows_) place_shadows(ctx);
  place_statistics();
  place_states(seed, ctx);
}

const Var& Parameter::beside(Dtype dtype) const {
  if (dtype != Dtype::kBF16) return var;
  if (!shadow) throw Error(Exit::kInternal, "parameters: " + name + " has no bf16 shadow");
  return shadow;
}

void Parameters::place_shadows(const Context& ctx) {
  shadows_ = Buffer(ctx, std::max<size_t>(static_cast<size_t>(slab_elements_) * sizeof(bf16), 1), "bf16 weights");
  for (Parameter& p : parameters_) {
    p.shadow = p.var;
    p.shadow.data = shadows() + p.offset;
    p.shadow.dtype = Dtype::kBF16;
  }
  refresh_shadows(ctx);
}

void Parameters::refresh_shadows(const Context& ctx) {
  if (!shadows()) return;
  dispatch_wide(ctx, dtype_, [&](auto lane) {
    using T = typename decltype(lane)::type;
    cast(lane, CastShape{slab_elements_}, values_.as<const T>(), Grad<bf16>{shadows()});
  });
}

void Parameters::place_statistics() {
  const size_t element = size_of(dtype_);
  int64_t first = slab_elements_;
  for (Statistics& w : wide_statistics_) {
    w.leaf.grad = gradients_.as<std::byte>() + static_cast<size_t>(first) * element;
    first += padded(w.elements);
  }
  for (size_t i = 0; i < statistics_.size(); ++i) {
    statistics_[i].grad = static_cast<std::byte*>(statistics()) + i * element;
  }
}

void Parameters::place_states(uint32_t seed, const Context& ctx) {
  const size_t element = size_of(dtype_);
  int64_t elements = 0;
  for (State& s : states_) {
    s.offset = elements;
    elements += padded(s.shape.elements());
  }
  if (elements == 0) return;
  state_ = Buffer(ctx, static_cast<size_t>(elements) * element, "state");
  for (State& s : states_) {
    s.var.data = state_.as<std::byte>() + static_cast<size_t>(s.offset) * element;
    s.var.shape = s.shape;
    s.var.dtype = dtype_;
    draw(s.name, s.init, s.var, seed, ctx);
  }
}

void* Parameters::statistics() const {
  return gradients_.as<std::byte>() + static_cast<size_t>(logged_first_) * size_of(dtype_);
}

void Parameters::draw(const std::string& name, const Init& init, const Var& var, uint32_t seed, const Context& ctx) {
  Noise noise;
  noise.seed = seed;
  noise.stream = stream_id(("init/" + name).c_str());
  // The same words in both precisions, so that an f64 model starts where its f32 twin does.
  std::vector<float> values(static_cast<size_t>(var.shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) {
    const double u = static_cast<double>(uniform<float>(noise, 0, static_cast<int64_t>(i)));
    values[i] = static_cast<float>(init.center + init.bound * (2 * u - 1));
  }
  if (dtype_ == Dtype::kF64) {
    const std::vector<double> wide(values.begin(), values.end());
    to_device(ctx, var.data, wide.data(), wide.size() * sizeof(double));
  } else {
    to_device(ctx, var.data, values.data(), values.size() * sizeof(float));
  }
}

int64_t Parameters::count() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.shape.elements();
  return n;
}

SlabRange Parameters::range(Groups groups) const {
  SlabRange range{slab_elements_, 0};
  int64_t last = 0;
  for (const Parameter& p : parameters_) {
    if (!(p.group & groups)) continue;
    range.first = std::min(range.first, p.offset);
    last = std::max(last, p.offset + padded(p.shape.elements()));
  }
  range.count = std::max<int64_t>(0, last - range.first);
  for (const Parameter& p : parameters_) {
    if (!(p.group & groups) && p.offset >= range.first && p.offset < last) {
      throw Error(Exit::kInternal, "parameters: " + p.name + " lies between the groups of one range");
    }
  }
  return range;
}

std::string Parameters::name_of_gradient(int64_t element) const {
  if (element >= logged_first_) return "the term " + statistic_names_.at(static_cast<size_t>(element - logged_first_));
  for (const Parameter& p : parameters_) {
    if (element >= p.offset && element < p.offset + p.shape.elements()) return "the gradient of " + p.name;
  }
  return "a sum over the batch";  // statistics of many numbers have no name
}

template <class F>
void Parameters::for_each_leaf(Groups groups, F&& f) {
  for (Parameter& p : parameters_) {
    if (p.group & groups) f(p.leaf, p.shape.elements());
  }
  for (Statistics& w : wide_statistics_) f(w.leaf, w.elements);
  for (Leaf& leaf : statistics_) f(leaf, 1);
}

void Parameters::complete_gradients(const Context& ctx, Groups groups) {
  for_each_leaf(groups, [&](Leaf& leaf, int64_t elements) {
    if (leaf.written) return;
    dispatch_wide(ctx, dtype_, [&](auto lane) {
      using T = typename decltype(lane)::type;
      fill(lane, FillShape{elements}, Weight{0}, static_cast<T*>(leaf.grad));
    });
  });
}

void Parameters::forget_gradients(Groups groups) {
  for_each_leaf(groups, [](Leaf& leaf, int64_t) { leaf.written = false; });
}

}  // namespace hourglass
