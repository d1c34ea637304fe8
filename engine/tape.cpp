// SPDX-License-Identifier: Apache-2.0
#include "engine/tape.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/dispatch.h"
#include "engine/profiler.h"
#include "kernels/fill.h"

namespace hourglass {

void Slot::refuse_type(Dtype written) const {
  throw Error(Exit::kUsage, std::string(op) + ": writes the gradient of an input in " + name_of(written) +
                                ", and it is kept in " + name_of(dtype) + "; cast the input");
}

void Tape::rewind(Mode mode) {
  arena_->rewind();
  nodes_.clear();
  inputs_.clear();
  output_nodes_.clear();
  records_.clear();
  commits_.clear();
  captures_.clear();
  mode_ = mode;
  closed_ = false;
  running_ = -1;
  entries_ = 0;
  scratch_.clear();
}

void Tape::check_open(const char* what) const {
  if (closed_) throw Error(Exit::kInternal, std::string(what) + ": the tape is closed until the next rewind");
}

void Tape::check_alive(const Var& v) const {
  if (v.generation != 0 && v.generation != arena_->generation()) {
    throw Error(Exit::kInternal, "a Var from before the last rewind was used");
  }
}

int32_t Tape::new_node(const Shape& shape, Dtype dtype, std::initializer_list<Var> inputs) {
  check_open("an op");
  if (running_ >= 0) {
    throw Error(Exit::kInternal, std::string(records_[static_cast<size_t>(running_)].name) +
                                     ": an op inside a backward pass (second order is refused)");
  }
  Node node;
  node.shape = shape;
  node.dtype = dtype;
  node.first_input = static_cast<uint32_t>(inputs_.size());
  for (const Var& v : inputs) {
    check_alive(v);
    if (mode_ == Mode::kTrain) node.groups |= v.groups;
    inputs_.push_back(v);
  }
  node.inputs = static_cast<uint32_t>(inputs.size());
  nodes_.push_back(node);
  return static_cast<int32_t>(nodes_.size()) - 1;
}

Var Tape::output(const Shape& shape, Dtype dtype, std::initializer_list<Var> inputs) {
  Var v;
  v.node = new_node(shape, dtype, inputs);
  Node& node = nodes_.back();
  node.data = v.data = arena_->allocate(static_cast<size_t>(shape.elements()) * size_of(dtype));
  v.generation = arena_->generation();
  v.groups = node.groups;
  v.shape = shape;
  v.dtype = dtype;
  return v;
}

Loss Tape::loss(std::initializer_list<Var> inputs) {
  return {new_node({}, inputs.begin()->dtype, inputs), arena_->generation()};
}

size_t Tape::keep(const void* capture, size_t bytes) {
  constexpr size_t kAlignment = 16;
  const size_t at = captures_.size();
  captures_.resize((at + bytes + kAlignment - 1) / kAlignment * kAlignment);
  std::memcpy(captures_.data() + at, capture, bytes);
  return at;
}

void Tape::record_commit(const void* capture, size_t bytes, void (*run)(const Commit&, const std::byte*)) {
  check_open("a commit");
  if (mode_ == Mode::kTrain) commits_.push_back({keep(capture, bytes), run});
}

void Tape::run_commits(const Commit& commit) {
  for (const CommitRecord& r : commits_) r.run(commit, captures_.data() + r.capture);
  commits_.clear();
}

size_t Tape::add_entry(const char* name, const Shape& shape) {
  profiler_->forward(entries_, name, shape);
  return entries_++;
}

void Tape::record(const char* name, std::initializer_list<Var> outputs, Loss loss, const void* capture, size_t bytes,
                  void (*run)(Tape&, const std::byte*)) {
  Record r{name, static_cast<uint32_t>(output_nodes_.size()), 0, 0, 0, run, 0};
  if (profiler_) r.entry = add_entry(name, outputs.size() > 0 ? outputs.begin()->shape : Shape{});
  for (const Var& v : outputs) output_nodes_.push_back(v.node);
  if (loss.node >= 0) output_nodes_.push_back(loss.node);
  r.nodes = static_cast<uint32_t>(output_nodes_.size()) - r.first_node;
  for (uint32_t i = 0; i < r.nodes; ++i)
    r.groups |= nodes_[static_cast<size_t>(output_nodes_[r.first_node + i])].groups;
  if (detect_anomaly_) check_outputs(r);
  if (!r.groups) {
    output_nodes_.resize(r.first_node);
    return;
  }
  r.capture = keep(capture, bytes);
  records_.push_back(r);
}

void* Tape::output_grad(const Var& v) const {
  const Node& node = nodes_[static_cast<size_t>(v.node)];
  return node.written ? node.grad : nullptr;
}

Slot Tape::grad_slot(const Var& v) { return slot(v, true); }
Slot Tape::next_grad_slot(const Var& v) { return slot(v, false); }

/// Whether the record that runs has asked for this gradient already; from now on it has.
bool Tape::asked_before(const Var& v) {
  if (v.leaf) {
    const bool before = std::find(leaves_asked_.begin(), leaves_asked_.end(), v.leaf) != leaves_asked_.end();
    leaves_asked_.push_back(v.leaf);
    return before;
  }
  return std::exchange(nodes_[static_cast<size_t>(v.node)].asked_by, running_) == running_;
}

Slot Tape::slot(const Var& v, bool once) {
  if (!(v.groups & wanted_)) return {};
  const char* op = records_[static_cast<size_t>(running_)].name;
  if (asked_before(v) && once) {
    throw Error(Exit::kUsage, std::string(op) + ": the same value is given twice, " +
                                  "and the op writes all its gradients in one launch");
  }
  if (v.leaf) {
    const Slot result{v.leaf->grad, v.leaf->written ? Write::kAdd : Write::kSet, accumulator_of(v.dtype), op};
    v.leaf->written = true;
    return result;
  }
  Node& node = nodes_[static_cast<size_t>(v.node)];
  if (!node.grad) node.grad = arena_->take_gradient(static_cast<size_t>(node.shape.elements()) * size_of(node.dtype));
  const Slot result{node.grad, node.written ? Write::kAdd : Write::kSet, node.dtype, op};
  node.written = true;
  return result;
}

LossGrad Tape::loss_grad(Loss loss) {
  const Node& node = nodes_[static_cast<size_t>(loss.node)];
  if (!node.written) return {};
  LossGrad result{node.weight, {}};
  if (node.value) {
    result.value = {node.value->grad, node.value->written ? Write::kAdd : Write::kSet, accumulator_of(node.dtype)};
    node.value->written = true;
  }
  return result;
}

void* Tape::scratch(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* data = arena_->take_gradient(bytes);
  scratch_.push_back({data, bytes});
  return data;
}

void Tape::seed(const Term& term) {
  const bool is_loss = term.loss.node >= 0;
  if (is_loss ? term.loss.generation != arena_->generation() : !term.var.data) {
    throw Error(Exit::kInternal, "backward: a term from before the last rewind was used");
  }
  if (!is_loss) check_alive(term.var);
  if (!is_loss && term.var.node < 0) {
    throw Error(Exit::kUsage, "backward: a term must be a result of ops on this tape, given a parameter or constant");
  }
  Node& node = nodes_[static_cast<size_t>(is_loss ? term.loss.node : term.var.node)];
  if (!(node.groups & wanted_)) return;
  if (node.written) throw Error(Exit::kUsage, "backward: the same term is given twice; add the weights instead");
  node.written = true;
  if (is_loss) {
    node.weight = term.weight;
    node.value = term.value;
    return;
  }
  node.grad = arena_->take_gradient(static_cast<size_t>(node.shape.elements()) * size_of(node.dtype));
  dispatch(ctx(), node.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    fill(lane, FillShape{node.shape.elements()}, term.weight, static_cast<T*>(node.grad));
  });
}

void Tape::release(Node& node) {
  if (node.grad) {
    arena_->give_gradient(node.grad, static_cast<size_t>(node.shape.elements()) * size_of(node.dtype));
  }
  node.grad = nullptr;
}

void Tape::backward(const Term* terms, size_t count, Groups groups) {
  check_open("backward");
  wanted_ = groups;
  records_run_ = 0;
  for (Node& node : nodes_) {
    node.written = false;
    node.grad = nullptr;
    node.asked_by = -1;
  }
  for (size_t i = 0; i < count; ++i) seed(terms[i]);
  for (size_t i = records_.size(); i-- > 0;) {
    const Record& r = records_[i];
    bool reached = false;
    for (uint32_t k = 0; k < r.nodes; ++k)
      reached |= nodes_[static_cast<size_t>(output_nodes_[r.first_node + k])].written;
    if (reached && (r.groups & groups)) {
      running_ = static_cast<int32_t>(i);
      leaves_asked_.clear();
      r.run(*this, captures_.data() + r.capture);
      ++records_run_;
      if (profiler_) profiler_->backward(r.entry);
      if (detect_anomaly_) check_gradients(r);
      for (const Scratch& s : scratch_) arena_->give_gradient(s.data, s.bytes);
      scratch_.clear();
      running_ = -1;
    }
    for (uint32_t k = 0; k < r.nodes; ++k) release(nodes_[static_cast<size_t>(output_nodes_[r.first_node + k])]);
  }
}

Var detach(Var v) {
  v.groups = 0;
  v.leaf = nullptr;
  v.node = -1;
  return v;
}

Var straight_through(const Var& gradient, const Var& values) {
  if (gradient.shape != values.shape || gradient.dtype != values.dtype) {
    throw Error(Exit::kUsage, "straight_through: gradient " + to_string(gradient.shape) + " and values " +
                                  to_string(values.shape) + " differ");
  }
  if (gradient.generation != 0 && values.generation != 0 && gradient.generation != values.generation) {
    throw Error(Exit::kInternal, "straight_through: a Var from before the last rewind was used");
  }
  Var v = gradient;
  v.data = values.data;
  v.generation = std::max(gradient.generation, values.generation);
  return v;
}

}  // namespace hourglass
